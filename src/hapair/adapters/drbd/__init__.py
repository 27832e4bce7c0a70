"""DRBD 8.4 and 9 through drbd-utils."""
