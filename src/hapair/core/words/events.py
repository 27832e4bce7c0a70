"""Everything that can reach the decision core. Time and results of actions come in as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from hapair.core.words.protocol import FORMER, UNSAID, Speaks, needs
from hapair.model.built import Built
from hapair.model.data import VolumeFacts
from hapair.model.maintenance import Maintenance, Scope
from hapair.model.monitor import Finding
from hapair.model.outcome import Outcome
from hapair.model.status import Phase, Record, Standing, Wanted
from hapair.model.witness import WitnessAnswer


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat says. It was authenticated and was no replay when it gets here."""

    incarnation: int  # Counts the sender's daemon starts; stored, only grows.
    echo: int  # The receiver's incarnation as the sender hears it; 0 while it hears none.
    standing: Standing
    epoch: int
    # Resources that the sender writes without the receiver; None: not all of them are known yet.
    unprotected: tuple[str, ...] | None = ()
    # How often the sender's daemon saw a connection of its data end, or got the right to act alone.
    losses: int = 0
    cannot_store: bool = False  # The sender's disk takes nothing: it can decide on nothing new.
    protocol: int = FORMER
    idle: bool = False  # Nothing above the replication is up, or on its way, on the sender.


@dataclass(frozen=True, slots=True)
class PeerApplication:
    """What the peer says about one application on its side."""

    application: str
    phase: Phase
    data_current: bool  # All volumes UpToDate there.


@dataclass(frozen=True, slots=True)
class WitnessTie:
    """How the sender stands to the witness (row 7; the words are explained in right/witness)."""

    lost_round: int = 0  # Counts this node's losses of the witness; 0 while it answers.
    waiver: bool = False  # This node may act alone without it: the peer has promised to yield.
    yields: int = 0  # The round of the receiver's for which this node promised to stay passive.


@dataclass(frozen=True, slots=True)
class SaidTerms:
    """By whose word the sender takes a right (right/terms)."""

    words: tuple[str, ...] = ()  # Empty: it does not say.
    asks: int = 0  # The number of terms of which the sender does not know yet that they are shared.
    answers: int = 0  # The number that the receiver asked for last; 0: it asks for none.


UNSAID_TERMS: Final = SaidTerms()


@dataclass(frozen=True, slots=True)
class PeerState:
    """All that the two cores tell each other. The newest one replaces all earlier ones."""

    incarnation: int
    accepted: int  # The receiver's incarnation that the sender acts together with; 0: none.
    standing: Standing
    epoch: int
    generation: int  # Of the built configuration.
    records: tuple[Record, ...]
    applications: tuple[PeerApplication, ...]
    left: bool = False  # Halted: runs nothing and starts nothing before it agreed with us again.
    holds_right: bool = False  # The sender stored that it may act alone.
    asked: int = 0  # The highest epoch for which the sender ever asked a witness.
    behind: tuple[str, ...] = ()  # Resources that the sender stored never to promote.
    # Resources without a disk at the sender since it last knew the receiver's copy to be current:
    # it wrote nothing that the receiver lacks.
    wrote_nothing: tuple[str, ...] = field(default=(), metadata=needs("wrote-nothing"))
    # Resources whose copy at the sender is current, of applications that have others that are not.
    partly_current: tuple[str, ...] = ()
    you_miss: tuple[str, ...] = ()  # Resources whose copy at the receiver misses writes.
    seen_losses: int = 0  # The receiver's count that the sender had heard of by then.
    tie: WitnessTie = WitnessTie()
    asks_store: int = 0  # The receiver is to store this number; 0: none.
    stored_for: int = 0  # The last one that the sender has stored.
    speaks: Speaks = UNSAID
    terms: SaidTerms = field(default=UNSAID_TERMS, metadata=needs("terms"))
    maintenance: tuple[Maintenance, ...] = field(default=(), metadata=needs("maintenance"))
    # Follows from the applications, so it is neither compared nor sent.
    by_name: Mapping[str, PeerApplication] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {each.application: each for each in self.applications}
        object.__setattr__(self, "by_name", by_name)


class Start(StrEnum):
    """Which boot policy applies while forming."""

    BY_COMMAND = "command"  # clform
    BY_BOOT = "boot"  # clstartup


@dataclass(frozen=True, slots=True)
class Form:
    """Become a member. Wait at most ``timeout_s`` for the peer, then alone only if allowed."""

    start: Start = Start.BY_COMMAND
    timeout_s: float = 60.0
    allow_single_node: bool = True
    join_existing_cluster: bool = True
    autostart: bool = True


@dataclass(frozen=True, slots=True)
class Leave:
    """Halt this node. With ``handover`` its applications move to the peer, else they stop.

    A hand-over that cannot stop an application here is given up, unless the machine goes down.
    """

    handover: bool
    last: bool = False  # Wait (bounded) until the peer has left, so that this side keeps the right.
    shutdown: bool = False  # The machine goes down after it.


@dataclass(frozen=True, slots=True)
class Introduce:
    """clbuildapp made a new application on this node; its data is here."""

    application: str
    wanted: Wanted
    anew: bool = False  # What is known of one of this name is about a former, released one.


@dataclass(frozen=True, slots=True)
class Want:
    """Let an application of this node be as it was before a release that is taken back."""

    application: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Forget:
    """It was released: what is known of it, and of its copies, is about nothing any more."""

    application: str
    resource: str


@dataclass(frozen=True, slots=True)
class Run:
    application: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Halt:
    application: str


