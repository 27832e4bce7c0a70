"""What one machine's hands do when the core asks: slowly, and not always with success."""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final, assert_never

from hapair.core.words.effects import Act, Do, Layer, Look, ProbeReferences
from hapair.model.data import Disk, Role
from hapair.model.outcome import Done, Foreign, HeldByPeer, NotNow, Outcome, Refused, Unknown
from tests.sim import parcels
from tests.sim.clockwork import Clockwork
from tests.sim.drbd import Resource
from tests.sim.fence import NEEDS_FENCE
from tests.sim.machine import HIDDEN, Daemon, Machine, Parcel, Trouble
from tests.sim.networks import Wire
from tests.sim.replication import Replication

# Seconds, from quick to slow.
TAKES_S: Final[dict[Do, tuple[float, float]]] = {
    Do.BRING_UP: (0.05, 0.3),
    Do.BRING_UP_ANEW: (0.1, 0.6),
    Do.BRING_UP_AS_IT_IS: (0.1, 0.6),
    Do.TAKE_DOWN: (0.05, 0.2),
    Do.PROMOTE: (0.05, 0.3),
    Do.DEMOTE: (0.02, 0.1),
    Do.DETACH: (0.05, 0.4),
    Do.RESUME: (0.05, 0.3),
    Do.MOUNT: (0.05, 0.6),
    Do.UNMOUNT: (0.05, 0.3),
    Do.END_HOLDERS: (0.1, 0.5),
    Do.ADD_ADDRESSES: (0.05, 0.2),
    Do.REMOVE_ADDRESSES: (0.02, 0.1),
    Do.ANNOUNCE_ADDRESSES: (0.01, 0.1),
    Do.RESTORE_ADDRESSES: (0.05, 0.2),
    Do.START_PROGRAM: (0.2, 1.5),
    Do.STOP_PROGRAM: (0.1, 1.0),
    Do.KILL_PROGRAM: (0.1, 0.5),
}
# What is told when nobody can tell: see runtime.node.perform. The other layers are facts.
FAILED_LOOK: Final[dict[Layer, bool | None]] = {
    Layer.PROGRAM: True,
    Layer.ADDRESSED: None,
    Layer.MOUNTED: None,
}
SCRIPTS: Final = {Do.START_PROGRAM: "start", Do.STOP_PROGRAM: "stop"}
LOOK_TAKES_S: Final = (0.002, 0.05)
PING_TAKES_S: Final = (0.005, 0.1)
KERNEL_RETRY_S: Final = 0.1
NOT_PRIMARY: Final = Refused("the device is not Primary")


