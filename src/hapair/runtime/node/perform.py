"""Carry effects out: each Act answers exactly one Ended, each Look exactly one Looked."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from hapair.core.words.effects import (
    Act,
    AnswerFence,
    AskWitnesses,
    Do,
    Effect,
    FencePeer,
    Guard,
    Layer,
    Look,
    Note,
    ProbeReferences,
    Publish,
    Reply,
    ResetNode,
    SetBeat,
    Severity,
    Store,
    Watch,
)
from hapair.core.words.events import (
    Beat,
    Ended,
    EndedTogether,
    Event,
    Looked,
    LookedTogether,
    PeerState,
    ReferencesProbed,
)
from hapair.core.words.stored import Stored
from hapair.model import timing
from hapair.model.application import Application, ServiceAddress, Volume
from hapair.model.built import Built
from hapair.model.data import Role
from hapair.model.outcome import PASSING, Done, NotNow, Outcome, Refused, Unknown
from hapair.model.presence import Presence
from hapair.ports.data import BackingVolumes, FileSystems, Replication
from hapair.ports.machine import Clock
from hapair.ports.network import Addresses, Paths
from hapair.ports.programs import Programs
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.attachments import Attachments
from hapair.runtime.node.turns import Turns
from hapair.runtime.node.views import UnderWay

# An adapter ends its work at the time-out; this much later it is given up on.
GRACE_S: Final = 2.0
LOOK_TIMEOUT_S: Final = 10.0
PROGRAM_LOOK_S: Final = timing.MONITOR_S + GRACE_S  # An agent's monitor has its time.
HELD_LOOK_S: Final = 5.0
FULL_LOOK_S: Final = 2.0
# Each is a program that waits for the kernel, which waits for DRBD's handler. As many as there are:
# udev's rules run for each that is done, and would go before those that are still to come.
PROMOTED_AT_ONCE: Final = 32
HELD_OPEN: Final = "held open"  # DRBD's words for a device that somebody uses.
# They end what is under way, a start that hangs or an unmount that waits for frozen writes, so
# they must not wait for it.
ENDS_OTHERS: Final = (Do.KILL_PROGRAM, Do.DETACH, Do.RESUME)

# A node that lost its right has only its lease to end what runs, however much that is. Mounts are
# made together, and what is done to addresses takes nothing that others could wait for.
WAITS_FOR_NOBODY: Final = (
    *ENDS_OTHERS,
    Do.STOP_PROGRAM,
    Do.END_HOLDERS,
    Do.MOUNT,
    Do.UNMOUNT,
    Do.ADD_ADDRESSES,
    Do.REMOVE_ADDRESSES,
    Do.ANNOUNCE_ADDRESSES,
    Do.RESTORE_ADDRESSES,
)

OF_PROGRAMS: Final = (Do.START_PROGRAM, Do.STOP_PROGRAM, Do.KILL_PROGRAM)
KILLED_BEFORE: Final = "it was killed before it began"

Spawn: TypeAlias = Callable[[Coroutine[object, object, None]], object]


@dataclass(frozen=True, slots=True)
class Hands:
    """The adapters that act on this machine."""

    replication: Replication
    backing: BackingVolumes
    file_systems: FileSystems
    addresses: Addresses
    programs: Programs
    paths: Paths


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where effects go that are no actions on this machine."""

    store: Callable[[Stored], Awaitable[None]]  # Returns when it is on the disk.
    publish: Callable[[PeerState], None]
    set_beat: Callable[[Beat], None]
    reply: Callable[[Reply], None]
    note: Callable[[Note], None]
    offer: Callable[[Event], None]
    ask_witnesses: Callable[[int], None]  # For this epoch; 0: only look.
    fence: Callable[[], None]
    answer_fence: Callable[[AnswerFence], None]
    guard: Callable[[bool], None]
    reset: Callable[[ResetNode], object]
    watch: Callable[[Watch], None]


