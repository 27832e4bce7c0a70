"""What the core asks for. Ordered data: a Store is done before anything after it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from hapair.core.words.events import Beat, PeerState
from hapair.core.words.stored import Stored


class Do(StrEnum):
    BRING_UP = "bring up"
    BRING_UP_ANEW = "bring up anew"  # The copy counts as empty: the peer's replaces all of it.
    BRING_UP_AS_IT_IS = "bring up as it is"  # It replaces all of the peer's: a person said so.
    TAKE_DOWN = "take down"
    PROMOTE = "promote"
    DEMOTE = "demote"
    DETACH = "detach by force"
    RESUME = "let frozen writes go on"
    MOUNT = "mount"
    UNMOUNT = "unmount"
    END_HOLDERS = "end holders"
    ADD_ADDRESSES = "add addresses"
    REMOVE_ADDRESSES = "remove addresses"
    ANNOUNCE_ADDRESSES = "announce addresses"  # Neighbours may remember another machine.
    RESTORE_ADDRESSES = "restore addresses"  # They vanished from an application that runs.
    START_PROGRAM = "start program"
    STOP_PROGRAM = "stop program"
    KILL_PROGRAM = "kill program"


class Layer(StrEnum):
    """The layers of an application in the order of their start."""

    ATTACHED = "attached"
    PROMOTED = "promoted"
    MOUNTED = "mounted"
    ADDRESSED = "addressed"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class Store:
    stored: Stored


@dataclass(frozen=True, slots=True)
class Publish:
    """Send this state to the peer; the newest one is repeated whenever a connection opens."""

    state: PeerState


@dataclass(frozen=True, slots=True)
class SetBeat:
    """From now on heartbeats say this."""

    beat: Beat


@dataclass(frozen=True, slots=True)
class Act:
    """Do it and answer with Ended. ``resource`` is empty for addresses and programs."""

    effect_id: int
    do: Do
    application: str
    resource: str
    timeout_s: float
    despite_peer: bool = False  # Take addresses although a card of the peer's still has them.


@dataclass(frozen=True, slots=True)
class Look:
    """Find out whether the item is up and answer with Looked."""

    effect_id: int
    layer: Layer
    application: str
    resource: str


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on let Lems watch this run of an application; Watched answers, again and again."""

    application: str
    run: int  # Grows with each start of its program that succeeded; 0: nobody is to watch.


@dataclass(frozen=True, slots=True)
class ProbeReferences:
    """Ping the reference address of each network that has one; answer with ReferencesProbed."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class AskWitnesses:
    """Ask every witness to grant ``epoch`` to this node, or look at it when that is 0.

    Each answers with one WitnessAnswered.
    """

    epoch: int


@dataclass(frozen=True, slots=True)
class FencePeer:
    """Try the methods against the peer in their order until one proves it off; Fenced answers."""


class FenceVerdict(StrEnum):
    """What the fence-peer handler tells DRBD, by its exit code 1, 4 or 7."""

    DENIED = "denied"  # Writes stay frozen, nothing is promoted.
    PEER_OUTDATED = "peer-outdated"  # Go on: the peer stored that its copy is not to be promoted.
    PEER_FENCED = "peer-fenced"  # Go on: this node has the right to act alone.


GO_ON: Final = (FenceVerdict.PEER_OUTDATED, FenceVerdict.PEER_FENCED)


@dataclass(frozen=True, slots=True)
class AnswerFence:
    request_id: int
    verdict: FenceVerdict
    because: str


@dataclass(frozen=True, slots=True)
class Guard:
    """Feed the watchdog device from now on, or release it: nothing runs here any more."""

    on: bool


@dataclass(frozen=True, slots=True)
class ResetNode:
    """Reset this machine at once, without a shutdown: the application cannot be stopped."""

    application: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a command. It is sent once: when it is refused, or when it is complete."""

    request_id: int
    accepted: bool
    text: str


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"  # A person is needed.


@dataclass(frozen=True, slots=True)
class Note:
    """A line of the history. ``name`` is a stable word, e.g. "detected" or a rule's name."""

    name: str
    text: str
    application: str = ""
    severity: Severity = Severity.INFO


Effect: TypeAlias = (
    Store
    | Publish
    | SetBeat
    | Act
    | Look
    | Watch
    | ProbeReferences
    | AskWitnesses
    | FencePeer
    | AnswerFence
    | Guard
    | ResetNode
    | Reply
    | Note
)
