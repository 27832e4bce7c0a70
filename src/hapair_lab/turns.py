"""Labs of different programs on one machine take turns.

Three emulated guests fill two cores: two such labs at once would each be slow enough to look like a
failure of what they test. Guests of User Mode Linux mostly wait, so several labs of them run side
by side where there is memory for them. A person's lab (``cllab up``) waits for nobody and holds
nobody up.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from hapair_lab.acceleration import Acceleration
from hapair_lab.folders import runs_folder
from hapair_lab.progress import say
from hapair_lab.room import memory_places
from hapair_lab.tools import locked

POLL_S: Final = 0.2
LIGHT_MAX: Final = 3


@dataclass(slots=True)
class Turn:
    """The turn of this process in one of so many ``places``; its labs share it."""

    name: str
    places: int
    labs: int = 0
    descriptor: int = -1

    def take(self) -> None:
        """Wait until a place is free, and say so when that takes long.

        One waits at the places and all others behind it: whoever gives a place often has another
        lab to play at once, and would be faster than anyone who looks now and then.
        """
        if self.labs == 0:
            taken = f"all {self.places} places are taken" if self.places > 1 else "a lab runs"
            waiting = f"{taken}: waiting until another program's lab on this machine ends"
            with locked(f"{self.name}-next", waiting=waiting):
                said = False
                while not self._taken():
                    if not said:
                        say(waiting)
                    said = True
                    time.sleep(POLL_S)
        self.labs += 1  # Not before: who is interrupted while it waits has no turn.

    def _taken(self) -> bool:
        for place in range(self.places):
            lock = runs_folder() / f"{self.name}-{place}.lock"
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                self.descriptor = descriptor
                return True
        return False

    def give(self) -> None:
        """Let the next one begin, once the last lab of this process has ended."""
        self.labs -= 1
        if self.labs == 0:
            os.close(self.descriptor)  # Which also unlocks.

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give()


EMULATED: Final = Turn("turn-qemu", places=1)
LIGHT: Final = Turn("turn-uml", places=max(min(memory_places(), LIGHT_MAX), 1))


def turn_of(acceleration: Acceleration) -> Turn:
    """Return the turn that a lab of such guests takes."""
    return LIGHT if acceleration is Acceleration.UML else EMULATED
