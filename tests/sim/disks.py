"""What a disk keeps of a write that power, or a kill, interrupts.

Until an fsync returns, a disk may write in any order. So what was acknowledged is there, and each
part of the rest may be there or not.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from random import Random

from hapair.runtime.node.keeper import RETRY_S, SAY_AFTER_S
from tests.sim.clockwork import Clockwork
from tests.sim.machine import Machine


def when_stored(clockwork: Clockwork, machine: Machine, stored: Callable[[], None]) -> None:
    """Call when the disk has it, which is when it takes something again."""
    if machine.store_s == inf:
        clockwork.after(RETRY_S, partial(when_stored, clockwork, machine, stored))
    else:
        clockwork.after(machine.store_s, stored)


def cannot_store(machine: Machine, now_s: float) -> bool:
    """Tell whether the daemon of this machine says that its disk takes nothing."""
    if machine.store_s != inf:
        machine.full_since_s = None
        return False
    if machine.full_since_s is None:
        machine.full_since_s = now_s
    return now_s - machine.full_since_s >= SAY_AFTER_S


class Disks:
    def __init__(self, seed: str) -> None:
        self._chance = Random(f"{seed}/disks")  # Apart, so that no other draw changes.

    def keeps(self) -> bool:
        """Tell whether one interrupted write is on the disk."""
        return self._chance.random() < 0.5

    def interrupt(self, machine: Machine) -> bool:
        """End the daemon's store that is under way; return whether the new content is there.

        The file is replaced atomically: it is the old one or the new one; the old one on a disk
        that is full.
        """
        storing, machine.storing = machine.storing, None
        if storing is None or machine.store_s == inf or not self.keeps():
            return False
        machine.disk = storing
        return True
