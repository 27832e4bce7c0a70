"""What a disk keeps of a write that power, or a kill, interrupts.

Until an fsync returns, a disk may write in any order. So what was acknowledged is there, and each
part of the rest may be there or not.
"""

from random import Random

from tests.sim.machine import Machine


class Disks:
    def __init__(self, seed: str) -> None:
        self._chance = Random(f"{seed}/disks")  # Apart, so that no other draw changes.

    def keeps(self) -> bool:
        """Tell whether one interrupted write is on the disk."""
        return self._chance.random() < 0.5

    def interrupt(self, machine: Machine) -> bool:
        """End the daemon's store that is under way; return whether the new content is there.

        The file is replaced atomically: it is the old one or the new one.
        """
        storing, machine.storing = machine.storing, None
        if storing is None or not self.keeps():
            return False
        machine.disk = storing
        return True
