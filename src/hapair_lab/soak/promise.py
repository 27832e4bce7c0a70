"""Which combinations of faults a kind of arbitration promises to bear, and why not the others.

The same promise as the simulator's (``tests/sim/promise.py``), for real kernels. A fault that no
row refuses is promised: if the cluster does not bear it, the cluster is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.model.cluster import ArbitrationKind
from hapair_lab.soak.words import OF_THE_WITNESS, STOPS_THE_NODE, WAYS, Fault, Kind, Role, Way

# A way is back after two heartbeats and a new connection, which take long on slow guests.
SETTLES_AFTER_S: Final = 10.0
BOOT_S: Final = 60.0  # For so long at least a node that was stopped is not counted on.
DAEMON_RETURNS_S: Final = 45.0  # Until systemd has replaced a daemon that hangs.

Refuses = Callable[[Fault, Sequence[Fault]], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """One reason to leave a fault out, given the earlier faults of the same round."""

    name: str
    refuses: Refuses
    because: str


def lasts_until_s(fault: Fault) -> float:
    """Return when what the fault broke works again, at the earliest."""
    if fault.kind in STOPS_THE_NODE:
        return fault.until_s + BOOT_S
    if fault.kind in (Kind.KILL_DAEMON, Kind.HANG_DAEMON):
        return max(fault.until_s, fault.at_s + DAEMON_RETURNS_S)
    return fault.until_s


def _overlaps(fault: Fault, other: Fault, *, settles_s: float = 0.0) -> bool:
    """Tell whether the later fault begins before the earlier one is over."""
    return fault.at_s < lasts_until_s(other) + settles_s


def _ways(fault: Fault) -> tuple[Way, ...]:
    return WAYS.get(fault.kind, ())


def _two_ways(fault: Fault, earlier: Sequence[Fault]) -> bool:
    own = set(_ways(fault))
    return len(own) > 1 or any(
        own and _ways(other) and _overlaps(fault, other, settles_s=SETTLES_AFTER_S)
        for other in earlier
    )


def _last_copy(fault: Fault, earlier: Sequence[Fault]) -> bool:
    """Tell whether a disk fails, or the machine of the good one stops, with no other copy."""
    if fault.kind is Kind.DISK:
        return any(other.kind in STOPS_THE_NODE or Way.PRIVATE in _ways(other) for other in earlier)
    takes_the_copy = fault.kind in STOPS_THE_NODE or Way.PRIVATE in _ways(fault)
    return takes_the_copy and any(other.kind is Kind.DISK for other in earlier)


def _same_again(fault: Fault, earlier: Sequence[Fault]) -> bool:
    return any(other.kind is fault.kind and _overlaps(fault, other) for other in earlier)


def _nobody_there(fault: Fault, earlier: Sequence[Fault]) -> bool:
    """Tell whether the fault needs a running machine that an earlier one stopped or froze."""
    return any(
        (other.kind in STOPS_THE_NODE or other.kind is Kind.FREEZE)
        and _overlaps(fault, other)
        and (fault.kind is not Kind.POWER_OFF or other.kind is Kind.FREEZE)
        and (fault.role is other.role or fault.kind is Kind.MOVE)
        for other in earlier
    )


def _standby_of_nobody(fault: Fault, _: Sequence[Fault]) -> bool:
    return fault.kind is Kind.MOVE and fault.role is not Role.ACTIVE


ALWAYS: Final = (
    Row("same-again", _same_again, "it is broken already"),
    Row("nobody-there", _nobody_there, "the machine is off, boots or stands still"),
    Row("move", _standby_of_nobody, "a move is typed where the application runs"),
    Row("last-copy", _last_copy, "there are two copies: one of them must be there"),
)
NO_WITNESS: Final = Row(
    "no-witness", lambda fault, _: fault.kind in OF_THE_WITNESS, "no witness is configured"
)
REFUSED: Final[dict[ArbitrationKind, tuple[Row, ...]]] = {
    ArbitrationKind.PATHS: (
        *ALWAYS,
        NO_WITNESS,
        Row(
            "two-ways",
            _two_ways,
            "two ways at once: both sides may take the silence for the other one's death",
        ),
    ),
    # A person looks before anything starts, so everything may fall silent.
    ArbitrationKind.OPERATOR: (*ALWAYS, NO_WITNESS),
    # The kernel holds the writes until the witness has answered: everything may fail at once.
    ArbitrationKind.WITNESS: ALWAYS,
}


def refusal(arbitration: ArbitrationKind, fault: Fault, earlier: Sequence[Fault]) -> Row | None:
    """Return why the fault may not follow the earlier ones; None if it is promised to be borne."""
    for row in REFUSED[arbitration]:
        if row.refuses(fault, earlier):
            return row
    return None
