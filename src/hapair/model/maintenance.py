"""Maintenance: what an administrator works on is left alone until then."""

from dataclasses import dataclass
from enum import StrEnum

from hapair.model.status import Version


class Scope(StrEnum):
    """How much is in maintenance."""

    APPLICATION = "application"
    NODE = "node"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The newest word about one thing; the higher version wins, of two equal ones that is on."""

    of: str  # "cluster", "node NAME" or "application NAME".
    version: Version
    on: bool = True
    for_s: int = 0  # From when it was typed; 0: until it is taken off.
    reason: str = ""  # For people.
    wall_s: int = 0  # When it was typed, for people only.


def place(scope: Scope, name: str) -> str:
    """Return what a maintenance is of; the cluster has no name."""
    return f"{scope} {name}".strip() if scope is not Scope.CLUSTER else str(scope)
