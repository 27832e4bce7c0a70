"""The process of a lab's power strip. It attaches to the lab as any other command does."""

import sys
from pathlib import Path

from hapair_lab import topology
from hapair_lab.lab import Lab
from hapair_lab.strip import Strip


def main() -> None:
    """Serve the strip whose sockets belong into the folder given as first argument.

    The second one says whether guests that it switches on shall end with it.
    """
    sockets, ends_with_us = Path(sys.argv[1]), sys.argv[2] == "yes"
    lab = Lab.attach(sockets.parent, guests_die_with_us=ends_with_us)
    guests = tuple(guest.name for guest in topology.GUESTS)
    Strip(sockets, {machine.name: machine for machine in lab.nodes}, guests=guests).serve()
