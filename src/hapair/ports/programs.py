"""Programs, and the commands of other packages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from hapair.model.application import Program
from hapair.model.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Finished:
    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class NotStarted(Finished):
    """The kernel had nothing left to start it with: it did nothing, or was killed as it began."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    after_s: float


class CommandRunner(Protocol):
    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut: ...


class Programs(Protocol):
    """Runs applications in control groups of their own."""

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome: ...
    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome: ...

    async def kill(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        """TERM, then KILL everything in the application's control group."""
        ...

    async def running(self, application: str, program: Program) -> bool | None:
        """True or False when known; None when only some of it runs.

        Raises OSError, TimeoutError for one, when nobody could look: that says nothing.
        """
        ...


class Grip(Protocol):
    """Holds on to one process: a later one that has its number is never meant."""

    def kill(self) -> None:
        """End it at once; nothing happens when it has ended already."""
        ...

    def close(self) -> None: ...
