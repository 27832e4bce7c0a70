"""The whole state of one node's decision core."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from hapair.core.words.events import Beat, Form, Leave, Move, PeerState, Run
from hapair.core.words.item import (
    Failed,
    Health,
    Item,
    ItemState,
    Learnt,
    Reconnects,
    StrayLook,
    Trial,
)
from hapair.core.words.peer import FencingView, PeerView, WitnessView
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.model.data import VolumeFacts
from hapair.model.status import Record, Standing

NOT_HEARD: Final = PeerView()
NOT_ASKED: Final = WitnessView()
NOT_FENCED: Final = FencingView()
NO_TRIAL: Final = Trial()
NO_STRAY_LOOK: Final = StrayLook()


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that will be answered when its goal is reached."""

    request_id: int
    verb: str  # "run", "halt", "move", "form" or "leave".
    application: str
    node: str
    until_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """A command that would be refused now, but probably not in a moment: it is asked again."""

    request_id: int
    command: Run | Move
    until_s: float


@dataclass(frozen=True, slots=True)
class NodeState:
    # The node itself.
    me: str
    boot_id: str
    incarnation: int
    built: Built
    stored: Stored
    now_s: float = 0.0
    next_effect_id: int = 1
    links: Mapping[str, bool] = field(default_factory=dict)  # Own link per network.
    guarded: bool | None = None  # The watchdog device is to be fed; None: not known yet.
    reasons: Mapping[str, str] = field(default_factory=dict)  # Table key -> name of the row.
    published: PeerState | None = None
    beaten: Beat | None = None

    # Its place in the cluster, and what an operator asked for.
    standing: Standing = Standing.HALTED
    form: Form | None = None
    form_until_s: float = 0.0
    together_since_s: float = 0.0
    leave: Leave | None = None
    leave_until_s: float = 0.0
    confirmed: bool = False  # The operator stated that the peer is down.
    pending: tuple[Pending, ...] = ()
    held: tuple[Held, ...] = ()

    # The peer, and the right to act without it.
    peer: PeerView = NOT_HEARD
    witness: WitnessView = NOT_ASKED
    fencing: FencingView = NOT_FENCED
    quiet_since_s: float = 0.0  # Silence is counted from here at the earliest.
    accepted: int = 0  # Incarnation of the peer that this node acts together with.
    isolated: bool = False  # Neither the peer nor a reference address answers.
    lost: bool = False  # The other side has the right, or nobody can be asked for it.
    forgot: bool = False  # The disk may lack what the former daemon heard; not yet acted upon.
    stranger: bool = False  # Came back from a pause or a restart: its lease is short.
    # When it was last in touch, if it stood still while it was cut off: its lease began then.
    leased_from_s: float | None = None
    lease_until_s: float = 0.0  # When the silent peer can no longer run what is ``leased``.
    # Until then the silent peer may rightly have the addresses of what was taken over, unless it
    # is heard again; 0: it is off.
    addresses_until_s: float = 0.0

    # The copies of the data.
    facts: Mapping[str, VolumeFacts] = field(default_factory=dict)  # Of what is built only.
    kernel: tuple[VolumeFacts, ...] = ()  # Its last word about all resources, whosever they are.
    # Until then the kernel's word about what was built a moment ago may still be on its way.
    untold_until_s: float = 0.0
    compared: tuple[str, ...] = ()  # See missed.
    facts_read: bool = False  # The kernel has said what it knows since this daemon started.
    joined_from_s: Mapping[str, float] = field(default_factory=dict)  # See replication.is_joined.
    # When the peer said, while nothing was decided here, that it writes, or may, without this node.
    told_alone_s: float = 0.0
    linked_until_s: float = 0.0  # When the last connection of the data ended.
    relinked: bool = False  # A connection was made while the peer was silent.
    # Connections of the data that ended, and grants; what the peer said before is old.
    losses: int = 0
    reconnects: Mapping[str, Reconnects] = field(default_factory=dict)  # By resource.
    claims: tuple[str, ...] = ()  # Resources that wait for the peer's word before a promotion.
    fence_asked: Mapping[int, str] = field(default_factory=dict)  # Request -> resource.
    # By resource: until when a handler may know of a loss of which the kernel has not told here.
    early_until_s: Mapping[str, float] = field(default_factory=dict)
    going_on: Mapping[int, str] = field(default_factory=dict)  # Decided, and not yet told.
    # By resource: when its fence-peer handler was told to go on, and when its frozen writes may.
    told_at_s: Mapping[str, float] = field(default_factory=dict)
    resume_at_s: Mapping[str, float] = field(default_factory=dict)

    # The applications. The items of each are in the order of their start.
    items: Mapping[str, Mapping[Item, ItemState]] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], Failed] = field(default_factory=dict)  # By (name, node).
    watched: Mapping[str, int] = field(default_factory=dict)  # Which run Lems was told to watch.
    health: Mapping[str, Health] = field(default_factory=dict)
    maintained: Mapping[str, Learnt] = field(default_factory=dict)  # By what it is of.
    unsure: tuple[Item, ...] = ()  # To be looked at again as soon as nothing works on them.
    stray_look: StrayLook = NO_STRAY_LOOK
    fresh: tuple[str, ...] = ()  # Not yet placed since this node was formed.
    moving: tuple[str, ...] = ()  # They stop here to start on the peer.
    trial: Trial = NO_TRIAL  # Before something is given to the peer.
    leased: tuple[str, ...] = ()  # Taken over while the silent peer may still run them.

    @property
    def peer_name(self) -> str:
        return self.built.cluster.peer_of(self.me)

    @property
    def detection_s(self) -> float:
        return self.built.cluster.timing.detection_s

    @property
    def peer_heard(self) -> bool:
        """A beat that echoes our incarnation came within the detection time."""
        return any(self.heard_on(network) for network in self.peer.heard_at_s)

    def heard_on(self, network: str) -> bool:
        """Tell the same of one network."""
        at_s = self.peer.heard_at_s.get(network)
        return at_s is not None and self.now_s - at_s < self.detection_s

    def record(self, application: str) -> Record | None:
        return self.stored.by_application.get(application)

    def items_of(self, application: str) -> Mapping[Item, ItemState]:
        """Return the items of an application; none of one that is not built."""
        return self.items.get(application, {})

    def every_item(self) -> Iterator[tuple[Item, ItemState]]:
        return chain.from_iterable(items.items() for items in self.items.values())
