"""One node: what survives a power loss, what survives a kill of the daemon, what does not."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from hapair.core.words.effects import Act, Do, Effect
from hapair.core.words.events import Beat, Event, Heard, NotUnderstood, PeerState
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model import monitor
from hapair.model.built import Built
from hapair.runtime.daemon import next_incarnation
from hapair.runtime.node.beats import Listener
from tests.sim.mounted import Mounts
from tests.sim.speaker import Speaker

HIDDEN: Final = "something is mounted over it"
WALL_CLOCK_S: Final = 1000.0  # At the beginning of a run.


class Core(Protocol):
    """The decision core, or a mutant of it."""

    def begin(
        self,
        me: str,
        boot_id: str,
        incarnation: int,
        built: Built,
        stored: Stored,
        at_s: float,
    ) -> tuple[NodeState, Sequence[Effect]]: ...

    def step(self, state: NodeState, event: Event) -> tuple[NodeState, Sequence[Effect]]: ...


class Trouble(StrEnum):
    """How an action goes wrong."""

    REFUSED = "refused"
    HANGS = "hangs"  # The time-out answers; nothing happened.
    HAPPENS_LATE = "happens late"  # The time-out answers, but it did happen.
    HALF = "half"  # A start that failed and left something of the program behind.
    NOT_NOW = "not now"  # The node lacks the means; nothing happened.


@dataclass(frozen=True, slots=True, eq=False)
class Holder:
    """What has a device open besides its mount: a bind mount, a container, a map, a program."""

    ends: bool  # The stop ladder ends it.


Parcel = Callable[[float], Event]  # Becomes an event when it is read, at a time known only then.


@dataclass(slots=True)
class Daemon:
    """One life of the daemon's process."""

    state: NodeState
    beat: Beat | None = None
    newest: PeerState | None = None
    received_at_s: float = float("-inf")  # When any heartbeat came.
    echoed_at_s: float | None = None  # When one came that echoes this daemon.
    speaker: Speaker = field(default_factory=Speaker)
    listener: Listener = field(default_factory=Listener)
    hung: bool = False
    # Of one that hangs while its heart beats: until when it does. What that hears is handed over
    # when the daemon goes on; later nothing is heard.
    beats_until_s: float | None = None
    heard: list[Heard | NotUnderstood] = field(default_factory=list)
    storing: bool = False
    disk_works: bool = False  # It has taken something since this daemon started.
    holds_watchdog: bool = False
    inbox: deque[Parcel] = field(default_factory=deque)
    facts_due: bool = False  # A DataChanged is on its way.
    watched: dict[str, int] = field(default_factory=dict)  # Which run, by application.
    tick_due: bool = False  # Ticks do not pile up while the daemon is stopped.
    under_way: dict[int, Act] = field(default_factory=dict)  # By effect id.
    spoilt: set[int] = field(default_factory=set)  # Which of these only the time-out ends.


@dataclass(slots=True)
class Machine:
    name: str
    built: Built
    clock_rate: float = 1.0  # Seconds that its boot clock counts in a second.
    wall_jump_s: float = 0.0  # By so much its wall clock is wrong.
    # What the disk keeps.
    disk: Stored = field(default_factory=Stored)
    storing: Stored | None = None  # On its way to the disk: no fsync has returned yet.
    incarnation: int = 0
    # What a power loss ends.
    forgot: bool = False  # A daemon ended while the disk took nothing: see runtime.node.mark.
    powered: bool = False
    boots: int = 0
    booted_at_s: float = 0.0
    paused: bool = False
    woke_at_s: float = float("-inf")  # When it last went on after that.
    daemon: Daemon | None = None
    mounted: Mounts = field(default_factory=Mounts)
    covered: set[str] = field(default_factory=set)  # Mounts over which a stranger mounted.
    held: set[str] = field(default_factory=set)  # Mounts that a stranger's process keeps busy.
    sick: list[tuple[str, monitor.Trouble]] = field(
        default_factory=list
    )  # What monitors find here.
    found: set[tuple[str, int]] = field(default_factory=set)  # Runs of which they found something.
    # What holds devices besides their mounts, by resource; none is listed without a holder.
    second: dict[str, tuple[Holder, ...]] = field(default_factory=dict)
    # By application; None: some of it is there.
    addresses: dict[str, bool | None] = field(default_factory=dict)
    programs: dict[str, bool | None] = field(default_factory=dict)
    strays: set[str] = field(default_factory=set)  # Programs that somebody started beside us.
    deferred: list[Callable[[], object]] = field(default_factory=list)  # While paused.
    # Faults.
    trouble: dict[tuple[Do, str], Trouble] = field(default_factory=dict)
    store_s: float = 0.0  # How long an fsync takes; infinite: the disk takes nothing.
    blind: int = 0  # Faults for which a look tells nothing; they may overlap, as the next may.
    streamless: int = 0  # For which the kernel is read now and then.
    full_since_s: float | None = None  # Since when it takes nothing.
    guarded: bool = False  # The watchdog device counts.
    fed_at_s: float = 0.0
    effects_until_crash: int = 0  # 0: no crash is planned.
    crash: Callable[[], None] | None = None

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot{self.boots}"

    @property
    def runs(self) -> bool:
        """Tell whether the kernel of this node does anything just now."""
        return self.powered and not self.paused

    @property
    def listens(self) -> bool:
        """Tell whether the daemon of this node does anything just now."""
        return self.runs and self.daemon is not None and not self.daemon.hung

    def beats(self, now_s: float) -> bool:
        """Tell whether the heart of its daemon sends and hears anything just now."""
        until_s = self.daemon.beats_until_s if self.daemon is not None else None
        return self.listens if until_s is None else self.runs and now_s < until_s

    def clock_s(self, now_s: float) -> float:
        """Return what its boot clock shows."""
        return (now_s - self.booted_at_s) * self.clock_rate

    def program(self, application: str) -> bool | None:
        return self.programs.get(application, False)

    def address(self, application: str) -> bool | None:
        return self.addresses.get(application, False)

    def hold(self, resource: str, holder: Holder) -> None:
        self.second[resource] = (*self.second.get(resource, ()), holder)

    def let_go(self, resource: str, gone: Callable[[Holder], bool]) -> None:
        """Let these holders of a device be gone."""
        left = tuple(each for each in self.second.pop(resource, ()) if not gone(each))
        if left:
            self.second[resource] = left

    def count_start(self, now_s: float) -> None:
        """Give the daemon that starts now its incarnation."""
        wall_s = WALL_CLOCK_S + now_s + self.wall_jump_s
        self.incarnation = next_incarnation(b"%d" % self.incarnation, wall_s)

    def wake(self) -> None:
        """Let everything happen that was due while the machine stood still."""
        if self.daemon is not None and self.daemon.beats_until_s is not None:
            self.daemon.beats_until_s = 0.0  # A heart that stood still waits for a decision.
        deferred, self.deferred = self.deferred, []
        for happening in deferred:
            happening()

    def lose_power(self) -> None:
        """Forget everything that is not on the disk."""
        self.powered = self.paused = self.guarded = False
        self.forgot = False
        self.daemon = None
        self.mounted.clear()
        self.covered.clear()
        self.held.clear()
        self.second.clear()
        self.addresses.clear()
        self.programs.clear()
        self.strays.clear()
        self.deferred.clear()
        self.effects_until_crash = 0
