"""Two nodes, their disks, networks, DRBD and clients, in virtual time; everything from one seed."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Final, assert_never

from hapair.core.node import forgetful
from hapair.core.words.effects import (
    Act,
    AnswerFence,
    AskWitnesses,
    Effect,
    FencePeer,
    Guard,
    Look,
    Note,
    ProbeReferences,
    Publish,
    Reply,
    ResetNode,
    SetBeat,
    Store,
    Watch,
)
from hapair.core.words.events import Command, ConfirmPeerDown, Event, PeerState, Tick
from hapair.core.words.state import NodeState
from hapair.model.outcome import Outcome
from hapair.ports.peer import UNDECIDED_MAX_S
from tests.checkers.rules import one_writer
from tests.sim import boots, parcels, watchdog
from tests.sim.beats import Beats
from tests.sim.client import Clients
from tests.sim.clockwork import Clockwork
from tests.sim.disks import Disks, cannot_store, when_stored
from tests.sim.drbd import Resource
from tests.sim.handlers import Handlers
from tests.sim.hands import Hands
from tests.sim.machine import Core, Daemon, Machine, Parcel
from tests.sim.messages import as_answered, as_installed, as_kept, as_received
from tests.sim.networks import Wire
from tests.sim.others import Others
from tests.sim.replication import Replication, resource_of
from tests.sim.seen import facts_told, kernel_seen
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, built_from, other
from tests.sim.sides import Side
from tests.sim.third_parties import ThirdParties
from tests.sim.tunnel import Tunnel

FACTS_TAKE_S: Final = (0.002, 0.03)
SYSTEMD_RESTARTS_AFTER_S: Final = 0.5
INBOX_MAX: Final = 400  # No more heartbeats wait for a daemon that is stopped, or for its disk.
READS_ITSELF_S: Final = (0.002, 1.0)  # What is known of the kernel, while no stream tells of it.

Trace = Callable[[float, str, object], None]


def _nothing(*_: object) -> None:
    pass


class World:
    """The driver of a run calls the verbs of this class; the core does the rest."""

    def __init__(self, shape: Shape, core: Core, seed: str, trace: Trace | None = None) -> None:
        self.shape = shape
        self.core = core
        self.trace = trace
        self.chance = Random(f"{seed}/world")
        self.clockwork = Clockwork()
        built = built_from(shape)
        self.built = built
        self.disks = Disks(seed)
        self.machines = {
            node: Machine(node, built, clock_rate=rate)
            for node, rate in zip(NODES, shape.clock_rates, strict=True)
        }
        self.resources = {v.resource: resource_of(v.resource) for v in built.volumes()}
        self.wires = {
            network.name: Wire(network, NODES, self._powered) for network in built.cluster.networks
        }
        self.replies: dict[int, Reply] = {}
        self.requests = 0
        self.notes: list[tuple[float, str, Note]] = []
        self.confirmed = False  # An operator took responsibility for what a silent peer had.
        self.troubled = False  # Some action was made to fail.
        self.on_act: Callable[[Machine, NodeState, Act], None] = _nothing
        self.on_store: Callable[[Machine], None] = _nothing
        self.on_watch: Callable[[Machine, str], None] = _nothing
        self.on_command: Callable[[str, Command], None] = _nothing
        self.on_resync: Callable[[Side, Side], None] = _nothing
        self.faults_end: Callable[[], None] = _nothing
        self.building = False  # An application is being built or removed.
        self._links: dict[tuple[str, str], bool] = {}
        self._assemble(seed)

    def _assemble(self, seed: str) -> None:
        clockwork, chance = self.clockwork, self.chance
        self.replication = Replication(
            clockwork, chance, self.machines, self.resources.values(), self.wires[PRIVATE]
        )
        self.handlers = Handlers(clockwork, chance, self.machines, self.deliver)
        self.replication.handlers = self.handlers
        self.clients = Clients(clockwork, chance, self.machines, self.resources, self.wires[PUBLIC])
        self.clients.path_works = lambda: self.replication.path_works
        self.replication.on_acknowledged = self.clients.late
        self.third_parties = ThirdParties(clockwork, chance, self.built.cluster)
        self.third_parties.power_off = self.power_off
        self.third_parties.power_on = self.power_on
        self.tunnel = Tunnel(
            clockwork,
            chance,
            tuple(self.wires.values()),
            alive=lambda node: self.machines[node].listens,
            newest=self._newest,
            deliver=self._deliver_state,
        )
        self.beats = Beats(clockwork, chance, self.machines, self.wires, self.deliver)
        self.hands: dict[str, Hands] = {}
        for node, machine in self.machines.items():
            peer = self.machines[other(node)]
            hands = Hands(clockwork, chance, machine, peer, self.resources)
            hands.wires = self.wires
            hands.replication = self.replication
            hands.deliver = partial(self.deliver, machine)
            hands.on_world = partial(self._acted, machine)
            self.hands[node] = hands
        self.others = Others(clockwork, self.machines, self.handlers, self.shape.others, seed)
        self.others.on_change = self._facts_changed
        for resource in self.resources.values():
            self.tend(resource)

    def tend(self, resource: Resource) -> None:
        resource.on_change = self._facts_changed
        resource.keeps = self.disks.keeps
        resource.on_resync = self._resync

    # --- Time and what is seen -----------------------------------------------------------------

    def run_for(self, duration_s: float) -> None:
        self.clockwork.run_until(self.clockwork.now_s + duration_s)

    def say(self, who: str, what: object) -> None:
        if self.trace is not None:
            self.trace(self.clockwork.now_s, who, what)

    def _resync(self, source: Side, target: Side) -> None:
        self.on_resync(source, target)

    def _powered(self, node: str) -> bool:
        return self.machines[node].powered

    def check_one_writer(self) -> None:
        look = partial(kernel_seen, self.replication, self.built)
        one_writer([look(machine) for machine in self.machines.values()])

    def state(self, node: str) -> NodeState | None:
        daemon = self.machines[node].daemon
        return daemon.state if daemon is not None else None

    # --- Power and processes -------------------------------------------------------------------

    def power_on(self, node: str, *, form: bool = True) -> None:
        """Boot the node; the boot unit forms it when ``form`` is set."""
        machine = self.machines[node]
        if machine.powered:
            return
        machine.powered = True
        machine.boots += 1
        machine.booted_at_s = self.clockwork.now_s
        self.say(node, "power on")
        self._changed()
        self.start_daemon(node)
        if form:
            boot = machine.boots
            self.clockwork.after(boots.UNIT_AFTER_S, partial(boots.ask, self, machine, boot))

    def power_off(self, node: str) -> None:
        machine = self.machines[node]
        if not machine.powered:
            return
        self.say(node, "power off")
        self._interrupt_store(machine)
        machine.lose_power()
        for resource in self.resources.values():
            resource.crash(node)
        self.tunnel.close()
        self._changed()

    def start_daemon(self, node: str) -> None:
        machine = self.machines[node]
        if not machine.powered or machine.daemon is not None:
            return
        machine.count_start(self.clockwork.now_s)
        self.say(node, f"daemon starts, incarnation {machine.incarnation}")
        state, effects = self.core.begin(
            node,
            machine.boot_id,
            machine.incarnation,
            as_installed(machine.built),
            as_kept(machine.disk),
            machine.clock_s(self.clockwork.now_s),
        )
        daemon = machine.daemon = Daemon(forgetful(state) if machine.forgot else state)
        when_stored(self.clockwork, machine, lambda: setattr(daemon, "disk_works", True))
        self._perform(machine, daemon, effects)
        self._facts_changed(node)
        for name, wire in self.wires.items():
            self.deliver(machine, daemon, partial(parcels.link_changed, name, wire.link_up(node)))
        self._pulse(machine, daemon)
        self.tunnel.try_to_open()

    def kill_daemon(self, node: str, restart_s: float = SYSTEMD_RESTARTS_AFTER_S) -> None:
        """Kill the daemon with signal 9; systemd starts it again after ``restart_s``."""
        machine = self.machines[node]
        daemon = machine.daemon
        if daemon is None:
            return
        self.say(node, "daemon killed")
        machine.daemon = None
        machine.forgot |= cannot_store(machine, self.clockwork.now_s)
        watchdog.let_go(self, machine, daemon)
        self._interrupt_store(machine)
        self.hands[node].orphan(daemon)
        self.tunnel.close()
        boot = machine.boots

        def start() -> None:
            if machine.boots == boot:
                self.start_daemon(node)

        self.clockwork.after(restart_s, start)

    def hang_daemon(self, node: str, *, beats: bool = False) -> None:
        daemon = self.machines[node].daemon
        if daemon is not None:
            self.say(node, "daemon stopped (SIGSTOP)")
            daemon.hung = True
            daemon.beats_until_s = self.clockwork.now_s + UNDECIDED_MAX_S if beats else None

    def continue_daemon(self, node: str) -> None:
        machine = self.machines[node]
        if machine.daemon is not None and machine.daemon.hung:
            self.say(node, "daemon continues")
            machine.daemon.hung, machine.daemon.beats_until_s = False, None
            self._work(machine, machine.daemon)
            self.tunnel.try_to_open()

    def pause(self, node: str) -> None:
        """Freeze the whole machine, kernel included."""
        machine = self.machines[node]
        if machine.runs:
            self.say(node, "machine paused")
            machine.paused = True
            self.tunnel.close()
            self._changed()

    def resume(self, node: str) -> None:
        machine = self.machines[node]
        if not machine.paused:
            return
        self.say(node, "machine resumes")
        machine.paused = False
        machine.woke_at_s = self.clockwork.now_s
        machine.wake()
        if machine.daemon is not None:
            self._work(machine, machine.daemon)
        self.tunnel.try_to_open()
        self._changed()

    def _changed(self) -> None:
        """Let all who watch power, pauses or networks look again."""
        self.replication.check()
        self.tunnel.network_changed()
        for name, wire in self.wires.items():
            for node, machine in self.machines.items():
                up = machine.powered and wire.link_up(node)
                if self._links.get((name, node), True) is not up:
                    self._links[name, node] = up
                    if machine.daemon is not None:
                        parcel: Parcel = partial(parcels.link_changed, name, up)
                        self.deliver(machine, machine.daemon, parcel)

    networks_changed = _changed

    # --- Events in, effects out ----------------------------------------------------------------

    def deliver(self, machine: Machine, daemon: Daemon, parcel: Parcel) -> None:
        """Give the daemon something to read; one that is no longer there reads nothing."""
        if machine.daemon is not daemon:
            return
        if len(daemon.inbox) < INBOX_MAX or not parcels.is_often(parcel):
            if daemon.storing and machine.listens:
                parcels.keep(daemon, parcel(machine.clock_s(self.clockwork.now_s)))
            else:
                daemon.inbox.append(parcel)
        self._work(machine, daemon)

    def _work(self, machine: Machine, daemon: Daemon) -> None:
        while daemon.inbox and not daemon.storing and machine.listens:
            event = daemon.inbox.popleft()(machine.clock_s(self.clockwork.now_s))
            self._step(machine, daemon, event)
            if machine.daemon is not daemon:
                return

    def _step(self, machine: Machine, daemon: Daemon, event: Event) -> None:
        if self.trace is not None and not isinstance(event, parcels.OFTEN):
            self.say(machine.name, event)
        daemon.state, effects = self.core.step(daemon.state, event)
        if effects:
            self._perform(machine, daemon, effects)

    def _perform(self, machine: Machine, daemon: Daemon, effects: Sequence[Effect]) -> None:
        for index, effect in enumerate(effects):
            if machine.daemon is not daemon:
                return
            if machine.effects_until_crash:
                machine.effects_until_crash -= 1
                if not machine.effects_until_crash and machine.crash is not None:
                    self.say(machine.name, f"may crash before {type(effect).__name__}")
                    machine.crash()
                    if machine.daemon is not daemon:
                        return
            if isinstance(effect, Store) and machine.store_s > 0:
                machine.storing = effect.stored
                self._store_slowly(machine, daemon, effects[index:])
                return
            self._do(machine, daemon, effect)

    def _store_slowly(self, machine: Machine, daemon: Daemon, effects: Sequence[Effect]) -> None:
        """Hold back the effects after a store, and all events, until the disk has it."""
        daemon.storing = True

        def stored() -> None:
            if machine.daemon is not daemon or not machine.powered:
                return
            if machine.paused:
                machine.deferred.append(stored)
                return
            daemon.storing = False
            self._do(machine, daemon, effects[0])
            self._perform(machine, daemon, effects[1:])
            self._work(machine, daemon)

        when_stored(self.clockwork, machine, stored)

    def _interrupt_store(self, machine: Machine) -> None:
        if self.disks.interrupt(machine):
            self.say(machine.name, f"the interrupted store is on the disk: {machine.disk}")
            self.on_store(machine)

    def _do(self, machine: Machine, daemon: Daemon, effect: Effect) -> None:
        if self.trace is not None:
            self.say(machine.name, effect)
        match effect:
            case Store(stored):
                machine.disk, machine.storing = stored, None
                machine.forgot &= daemon.state.forgot
                self.on_store(machine)
            case Publish(state):
                daemon.newest = state
                self.tunnel.send(machine.name, state)
            case SetBeat(beat):
                daemon.beat = beat
                self.beats.send(machine, daemon)  # News does not wait for the next interval.
            case Act():
                self.on_act(machine, daemon.state, effect)
                self.hands[machine.name].act(daemon, effect)
            case Look():
                self.hands[machine.name].look(daemon, effect)
            case ProbeReferences():
                self.hands[machine.name].probe(daemon, effect)
            case AskWitnesses(epoch):
                self.third_parties.ask(machine, partial(self.deliver, machine, daemon), epoch)
            case FencePeer():
                deliver = partial(self.deliver, machine, daemon)
                self.third_parties.fence(other(machine.name), deliver)
            case AnswerFence():
                self.handlers.answered(effect)
            case Guard(on):
                watchdog.guard(machine, daemon, self.clockwork.now_s, on=on)
            case ResetNode(application):
                self.reset(machine, f"reset for {application}")
            case Watch(application, run):
                daemon.watched[application] = run
                self.on_watch(machine, application)
            case Reply(request_id):
                self.replies[request_id] = as_answered(effect)
            case Note():
                self.notes.append((self.clockwork.now_s, machine.name, effect))
            case _ as never:
                assert_never(never)

    def reset(self, machine: Machine, why: str) -> None:
        self.say(machine.name, why)
        self.power_off(machine.name)
        self.clockwork.after(watchdog.RESET_TAKES_S, partial(self.power_on, machine.name))

    def _acted(self, machine: Machine, act: Act, outcome: Outcome) -> None:
        self.say(machine.name, f"({act.do} {act.application} {act.resource}: {outcome})")
        self.replication.check()
        self.check_one_writer()

    # --- What comes by itself ------------------------------------------------------------------

    def _pulse(self, machine: Machine, daemon: Daemon) -> None:
        """Send the heartbeats, tick, and do so again an interval later."""
        if machine.daemon is not daemon:
            return
        interval_s = self.shape.heartbeat_s * self.chance.uniform(0.95, 1.05)
        self.clockwork.after(interval_s, partial(self._pulse, machine, daemon))
        watchdog.feed(machine, self.built.cluster, self.clockwork.now_s)
        self.beats.send(machine, daemon)
        if watchdog.bites(self, machine):
            return
        if machine.listens:
            self._tick_at_deadline(machine, daemon, interval_s)
            self.deliver(machine, daemon, Tick)
        elif not daemon.tick_due:
            daemon.tick_due = True
            daemon.inbox.append(partial(parcels.late_tick, daemon))

    def _tick_at_deadline(self, machine: Machine, daemon: Daemon, interval_s: float) -> None:
        """Let the daemon notice the loss of its peer at the moment at which it is due."""
        heard_at_s = max(daemon.state.peer.heard_at_s.values(), default=None)
        if heard_at_s is not None:
            clock_s = machine.clock_s(self.clockwork.now_s)
            left_s = heard_at_s + daemon.state.detection_s + 0.001 - clock_s
            if 0 < left_s < interval_s:
                due_s = left_s / machine.clock_rate
                self.clockwork.after(due_s, partial(self._tick, machine, daemon))

    def _tick(self, machine: Machine, daemon: Daemon) -> None:
        if machine.listens:
            self.deliver(machine, daemon, Tick)

    def _newest(self, node: str) -> PeerState | None:
        daemon = self.machines[node].daemon
        return daemon.newest if daemon is not None else None

    def _deliver_state(self, node: str, state: PeerState) -> None:
        machine = self.machines[node]
        if machine.daemon is not None:
            self.deliver(machine, machine.daemon, partial(parcels.peer_stated, as_received(state)))

    def _facts_changed(self, node: str) -> None:
        """Wake the daemon by the kernel's event stream; without one it looks now and then."""
        machine = self.machines[node]
        daemon = machine.daemon
        if daemon is None or daemon.facts_due:
            return
        daemon.facts_due = True

        def read() -> None:
            if machine.paused:
                machine.deferred.append(read)
                return
            daemon.facts_due = False
            if daemon.state.facts_read or not machine.streamless:
                self._tell_facts(machine, daemon)
            if machine.streamless:
                self._facts_changed(node)

        takes_s = READS_ITSELF_S if machine.streamless else FACTS_TAKE_S
        self.clockwork.after(self.chance.uniform(*takes_s), read)

    def _tell_facts(self, machine: Machine, daemon: Daemon) -> None:
        facts = facts_told(machine, self.resources.values(), self.others)
        self.deliver(machine, daemon, partial(parcels.data_changed, facts))

    def command(self, node: str, command: Command) -> int:
        """Type a command on the node; return the number under which the reply will be found."""
        machine = self.machines[node]
        self.requests += 1
        self.on_command(node, command)
        self.say(node, command)
        if machine.daemon is not None:
            parcel: Parcel = partial(parcels.commanded, self.requests, command)
            self.deliver(machine, machine.daemon, parcel)
        return self.requests

    def owner(self, application: str) -> str | None:
        """Return who owns the application by the newest record that any daemon knows."""
        states = [machine.daemon.state for machine in self.machines.values() if machine.daemon]
        records = [record for state in states if (record := state.record(application))]
        return max(records, key=lambda record: record.version).owner if records else None

    def attach_disks(self) -> None:
        self.replication.attach_disks()

    def confirm(self, node: str) -> None:
        """An operator states that the peer is down, and accepts what the node does not know.

        What the node knows to be missing stays missing: no statement makes a copy current.
        """
        known = self.machines[node].disk.behind
        lost = self.clients.accept_loss(node, except_for=known)
        self.say("operator", f"confirms on {node} that the peer is down; gives up {lost}")
        self.confirmed = True
        self.command(node, ConfirmPeerDown())
