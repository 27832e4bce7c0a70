"""How an action ended."""

import errno
from dataclasses import dataclass
from typing import Final, TypeAlias

# What the kernel lacked just now: descriptors, processes, memory.
PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})


@dataclass(frozen=True, slots=True)
class Done:
    """It happened."""

    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not happen and nothing changed."""

    why: str


@dataclass(frozen=True, slots=True)
class Foreign(Refused):
    """Refused, because somebody wrote to the copy behind DRBD: it is not to be used as it is."""


@dataclass(frozen=True, slots=True)
class HeldByPeer(Refused):
    """Refused, because a card of the peer's still has the address."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened. Look before acting again."""

    why: str


@dataclass(frozen=True, slots=True)
class NotNow(Unknown):
    """This node lacked something for a moment (descriptors, memory, a lock).

    It says nothing about what was to be done.
    """


Outcome: TypeAlias = Done | Refused | Unknown
