"""The faults of the soak as values: what befalls whom, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong. The texts are the words of the summary."""

    POWER_OFF = "power off"
    RESET = "reset"
    FREEZE = "freeze"
    REBOOT = "reboot in order"
    PUBLIC_CABLE = "public cables pulled"
    PRIVATE_CABLE = "private cables pulled"
    PUBLIC_SWITCH = "public switch fails between the nodes"
    PRIVATE_SWITCH = "private switch fails between the nodes"
    PUBLIC_ONE_WAY = "public network cut one way"
    PRIVATE_ONE_WAY = "private network cut one way"
    BOTH_SWITCHES = "both networks cut"
    HEARTBEATS = "heartbeats filtered"
    BAD_LINE = "packets lost and late"
    DISK = "disk errors"
    KILL_DAEMON = "daemon killed"
    HANG_DAEMON = "daemon hung"
    LOAD = "processor busy"
    CLOCK = "wall clock jumps"
    MOVE = "planned move"
    WITNESS_KILLED = "witness killed"
    WITNESS_HUNG = "witness hung"
    WITNESS_CUT = "witness not reached"


class Way(StrEnum):
    """What two nodes hear of each other through, or what ends that."""

    PUBLIC = "public"
    PRIVATE = "private"  # It replicates too.
    DAEMON = "daemon"
    MACHINE = "machine"


class Role(StrEnum):
    """Whom a fault befalls, decided at the moment of the fault."""

    ACTIVE = "active"  # The node that runs ``orders``.
    STANDBY = "standby"


WAYS: dict[Kind, tuple[Way, ...]] = {
    Kind.PUBLIC_CABLE: (Way.PUBLIC,),
    Kind.PUBLIC_SWITCH: (Way.PUBLIC,),
    Kind.PUBLIC_ONE_WAY: (Way.PUBLIC,),
    Kind.PRIVATE_CABLE: (Way.PRIVATE,),
    Kind.PRIVATE_SWITCH: (Way.PRIVATE,),
    Kind.PRIVATE_ONE_WAY: (Way.PRIVATE,),
    Kind.BAD_LINE: (Way.PRIVATE,),
    Kind.BOTH_SWITCHES: (Way.PUBLIC, Way.PRIVATE),
    Kind.HEARTBEATS: (Way.DAEMON,),
    Kind.KILL_DAEMON: (Way.DAEMON,),
    Kind.HANG_DAEMON: (Way.DAEMON,),
    Kind.LOAD: (Way.MACHINE,),
    Kind.FREEZE: (Way.MACHINE,),
}
# After these a node is away for as long as it boots.
STOPS_THE_NODE = frozenset({Kind.POWER_OFF, Kind.RESET, Kind.REBOOT})
OF_THE_WITNESS = frozenset({Kind.WITNESS_KILLED, Kind.WITNESS_HUNG, Kind.WITNESS_CUT})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: it begins ``at_s`` after the begin of its round and is mended ``for_s`` later."""

    kind: Kind
    role: Role
    at_s: float
    for_s: float

    @property
    def until_s(self) -> float:
        """When it is mended."""
        return self.at_s + self.for_s

    def __str__(self) -> str:
        """Say it in one short phrase."""
        return f"{self.kind} ({self.role}, {self.for_s:.1f} s)"