@dataclass(frozen=True, slots=True)
class Move:
    application: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what failed of an application, on both nodes (clrunapp --clear)."""

    application: str


@dataclass(frozen=True, slots=True)
class Maintain:
    """Leave something alone from now on, or no longer (clmaintain). Either node may be told."""

    scope: Scope
    name: str = ""  # Of the application or the node; empty: the cluster.
    on: bool = True
    for_s: float = 0.0  # 0: until it is taken off.
    reason: str = ""
    wall_s: float = 0.0  # For people.


@dataclass(frozen=True, slots=True)
class ConfirmPeerDown:
    """A person states that the peer is off (clconfirm)."""


@dataclass(frozen=True, slots=True)
class ConfirmCopy:
    """A person states that the copies here are good although they were written behind DRBD."""

    application: str


Command: TypeAlias = (
    Form
    | Leave
    | Introduce
    | Want
    | Forget
    | Run
    | Halt
    | Move
    | Clear
    | Maintain
    | ConfirmPeerDown
    | ConfirmCopy
)


@dataclass(frozen=True, slots=True)
class Tick:
    at_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    at_s: float
    network: str
    beat: Beat


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A heartbeat that has the right key, is no replay, and cannot be read: the peer is alive."""

    at_s: float
    incarnation: int  # Authenticated with the key, whatever the rest says.


@dataclass(frozen=True, slots=True)
class HeardTogether:
    """What came while nothing was decided, in its order; ``at_s`` is the time of the last."""

    at_s: float
    beats: tuple[Heard | NotUnderstood, ...]


@dataclass(frozen=True, slots=True)
class PeerStated:
    at_s: float
    state: PeerState
    lives: bool = False  # It speaks now: its incarnation counts, also where it is an older one.


@dataclass(frozen=True, slots=True)
class NotStated:
    """The peer's newest state cannot be read: what it said before holds no longer."""

    at_s: float
    why: str  # For people: the version that said it, and what is wrong.


@dataclass(frozen=True, slots=True)
class DataChanged:
    """The kernel's newest facts of all resources; a resource that is not listed is down."""

    at_s: float
    facts: tuple[VolumeFacts, ...]


@dataclass(frozen=True, slots=True)
class LinkChanged:
    at_s: float
    network: str
    up: bool


@dataclass(frozen=True, slots=True)
class ReferencesProbed:
    """Which networks' reference addresses answered just now."""

    at_s: float
    answering: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WitnessAnswered:
    """One witness answered a question; ``epoch`` is the one asked for, 0 for a mere look."""

    at_s: float
    index: int  # Which of the configured witnesses.
    epoch: int
    answer: WitnessAnswer


@dataclass(frozen=True, slots=True)
class Fenced:
    """All methods against the peer were tried, or one of them proved that it is off."""

    at_s: float
    proven: bool
    text: str


@dataclass(frozen=True, slots=True)
class FenceAsked:
    """DRBD asks whether a Primary may go on, or begin, without its peer (fence-peer handler)."""

    at_s: float
    request_id: int
    resource: str


@dataclass(frozen=True, slots=True)
class FenceAskerGone:
    """The handler of this request has just been given its answer, or gave up waiting."""

    at_s: float
    request_id: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The action of ``effect_id`` ended."""

    at_s: float
    effect_id: int
    outcome: Outcome
    wall_s: float = 0.0  # For people: no clock on the wall decides anything.
    full: tuple[str, ...] = ()  # Of a start that failed: its file systems without any room left.


@dataclass(frozen=True, slots=True)
class EndedTogether:
    """Actions that ended at the same moment; one step takes them in, however many they are."""

    at_s: float
    ends: tuple[Ended, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """The look of ``effect_id`` found the item up, down, or in part (None)."""

    at_s: float
    effect_id: int
    up: bool | None
    # What is wrong with it, for people; an item that is up may have some too. Of a program: why
    # nobody could tell, whatever is said of it besides.
    trouble: str = ""
    blind: bool = False  # Nobody could look.
    wall_s: float = 0.0  # For people.


@dataclass(frozen=True, slots=True)
class LookedTogether:
    """Looks that ended at the same moment; one step takes them in, however many they are."""

    at_s: float
    answers: tuple[Looked, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a mount, or the addresses of an application, looked like in passing.

    It is a reason to look, but no evidence: it may be older than what was done to them since.
    """

    application: str
    resource: str  # Whose mount it is; empty: the addresses.
    up: bool | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Mounts, cards or addresses of this machine changed, or nobody has looked for a while."""

    at_s: float
    seen: tuple[Seen, ...] | None = None  # None: anything may have changed.


@dataclass(frozen=True, slots=True)
class Watched:
    """What the Lems of an application finds now; the newest word replaces all earlier ones.

    It is about one run of the program: a word about another one says nothing.
    """

    at_s: float
    application: str
    run: int  # As in Watch.
    findings: tuple[Finding, ...] = ()  # Monitors that count as failed; none: all is well.
    wall_s: float = 0.0  # For people.


@dataclass(frozen=True, slots=True)
class Unwatched:
    """Lems says nothing any more, although it is wanted: it is silent, or does not stay."""

    at_s: float
    application: str
    why: str  # For people; empty: it speaks again.


@dataclass(frozen=True, slots=True)
class Commanded:
    at_s: float
    request_id: int
    command: Command


@dataclass(frozen=True, slots=True)
class Configured:
    """clbuild or clbuildapp committed a new configuration on this node."""

    at_s: float
    built: Built


Event: TypeAlias = (
    Tick
    | Heard
    | NotUnderstood
    | HeardTogether
    | PeerStated
    | NotStated
    | DataChanged
    | LinkChanged
    | ReferencesProbed
    | WitnessAnswered
    | Fenced
    | FenceAsked
    | FenceAskerGone
    | Ended
    | EndedTogether
    | Looked
    | LookedTogether
    | LookAgain
    | Watched
    | Unwatched
    | Commanded
    | Configured
)
