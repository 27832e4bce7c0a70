"""DRBD 8.4 through drbd-utils; the commands of DRBD 9 are here as well, but untried."""