class Hands:
    """Acts on one machine; the other machine matters where both can see each other."""

    def __init__(
        self,
        clockwork: Clockwork,
        chance: Random,
        machine: Machine,
        peer: Machine,
        resources: Mapping[str, Resource],
    ) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.machine = machine
        self.peer = peer
        self.resources = resources
        self.scripts: list[tuple[Daemon, Act]] = []  # Scripts that have not ended.
        self.wires: Mapping[str, Wire] = {}
        self.replication: Replication | None = None
        self.deliver: Callable[[Daemon, Parcel], None] = lambda _daemon, _parcel: None
        self.on_world: Callable[[Act, Outcome], None] = lambda _act, _outcome: None

    # --- Acting --------------------------------------------------------------------------------

    def act(self, daemon: Daemon, act: Act) -> None:
        daemon.under_way[act.effect_id] = act
        trouble = self.machine.trouble.get((act.do, act.application))
        mounted = self.machine.mounted
        if act.do is Do.MOUNT and mounted.keeping(act.resource) and not mounted.shows(act.resource):
            trouble = Trouble.REFUSED  # What it would hide is seen, if it is there in time.
        if act.do in SCRIPTS:
            self.scripts.append((daemon, act))
        if act.do is Do.START_PROGRAM:
            if self.machine.program(act.application) is False:
                self.machine.programs[act.application] = None  # It is on its way up.
        elif act.do is Do.STOP_PROGRAM and self.machine.program(act.application):
            self.machine.programs[act.application] = None  # It is on its way down.
        if trouble in (Trouble.HANGS, Trouble.HAPPENS_LATE):
            daemon.spoilt.add(act.effect_id)
            self._later(act.timeout_s, partial(self._time_out, daemon, act, trouble))
        else:
            takes_s = self.chance.uniform(*TAKES_S[act.do])
            until_s = self.clockwork.now_s + act.timeout_s
            if act.do is Do.DETACH and not self._is_gone(
                act.resource
            ):  # The disk is gone before its frozen writes are let go.
                resource = self.resources[act.resource]
                resource.side(self.machine.name).given_up = True
                self._later(takes_s / 2, partial(resource.detach, self.machine.name))
            self._later(takes_s, partial(self._finish, daemon, act, trouble, until_s))

    def _later(self, delay_s: float, happening: Callable[[], object]) -> None:
        """Do it after the delay; a pause of the machine holds it up, a power loss ends it."""
        boot = self.machine.boots

        def arrive() -> None:
            if not self.machine.powered or self.machine.boots != boot:
                return
            if self.machine.paused:
                self.machine.deferred.append(happening)
            else:
                happening()

        self.clockwork.after(delay_s, arrive)

    def _finish(self, daemon: Daemon, act: Act, trouble: Trouble | None, until_s: float) -> None:
        if act.effect_id not in daemon.under_way:
            return
        if self._kernel_waits(act) and self.clockwork.now_s < until_s:
            again = partial(self._finish, daemon, act, trouble, until_s)
            self._later(KERNEL_RETRY_S, again)
            return
        outcome: Outcome
        if trouble in (Trouble.REFUSED, Trouble.HALF, Trouble.NOT_NOW):
            outcome = self._fail(act, trouble)
        elif self._kernel_waits(act):
            outcome = Unknown("no answer in time")
        else:
            outcome = self.do(act)
        if outcome is NEEDS_FENCE:
            self._wait_for_handler(act, partial(self._end_if_waited_for, daemon, act))
            wait_s = max(0.0, until_s - self.clockwork.now_s)
            self._later(wait_s, partial(self._time_out, daemon, act, Trouble.HANGS))
            return
        self._end(daemon, act, outcome)

    def _wait_for_handler(self, act: Act, ended: Callable[[Outcome], None]) -> None:
        """Let the promotion go on when the handler has ended, even if nobody waits any more."""

        def go_on(outcome: Outcome) -> None:
            self.on_world(act, outcome)
            ended(outcome)

        if self.replication is not None:
            self.replication.promotions[act.resource, self.machine.name] = go_on

    def _end_if_waited_for(self, daemon: Daemon, act: Act, outcome: Outcome) -> None:
        if act.effect_id in daemon.under_way:
            self._end(daemon, act, outcome)

    def _time_out(self, daemon: Daemon, act: Act, trouble: Trouble) -> None:
        if act.effect_id not in daemon.under_way:
            return
        if trouble is Trouble.HAPPENS_LATE:
            self.do(act)
        elif act.do is Do.START_PROGRAM:
            self.machine.programs[act.application] = None  # The script hung half-way.
        self._end(daemon, act, Unknown("no answer in time"))

    def _end(self, daemon: Daemon, act: Act, outcome: Outcome) -> None:
        del daemon.under_way[act.effect_id]
        if act.do in SCRIPTS:
            self.scripts = [s for s in self.scripts if s != (daemon, act)]
        self.on_world(act, outcome)
        self.deliver(daemon, partial(parcels.ended, act.effect_id, outcome))

    def orphan(self, daemon: Daemon) -> None:
        """Let what a killed daemon had begun happen now, or never, or go on.

        Scripts live in control groups of their own and go on to their end.
        """
        for effect_id, act in tuple(daemon.under_way.items()):
            if act.do not in (Do.START_PROGRAM, Do.STOP_PROGRAM):
                del daemon.under_way[effect_id]
                if self.chance.random() < 0.5 and not self._kernel_waits(act):
                    outcome = self.do(act)
                    if outcome is NEEDS_FENCE:
                        self._wait_for_handler(act, lambda _outcome: None)
                    self.on_world(act, outcome)
                    self._leave_some_addresses(act)

    def _leave_some_addresses(self, act: Act) -> None:
        """Leave some of many addresses in place: the daemon died while it added or removed them."""
        changed = act.do in (Do.ADD_ADDRESSES, Do.RESTORE_ADDRESSES, Do.REMOVE_ADDRESSES)
        if changed and self.chance.random() < 0.5:
            self.machine.addresses[act.application] = None

    def _kernel_waits(self, act: Act) -> bool:
        """Tell whether the kernel waits for the peer that it believes connected.

        A promotion needs its answer, and nothing is unmounted while it has writes under way.
        """
        if act.do not in (Do.PROMOTE, Do.UNMOUNT) or self._is_gone(act.resource):
            return False
        resource = self.resources[act.resource]
        if act.do is Do.UNMOUNT:
            side = resource.side(self.machine.name)
            return bool(side.pending) and not side.suspended
        mine, theirs = resource.side(self.machine.name), resource.other(self.machine.name)
        answers = self.peer.runs and theirs.replicating and self._replication_works()
        return mine.replicating and not answers

    def _replication_works(self) -> bool:
        return next(w for w in self.wires.values() if w.network.replication).two_way

    def _fail(self, act: Act, trouble: Trouble) -> Outcome:
        if trouble is Trouble.NOT_NOW:
            if act.do is Do.START_PROGRAM:
                self.machine.programs[act.application] = False
            return NotNow("too many open files")
        if act.do is Do.START_PROGRAM:
            half = trouble is Trouble.HALF
            self.machine.programs[act.application] = None if half else False
            if half:
                return Unknown("it failed on purpose and left something behind")
        if act.do is Do.STOP_PROGRAM:
            return Unknown("it failed on purpose")  # Nobody knows how much of it still runs.
        return Refused("it failed on purpose")

    def do(self, act: Act) -> Outcome:
        """Do it in the world, now, if the world allows it."""
        name = self.machine.name
        if self._is_gone(act.resource):
            return Refused("no such resource")
        match act.do:
            case Do.BRING_UP | Do.BRING_UP_ANEW | Do.BRING_UP_AS_IT_IS:
                return self._bring_up(act)
            case Do.TAKE_DOWN:
                if self._is_open(act.resource):
                    return Refused("the device is held open")
                return self.resources[act.resource].take_down(name)
            case Do.PROMOTE:
                return self.resources[act.resource].promote(name)
            case Do.DEMOTE:
                if self._is_open(act.resource):
                    return Refused("the device is held open")
                return self.resources[act.resource].demote(name)
            case Do.RESUME:
                return self._resume(act)
            case Do.DETACH:
                return self._detach(act)
            case Do.MOUNT | Do.UNMOUNT | Do.END_HOLDERS:
                return self._do_with_mount(act)
            case Do.ANNOUNCE_ADDRESSES:
                return Done()
            case Do.ADD_ADDRESSES | Do.RESTORE_ADDRESSES | Do.REMOVE_ADDRESSES:
                return self._do_with_addresses(act)
            case Do.START_PROGRAM | Do.STOP_PROGRAM | Do.KILL_PROGRAM:
                return self._do_with_program(act)
            case _ as never:
                assert_never(never)

    def _is_gone(self, resource: str) -> bool:
        """Tell whether it was removed while a daemon still has the former configuration."""
        return bool(resource) and resource not in self.resources

    def _is_open(self, resource: str) -> bool:
        return resource in self.machine.mounted or resource in self.machine.second

    def _bring_up(self, act: Act) -> Outcome:
        resource, name = self.resources[act.resource], self.machine.name
        side = resource.side(name)
        if side.configured:
            other = act.do is not Do.BRING_UP and side.disk is not Disk.INCONSISTENT
            return Refused("it is attached already") if other else resource.bring_up(name)
        if act.do is Do.BRING_UP_ANEW:
            side.empty()
        elif act.do is Do.BRING_UP_AS_IT_IS and not side.meta.consistent:
            return Refused("the copy is not complete")
        elif act.do is Do.BRING_UP_AS_IT_IS:
            side.outrun(resource.identifier())
        elif side.foreign:
            return Foreign("it was written since DRBD let it go")
        return resource.bring_up(name)

    def _resume(self, act: Act) -> Outcome:
        resource, name = self.resources[act.resource], self.machine.name
        if resource.side(name).suspended and self.replication is not None:
            self.replication.let_go(resource, name, resource.resume(name))
        return Done()

    def _detach(self, act: Act) -> Outcome:
        """Give the disk up; only then frozen writes are let go, to fail."""
        resource, name = self.resources[act.resource], self.machine.name
        outcome = resource.detach(name)
        if resource.side(name).suspended:
            resource.resume(name)
        return outcome

    def _do_with_mount(self, act: Act) -> Outcome:
        machine = self.machine
        if act.do is Do.MOUNT:
            resource = self.resources[act.resource]
            if resource.side(machine.name).role is not Role.PRIMARY:
                return NOT_PRIMARY
            if resource.visible(machine.name) is None:
                return Refused("input/output error")
            if act.resource in machine.covered:
                return Refused(HIDDEN)
            machine.mounted.add(act.resource)
        elif act.do is Do.UNMOUNT:
            runs = machine.program(act.application) is not False
            frozen = self.resources[act.resource].side(machine.name).suspended
            if act.resource in machine.covered:
                return Refused(HIDDEN)
            busy = runs or frozen or act.resource in machine.held
            if machine.mounted.shows(act.resource):
                if busy or machine.mounted.keeping(act.resource):
                    return Refused("target is busy")
                machine.mounted.discard(act.resource)
            if act.resource in machine.mounted:
                return Unknown("what hides it has to go first")
        else:
            machine.held.discard(act.resource)
            machine.let_go(act.resource, lambda holder: holder.ends)
            self._kill_scripts(act.application)
            machine.programs[act.application] = False
        return Done()

    def _do_with_addresses(self, act: Act) -> Outcome:
        if act.do is Do.REMOVE_ADDRESSES:
            self.machine.addresses[act.application] = False
            return Done()
        if self.machine.address(act.application) is True:
            return Done()  # Nobody is asked for an address that a card here has already.
        public = self.wires["public"]
        if act.application in public.strangers:
            return Refused("another machine has that address")
        answers = self.peer.runs and self.peer.address(act.application) is not False
        if answers and public.resolves and not act.despite_peer:
            return HeldByPeer("a card of the peer has that address")
        self.machine.addresses[act.application] = True
        return Done()

    def _do_with_program(self, act: Act) -> Outcome:
        self.machine.strays.discard(act.application)  # A start is one anew.
        if act.do is Do.START_PROGRAM:
            entry = self.machine.built.by_name.get(act.application)
            volumes = entry.volumes if entry is not None else ()
            if not all(self.machine.mounted.shows(volume.resource) for volume in volumes):
                self.machine.programs[act.application] = False
                return Refused("the data is not there")
        elif act.do is Do.KILL_PROGRAM:
            self._kill_scripts(act.application)
        elif any(each.do is Do.START_PROGRAM for each in self._scripts_of(act.application)):
            return Unknown("the stop left the start script, which goes on")
        self.machine.programs[act.application] = act.do is Do.START_PROGRAM
        return Done()

    def _kill_scripts(self, application: str) -> None:
        """End what runs in the application's control group, which a stop script is in as well."""
        for daemon, act in tuple(self.scripts):
            if act.application == application and act.effect_id in daemon.under_way:
                self._end(daemon, act, Unknown(f"the {SCRIPTS[act.do]} script was killed"))

    def _scripts_of(self, application: str) -> list[Act]:
        """Return what has not ended of the application's scripts, whoever began it."""
        return [
            act
            for daemon, act in self.scripts
            if act.application == application and act.effect_id in daemon.under_way
        ]

    # --- Looking -------------------------------------------------------------------------------

    def look(self, daemon: Daemon, look: Look) -> None:
        def answer() -> None:
            if self.machine.blind and look.layer in FAILED_LOOK:
                up = FAILED_LOOK[look.layer]
                self.deliver(daemon, partial(parcels.looked_in_vain, look.effect_id, up))
                return
            hidden = look.layer is Layer.MOUNTED and look.resource in self.machine.covered
            trouble = HIDDEN if hidden else ""
            self.deliver(daemon, partial(parcels.looked, look.effect_id, self.seen(look), trouble))

        self._later(self.chance.uniform(*LOOK_TAKES_S), answer)

    def seen(self, look: Look) -> bool | None:
        machine = self.machine
        if self._is_gone(look.resource):
            return False
        match look.layer:
            case Layer.ATTACHED:
                return self.resources[look.resource].side(machine.name).configured
            case Layer.PROMOTED:
                side = self.resources[look.resource].side(machine.name)
                return side.configured and side.role is Role.PRIMARY
            case Layer.MOUNTED:
                if look.resource in machine.covered:
                    return None
                hidden = None if look.resource in machine.mounted else False
                return True if machine.mounted.shows(look.resource) else hidden
            case Layer.ADDRESSED:
                return machine.address(look.application)
            case Layer.PROGRAM:
                return machine.program(look.application)
            case _ as never:
                assert_never(never)

    def probe(self, daemon: Daemon, probe: ProbeReferences) -> None:
        def answer() -> None:
            answering = tuple(
                wire.name
                for wire in self.wires.values()
                if wire.reference_answers(self.machine.name)
            )
            self.deliver(daemon, partial(parcels.probed, answering))

        wanted = [wire for wire in self.wires.values() if wire.network.reference]
        lost = any(not wire.reference_answers(self.machine.name) for wire in wanted)
        self._later(probe.timeout_s if lost else self.chance.uniform(*PING_TAKES_S), answer)
