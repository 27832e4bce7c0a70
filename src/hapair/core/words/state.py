"""The whole state of one node's decision core."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from hapair.core.words.effects import Do, Layer, Stored
from hapair.core.words.events import Beat, Form, Leave, PeerState
from hapair.model.built import Built
from hapair.model.data import VolumeFacts
from hapair.model.status import Record, Standing
from hapair.model.witness import Answer


class Is(StrEnum):
    """What is known about one item of an application."""

    UNKNOWN = "unknown"
    DOWN = "down"
    PART = "in part"  # Some of it is up: a start or a stop was interrupted, or goes on.
    UP = "up"


@dataclass(frozen=True, slots=True, order=True)
class Item:
    application: str
    layer: Layer
    resource: str = ""


@dataclass(frozen=True, slots=True)
class ItemState:
    known: Is = Is.UNKNOWN
    busy: int = 0  # The effect_id that works on it; 0 when nothing does.
    doing: Do | None = None  # The action of ``busy``; None while it is only looked at.
    rung: int = 0  # How far up the stop ladder this item is.
    tries: int = 0  # Failed attempts since the last success.
    retry_at_s: float = 0.0
    last_error: str = ""
    spent: bool = False  # Its disk was given up by force: everything of it comes down first.


@dataclass(frozen=True, slots=True)
class PeerView:
    """What this node heard of its peer."""

    heard_at_s: Mapping[str, float] = field(default_factory=dict)  # Per network, echoed beats only.
    alive_at_s: float | None = None  # Any beat, also one that does not echo this node.
    beat: Beat | None = None
    state: PeerState | None = None  # Of the current incarnation only.
    incarnation: int = 0
    probed_at_s: float | None = None  # When the references were last asked in this silence.
    answered_at_s: float | None = None
    answering: tuple[str, ...] = ()  # Networks whose reference address answered then.
    unanswered: int = 0  # How many times in a row, in this silence, not all of them answered.


@dataclass(frozen=True, slots=True)
class WitnessView:
    """What the witnesses answered. Answers to a grant count for one silence only."""

    epoch: int = 0  # For which it was last asked; 0: not in this silence.
    answers: Mapping[int, Answer] = field(default_factory=dict)  # By index, for that epoch.
    waiting: tuple[int, ...] = ()  # Which have not answered yet.
    asked_at_s: float = 0.0  # When a question, or a look, was last sent.
    newest: int = 0  # The highest epoch that any of them told.
    holder: str = ""  # Who holds that epoch.
    seen: Mapping[int, bool] = field(default_factory=dict)  # Did it answer when last spoken to?
    missed: int = 0  # Looks in a row at which most of them did not answer.


@dataclass(frozen=True, slots=True)
class FencingView:
    """How it goes with switching the peer off, in this silence."""

    busy: bool = False
    void: bool = False  # The peer was heard since: what this agent will say counts for nothing.
    proven: bool = False
    tries: int = 0
    retry_at_s: float = 0.0
    text: str = ""  # What the last try said.


@dataclass(frozen=True, slots=True)
class Reconnects:
    """How often a resource that gave its peer up was told to try again."""

    tries: int = 0
    again_at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that will be answered when its goal is reached."""

    request_id: int
    verb: str  # "run", "halt", "move", "form" or "leave".
    application: str
    node: str
    until_s: float


@dataclass(frozen=True, slots=True)
class NodeState:
    me: str
    boot_id: str
    incarnation: int
    built: Built
    stored: Stored
    standing: Standing = Standing.HALTED
    now_s: float = 0.0
    quiet_since_s: float = 0.0  # Silence is counted from here at the earliest.
    next_effect_id: int = 1
    form: Form | None = None
    form_until_s: float = 0.0
    together_since_s: float = 0.0
    leave: Leave | None = None
    leave_until_s: float = 0.0
    accepted: int = 0  # Incarnation of the peer that this node acts together with.
    confirmed: bool = False  # The operator stated that the peer is down.
    isolated: bool = False  # Neither the peer nor a reference address answers.
    lost: bool = False  # The other side has the right, or nobody can be asked for it.
    fresh: tuple[str, ...] = ()  # Applications not yet placed since this node was formed.
    moving: tuple[str, ...] = ()  # Applications that stop here to start on the peer.
    peer: PeerView = PeerView()
    facts: Mapping[str, VolumeFacts] = field(default_factory=dict)
    joined_from_s: Mapping[str, float] = field(default_factory=dict)  # See replication.is_joined.
    linked_until_s: float = 0.0  # When the last connection of the data ended.
    relinked: bool = False  # A connection was made while the peer was silent.
    losses: int = 0  # Connections of the data that ended; what the peer said before is old.
    facts_read: bool = False  # The kernel has said what it knows since this daemon started.
    links: Mapping[str, bool] = field(default_factory=dict)  # Own link per network.
    # By application; each one's are in the order of their start.
    items: Mapping[str, Mapping[Item, ItemState]] = field(default_factory=dict)
    pending: tuple[Pending, ...] = ()
    witness: WitnessView = WitnessView()
    fencing: FencingView = FencingView()
    fence_asked: Mapping[int, str] = field(default_factory=dict)  # Request -> resource.
    claims: tuple[str, ...] = ()  # Resources that wait for the peer's word before a promotion.
    reconnects: Mapping[str, Reconnects] = field(default_factory=dict)  # By resource.
    # By resource: when its fence-peer handler was told to go on, and when its frozen writes may.
    told_at_s: Mapping[str, float] = field(default_factory=dict)
    resume_at_s: Mapping[str, float] = field(default_factory=dict)
    stranger: bool = False  # Came back from a pause or a restart: its lease is short.
    # When it was last in touch, if it stood still while it was cut off: its lease began then.
    leased_from_s: float | None = None
    leased: tuple[str, ...] = ()  # Taken over while the silent peer may still run them.
    lease_until_s: float = 0.0  # When it no longer can.
    guarded: bool | None = None  # The watchdog device is to be fed; None: not known yet.
    reasons: Mapping[str, str] = field(default_factory=dict)  # Table key -> name of the row.
    published: PeerState | None = None
    beaten: Beat | None = None

    @property
    def peer_name(self) -> str:
        return self.built.cluster.peer_of(self.me)

    @property
    def detection_s(self) -> float:
        return self.built.cluster.timing.detection_s

    @property
    def peer_heard(self) -> bool:
        """A beat that echoes our incarnation came within the detection time."""
        return any(self.now_s - at_s < self.detection_s for at_s in self.peer.heard_at_s.values())

    def record(self, application: str) -> Record | None:
        return self.stored.by_application.get(application)

    def items_of(self, application: str) -> Mapping[Item, ItemState]:
        """Return the items of an application; none of one that is not built."""
        return self.items.get(application, {})

    def every_item(self) -> Iterator[tuple[Item, ItemState]]:
        return chain.from_iterable(items.items() for items in self.items.values())
