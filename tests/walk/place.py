"""What a situation of the walk is made of, beside the cores and the copies of the data."""

from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from hapair.core.words.effects import Act
from tests.sim.settings import NODES
from tests.walk.numbers import NOTHING

NETWORKS: Final = ("public", "private")


DEAD: Final = "dead"
MUTE: Final = "mute"  # The node is off, but the agent cannot tell.
SLOW: Final = "slow"  # The node is off only at the next turn.


class Power(StrEnum):
    ON = "on"
    PAUSED = "paused"
    OFF = "off"


class Process(StrEnum):
    UP = "up"
    HUNG = "hung"
    BUSY = "busy"  # It decides nothing, and its heart beats.
    DOWN = "down"  # systemd, or the boot, starts it at the next turn of its node.


class Asker(StrEnum):
    """How far DRBD's fence-peer handler has come."""

    NONE = "none"
    NEW = "new"  # It has not asked the daemon yet.
    WAITS = "waits"


class Dies(StrEnum):
    """A loss of power that waits for its moment."""

    NOT = "not"
    BEFORE_STORE = "before the next store"
    AFTER_STORE = "after the next store"


class Waits(NamedTuple):
    """An action that has not ended yet."""

    number: int  # Its effect id.
    act: Act  # As the core asked for it, with another id.
    why: str  # "kernel", "handler" or "hangs".


@dataclass(slots=True)
class Box:
    """One node. All values are hashable; numbers stand for what is in the pools."""

    power: Power = Power.ON
    process: Process = Process.DOWN
    core: int = NOTHING
    disk: int = NOTHING  # What is stored.
    incarnation: int = 0
    mounted: bool = False
    address: bool = False
    program: bool | None = False
    mail: tuple[int, ...] = ()  # States of the peer that arrived.
    beats: tuple[int, ...] = (NOTHING, NOTHING)  # Heartbeats that arrived, one per network.
    heard: tuple[tuple[int, ...], ...] = ()  # What its heart heard meanwhile, by turn.
    says: int = NOTHING  # What its own heartbeats say.
    facts: int = NOTHING  # What its daemon was told of the replication.
    changed: bool = False  # Its daemon has still to be told that its addresses changed.
    away: int = 0  # Turns that went by without its daemon.
    guarded: bool = False
    starved: int = 0
    asker: Asker = Asker.NONE
    waits: tuple[Waits, ...] = ()
    unnoticed: int = 0  # Turns during which its kernel has not noticed that the peer is gone.
    forms: bool = False  # The boot unit will form it.
    dies: Dies = Dies.NOT
    trouble: str = ""  # The action that fails.
    late_epoch: int = 0  # The epoch that a slow witness will record.
    fences: bool = False  # It waits for a power strip that is slow.
    leaves: bool = False  # An operator asked it to leave.
    found: str = ""  # What its monitors find, of whose trouble, until the next start.
    strange: int = 0  # Turns until it has noticed a pause that was too long, and has stopped.

    @property
    def runs(self) -> bool:
        return self.power is Power.ON

    @property
    def powered(self) -> bool:
        return self.power is not Power.OFF

    @property
    def listens(self) -> bool:
        return self.runs and self.process is Process.UP


@dataclass(slots=True)
class Outside:
    """Everything that is not in a node."""

    deaf: tuple[tuple[bool, bool], ...] = ((False, False), (False, False))  # By node, network.
    unplugged: tuple[str, str] = ("", "")  # By node: the network whose cable is out.
    servers: tuple[tuple[int, str], ...] = ()  # Witnesses: the newest epoch and its holder.
    reached: tuple[tuple[bool, ...], ...] = ()  # By node and witness.
    slow: bool = False  # Witnesses record after the asker has given up.
    strip: str = ""  # What is wrong with the power strip.
    commanded: bool = False  # Somebody asked for the application to stop or to move.
    troubled: bool = False
    confirmed: bool = False
    way: str = ""  # The way between the nodes that fails, for the promise of ``paths``.
    since: int = 0  # Turns since it began to fail, and since the last one worked again.
    calm: int = 0


BOX_FIELDS: Final = tuple(each.name for each in fields(Box))
OUTSIDE_FIELDS: Final = tuple(each.name for each in fields(Outside))
BOX_VALUES: Final = attrgetter(*BOX_FIELDS)
OUTSIDE_VALUES: Final = attrgetter(*OUTSIDE_FIELDS)


class Situation(NamedTuple):
    """Numbers of the two nodes, the copies and the outside; and whose turn it is."""

    first: int
    second: int
    copies: int
    outside: int
    turn: int  # The index of the node whose turn is next.


def other(index: int) -> int:
    return 1 - index


def name_of(index: int) -> str:
    return NODES[index]
