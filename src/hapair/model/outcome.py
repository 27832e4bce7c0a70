"""How an action ended."""

from dataclasses import dataclass
from typing import TypeAlias


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
class Unknown:
    """It may have happened. Look before acting again."""

    why: str


Outcome: TypeAlias = Done | Refused | Unknown
