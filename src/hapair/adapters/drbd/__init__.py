"""DRBD 8.4 through drbd-utils; the commands of 9 are known, and nobody has tried them."""