class Performer:
    """Independent actions run in parallel, some at a time; those on one item one after the other.

    The time limit of an action begins with its turn.
    """

    def __init__(
        self, hands: Hands, outlets: Outlets, journal: Journal, clock: Clock, spawn: Spawn
    ) -> None:
        self._hands = hands
        self._outlets = outlets
        self._journal = journal
        self._clock = clock
        self._spawn = spawn
        self._turns = Turns(wider={Do.PROMOTE: PROMOTED_AT_ONCE})
        # A lock lives as long as somebody has it or waits for it.
        self._locks = WeakValueDictionary[tuple[str, str, str], asyncio.Lock]()
        self._to_start: dict[str, int] = {}  # By application: the start that has not begun yet.
        self._answers: list[Looked] = []  # Of looks that have just ended.
        self._ends: list[Ended] = []  # Of actions that have just ended.
        self.programs: dict[str, UnderWay] = {}  # By application: what is being done to it.
        self.attachments = Attachments(hands.replication, hands.backing)
        self.built: Built | None = None  # What effects refer to by name.

    async def perform(self, effect: Effect) -> None:
        match effect:
            case Store():
                await self._outlets.store(effect.stored)
            case Publish():
                self._outlets.publish(effect.state)
            case SetBeat():
                self._outlets.set_beat(effect.beat)
            case Act():
                self._plan_start(effect)
                self._spawn(self._act(effect))
            case Look():
                self._spawn(self._look(effect))
            case Watch():
                self._outlets.watch(effect)
            case ProbeReferences():
                self._spawn(self._probe(effect))
            case AskWitnesses(epoch):
                self._outlets.ask_witnesses(epoch)
            case FencePeer():
                self._outlets.fence()
            case AnswerFence():
                self._outlets.answer_fence(effect)
            case Guard(on):
                self._outlets.guard(on)
            case ResetNode():
                self._outlets.reset(effect)
            case Reply():
                self._outlets.reply(effect)
            case Note():
                self._outlets.note(effect)

    def _plan_start(self, act: Act) -> None:
        """Let a start wait for its turn, until it is killed: what waits cannot be killed yet."""
        if act.do is Do.START_PROGRAM:
            self._to_start[act.application] = act.effect_id
        elif act.do is Do.KILL_PROGRAM:
            self._to_start.pop(act.application, None)

    def _is_withdrawn(self, act: Act) -> bool:
        if act.do is not Do.START_PROGRAM:
            return False
        if self._to_start.get(act.application) != act.effect_id:
            return True
        del self._to_start[act.application]
        return False

    async def _act(self, act: Act) -> None:
        async with self._lock(act), self._turn(act):
            began_s = self._clock.boot_s()
            withdrawn = self._is_withdrawn(act)
            with self._told_of(act, began_s):
                outcome = Refused(KILLED_BEFORE) if withdrawn else await self._outcome(act)
                full = await self._full(act, outcome)
        at_s = self._clock.boot_s()
        self._tell(act, outcome, at_s - began_s)
        if not self._ends:
            asyncio.get_running_loop().call_soon(self._tell_ends)
        self._ends.append(Ended(at_s, act.effect_id, outcome, self._clock.wall_s(), full))

    @contextmanager
    def _told_of(self, act: Act, began_s: float) -> Iterator[None]:
        """Let a status tell what is being done to a program: the last that was begun."""
        if act.do not in OF_PROGRAMS:
            yield
            return
        mine = self.programs[act.application] = UnderWay(act.do, began_s, act.timeout_s)
        try:
            yield
        finally:
            if self.programs.get(act.application) is mine:
                del self.programs[act.application]

    async def _outcome(self, act: Act) -> Outcome:
        try:
            async with asyncio.timeout(act.timeout_s + GRACE_S):
                return await self._work(act)
        except TimeoutError:
            return Unknown(f"{act.do}: no answer within {act.timeout_s:g} s")
        except OSError as error:
            why = f"{act.do}: {error}"
            return NotNow(why) if error.errno in PASSING else Unknown(why)

    async def _full(self, act: Act, outcome: Outcome) -> tuple[str, ...]:
        """Return where a program that did not start may have found no room."""
        built = self._application(act.application)
        if act.do is not Do.START_PROGRAM or isinstance(outcome, Done) or built is None:
            return ()
        volumes = built[1].values()
        asked = (self._hands.file_systems.full(each, timeout_s=FULL_LOOK_S) for each in volumes)
        found = await asyncio.gather(*asked)
        return tuple(v.mount_point for v, full in zip(volumes, found, strict=True) if full)

    def _tell_ends(self) -> None:
        """Tell together what ended together: each event is a decision about everything."""
        ends, self._ends = tuple(self._ends), []
        many = EndedTogether(self._clock.boot_s(), ends)
        self._outlets.offer(ends[0] if len(ends) == 1 else many)

    def _lock(self, act: Act) -> asyncio.Lock:
        if act.do in ENDS_OTHERS:
            return asyncio.Lock()
        kind = "" if act.resource else act.do.split()[-1]  # "program" or "addresses".
        return self._locks.setdefault((act.application, act.resource, kind), asyncio.Lock())

    def _turn(self, act: Act) -> AbstractAsyncContextManager[None]:
        if act.do in WAITS_FOR_NOBODY:
            return nullcontext()
        return self._turns.turn(act.do, self._rank(act.application))

    def _rank(self, application: str) -> int:
        """Return its place: that in the order of resyncs, which says what matters most."""
        order = self.built.cluster.resync.order if self.built else ()
        return order.index(application) if application in order else len(order)

    async def _work(self, act: Act) -> Outcome:
        built = self._application(act.application)
        if built is None:
            return Refused(f"{act.application} is not built on this node")
        application, volumes = built
        if act.resource:
            volume = volumes.get(act.resource)
            if volume is None:
                return Refused(f"{act.resource} is not built on this node")
            return await self._on_volume(act.do, volume, act.timeout_s)
        return await self._on_application(act, application)

    def _application(self, name: str) -> tuple[Application, dict[str, Volume]] | None:
        for built in self.built.applications if self.built else ():
            if built.application.name == name:
                return built.application, {volume.resource: volume for volume in built.volumes}
        return None

    async def _on_volume(self, do: Do, volume: Volume, timeout_s: float) -> Outcome:
        replication, file_systems = self._hands.replication, self._hands.file_systems
        match do:
            case Do.BRING_UP | Do.BRING_UP_ANEW | Do.BRING_UP_AS_IT_IS:
                return await self.attachments.bring_up(do, volume, timeout_s)
            case Do.TAKE_DOWN:
                outcome = await self.attachments.take_down(volume, timeout_s)
                return await self._with_holders(outcome, volume)
            case Do.PROMOTE:
                return await replication.promote(volume, timeout_s=timeout_s)
            case Do.DEMOTE:
                outcome = await replication.demote(volume, timeout_s=timeout_s)
                return await self._with_holders(outcome, volume)
            case Do.RESUME:
                return await replication.resume(volume, timeout_s=timeout_s)
            case Do.DETACH:
                return await replication.detach_by_force(volume, timeout_s=timeout_s)
            case Do.MOUNT:
                return await file_systems.mount(volume, timeout_s=timeout_s)
            case Do.UNMOUNT:
                return await file_systems.unmount(volume, timeout_s=timeout_s)
            case Do.END_HOLDERS:
                return await file_systems.end_holders(volume, timeout_s=timeout_s)
            case _:
                return Refused(f"{do} is not done to a volume")

    async def _with_holders(self, outcome: Outcome, volume: Volume) -> Outcome:
        """Say who holds a device that cannot be given up: its driver only counts them."""
        if not isinstance(outcome, Refused):
            return outcome
        held = await self._hands.file_systems.held(volume, None, timeout_s=HELD_LOOK_S)
        if not held.found and HELD_OPEN not in outcome.why:
            return outcome
        return Refused(f"{outcome.why}; {volume.device} is held by {held.named()}")

    async def _on_application(self, act: Act, application: Application) -> Outcome:
        timeout_s, despite = act.timeout_s, act.despite_peer
        addresses, programs = self._hands.addresses, self._hands.programs
        name, program = application.name, application.program
        match act.do:
            case Do.ADD_ADDRESSES:
                return await addresses.add(
                    application.addresses, timeout_s=timeout_s, despite_peer=despite
                )
            case Do.RESTORE_ADDRESSES:
                return await self._restore(application.addresses, timeout_s, despite_peer=despite)
            case Do.REMOVE_ADDRESSES:
                return await addresses.remove(application.addresses, timeout_s=timeout_s)
            case Do.ANNOUNCE_ADDRESSES:
                return await addresses.announce(application.addresses, timeout_s=timeout_s)
            case _ if program is None:
                return Done("it has no program")
            case Do.START_PROGRAM:
                return await programs.start(name, program, timeout_s=timeout_s)
            case Do.STOP_PROGRAM:
                return await programs.stop(name, program, timeout_s=timeout_s)
            case Do.KILL_PROGRAM:
                return await programs.kill(name, program, timeout_s=timeout_s)
            case _:
                return Refused(f"{act.do} is done to a volume")

    async def _restore(
        self, wanted: tuple[ServiceAddress, ...], timeout_s: float, *, despite_peer: bool
    ) -> Outcome:
        """Put back what can be put back: one that cannot keeps no other one away."""
        outcome = await self._hands.addresses.add(
            wanted, timeout_s=timeout_s, despite_peer=despite_peer
        )
        if isinstance(outcome, Done) or len(wanted) == 1:
            return outcome
        half = len(wanted) // 2
        first = await self._restore(wanted[:half], timeout_s, despite_peer=despite_peer)
        second = await self._restore(wanted[half:], timeout_s, despite_peer=despite_peer)
        return second if isinstance(first, Done) else first

    def _tell(self, act: Act, outcome: Outcome, took_s: float) -> None:
        if act.do is Do.RESTORE_ADDRESSES:
            return  # The core says it, as long as it is news.
        what = act.resource or act.application
        text, severity = _told(what, outcome)
        self._journal.add(
            act.do, text, application=act.application, severity=severity, took_s=took_s
        )

    async def _look(self, look: Look) -> None:
        blind = False
        try:
            limit_s = PROGRAM_LOOK_S if look.layer is Layer.PROGRAM else LOOK_TIMEOUT_S
            async with self._look_turn(look), asyncio.timeout(limit_s):
                found = await self._found(look)
        except (TimeoutError, OSError) as error:
            blind = True
            why = str(error) or "no answer in time"
            if look.layer is Layer.PROGRAM:  # The core says it, while it is news.
                found = Presence(up=True, trouble=f"cannot tell whether its program runs: {why}")
            else:
                found = Presence(None, f"cannot tell whether it is {look.layer}: {why}")
                self._journal.add(
                    "look failed",
                    found.trouble,
                    application=look.application,
                    severity=Severity.WARNING,
                )
        at_s, wall_s = self._clock.boot_s(), self._clock.wall_s()
        answer = Looked(at_s, look.effect_id, found.up, found.trouble, blind, wall_s)
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._tell_answers)
        self._answers.append(answer)

    def _look_turn(self, look: Look) -> AbstractAsyncContextManager[None]:
        """A program is asked by another program; all else is read once for all who ask."""
        if look.layer is not Layer.PROGRAM:
            return nullcontext()
        return self._turns.turn(look.layer, self._rank(look.application))

    def _tell_answers(self) -> None:
        """Tell together what was found together, for the same reason."""
        answers, self._answers = tuple(self._answers), []
        self._outlets.offer(LookedTogether(self._clock.boot_s(), answers))

    async def _found(self, look: Look) -> Presence:
        built = self._application(look.application)
        if built is None:
            return Presence(up=False)
        application, volumes = built
        facts = self._hands.replication.facts(look.resource)
        match look.layer:
            case Layer.ATTACHED:
                return Presence(facts is not None)
            case Layer.PROMOTED:
                return Presence(facts is not None and facts.role is Role.PRIMARY)
            case Layer.MOUNTED:
                if (volume := volumes.get(look.resource)) is None:
                    return Presence(up=False)
                (found,) = await self._hands.file_systems.mounted_each((volume,))
                return found
            case Layer.ADDRESSED:
                (found,) = await self._hands.addresses.present_each((application.addresses,))
                return found
            case Layer.PROGRAM if application.program is not None:
                programs = self._hands.programs
                return Presence(await programs.running(application.name, application.program))
            case Layer.PROGRAM:
                return Presence(None)

    async def _probe(self, probe: ProbeReferences) -> None:
        networks = self.built.cluster.networks if self.built else ()
        asked = [network.name for network in networks if network.reference is not None]
        answers = await asyncio.gather(
            *(self._reference_answers(name, probe.timeout_s) for name in asked)
        )
        answering = tuple(name for name, answer in zip(asked, answers, strict=True) if answer)
        self._outlets.offer(ReferencesProbed(self._clock.boot_s(), answering))

    async def _reference_answers(self, network: str, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s + GRACE_S):
                return await self._hands.paths.reference_answers(network, timeout_s=timeout_s)
        except (TimeoutError, OSError):
            return False


def _told(what: str, outcome: Outcome) -> tuple[str, Severity]:
    match outcome:
        case Done(note):
            return f"{what}: {note}" if note else what, Severity.INFO
        case Refused(why):
            return f"{what}: refused: {why}", Severity.WARNING
        case Unknown(why):
            return f"{what}: {why}", Severity.WARNING
