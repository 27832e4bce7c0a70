"""Labs of different programs on one machine take turns.

Three emulated guests fill two cores. Two labs at once would each be slow enough to look like a
failure of what they test. A person's lab (``cllab up``) waits for nobody and holds nobody up.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from hapair_lab.folders import runs_folder
from hapair_lab.progress import say

LOCK: Final = "turn.lock"


@dataclass(slots=True)
class Turn:
    """The turn of this process; several labs of one process share it."""

    labs: int = 0
    descriptor: int = -1

    def take(self) -> None:
        """Wait until no other program has a lab, and say so when that takes long."""
        self.labs += 1
        if self.labs > 1:
            return
        self.descriptor = os.open(runs_folder() / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting until another program's lab on this machine ends")
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)

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


TURN: Final = Turn()
