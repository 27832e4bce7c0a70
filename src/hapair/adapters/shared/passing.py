"""What a machine lacks for a moment says nothing about what was to be done."""

from typing import Final

from hapair.model.outcome import PASSING, NotNow, Refused
from hapair.ports.programs import Finished, NotStarted

LVM_LOCKED: Final = "Can't get lock for "  # Another tool of LVM has the volume group.
EXIT_CODE: Final = 126  # As a shell says of a program that cannot be run.


def passes(error: OSError | int | None) -> bool:
    code = error.errno if isinstance(error, OSError) else error
    return code in PASSING


def unstarted(program: str, error: OSError) -> Finished:
    """Return how a program ended that the kernel did not start."""
    kind = NotStarted if passes(error) else Finished
    return kind(EXIT_CODE, "", f"{program}: {error.strerror}")


def refused(why: str, finished: Finished, *words: str) -> Refused | NotNow:
    """Judge a program that ended without having changed anything.

    It lacked something if it was not started, or if it says one of the words.
    """
    lacks = isinstance(finished, NotStarted) or any(word in finished.stderr for word in words)
    return NotNow(why) if lacks else Refused(why)
