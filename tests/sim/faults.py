"""Everything that goes wrong, and everything that an operator types meanwhile, as values."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, assert_never

from hapair.core.words.effects import Do
from hapair.core.words.events import (
    Clear,
    Command,
    ConfirmCopy,
    ConfirmPeerDown,
    Forget,
    Form,
    Halt,
    Introduce,
    Leave,
    Maintain,
    Move,
    Run,
    Want,
)
from hapair.model.status import Standing
from tests.sim import builds, by_hand, hardships, holders, mounts, sickness
from tests.sim.builds import BuildApplication, Change, RemoveApplication
from tests.sim.by_hand import ByHand
from tests.sim.hardships import FailLooks, FullDisk, Hardship, LoseStream, Reconfigure
from tests.sim.holders import HoldDevice, HoldMount
from tests.sim.machine import Trouble
from tests.sim.mounts import MountOver, Unmount
from tests.sim.networks import QUIET, Noise, Wire
from tests.sim.settings import PUBLIC, other
from tests.sim.sickness import LemsSilent, ProgramFails, Sickens, Sickness
from tests.sim.sides import Side
from tests.sim.world import World

LEAVE_LIMIT_S = 120.0  # How long an orderly reboot waits for the applications.
REBOOT_TAKES_S = 5.0
SEEN_WITHIN_S = 1.0  # Until both daemons know of a broken disk.
FOREIGN_WRITE = -1  # No client made it.


@dataclass(frozen=True, slots=True)
class PowerOff:
    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class CrashAtEffect:
    """Power is lost between two effects of one step."""

    node: str
    effects: int  # How many are done before.
    for_s: float


@dataclass(frozen=True, slots=True)
class KillDaemon:
    node: str
    restart_s: float


@dataclass(frozen=True, slots=True)
class KillAtEffect:
    node: str
    effects: int
    restart_s: float


@dataclass(frozen=True, slots=True)
class HangDaemon:
    node: str
    for_s: float
    beats: bool = False  # Its heart goes on: only the deciding stands still.


@dataclass(frozen=True, slots=True)
class Pause:
    """The whole machine stands still, as a virtual machine does while it is moved."""

    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Cut:
    """No packet arrives at the listed nodes on this network; the cards notice nothing."""

    network: str
    deaf: tuple[str, ...]
    for_s: float
    arp: bool = False  # A filter of packets: who has an address is still told.


@dataclass(frozen=True, slots=True)
class Partition:
    """No packet arrives on any network; the third parties are reached as before."""

    deaf: tuple[str, ...]
    for_s: float
    arp: bool = False  # A filter of packets: who has an address is still told.


@dataclass(frozen=True, slots=True)
class PullCable:
    network: str
    node: str
    for_s: float


@dataclass(frozen=True, slots=True)
class LoseReference:
    nodes: tuple[str, ...]
    for_s: float


@dataclass(frozen=True, slots=True)
class MakeNoise:
    network: str
    noise: Noise
    for_s: float


@dataclass(frozen=True, slots=True)
class LoseWitness:
    """One witness is down, or not reached from the listed nodes."""

    index: int
    nodes: tuple[str, ...]  # Empty: it is down.
    for_s: float


@dataclass(frozen=True, slots=True)
class SlowWitness:
    """It records what it is asked long after the asker gave up."""

    index: int
    for_s: float


@dataclass(frozen=True, slots=True)
class DeadStrip:
    """The power strip answers nobody (runbook 11)."""

    for_s: float


@dataclass(frozen=True, slots=True)
class SlowStore:
    node: str
    store_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The wall clock is set to another time, and back after a while."""

    node: str
    by_s: float
    for_s: float


@dataclass(frozen=True, slots=True)
class FailActions:
    node: str
    do: Do
    application: str
    trouble: Trouble
    for_s: float


@dataclass(frozen=True, slots=True)
class BreakDisk:
    node: str
    resource: str
    for_s: float


@dataclass(frozen=True, slots=True)
class WriteBehind:
    """Somebody writes to a backing disk that DRBD does not have: a boot, a rescue system, dd."""

    node: str
    resource: str


@dataclass(frozen=True, slots=True)
class RemoveAddresses:
    """A person, or a program beside us, removes what it did not add: once, or again and again."""

    application: str
    every_s: float
    for_s: float
    lost: bool = False  # The kernel's word about it does not reach the daemon.


@dataclass(frozen=True, slots=True)
class TakenAddress:
    """A stranger's machine has an address of the application."""

    application: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Reboot:
    """The operating system's own reboot: the unit halts the node first."""

    node: str


@dataclass(frozen=True, slots=True)
class Typed:
    """An operator's command; one about an application is passed on to its owner."""

    node: str
    command: Command


Fault: TypeAlias = (
    PowerOff
    | CrashAtEffect
    | KillDaemon
    | KillAtEffect
    | HangDaemon
    | Pause
    | Cut
    | Partition
    | PullCable
    | LoseReference
    | MakeNoise
    | LoseWitness
    | SlowWitness
    | DeadStrip
    | SlowStore
    | ClockJump
    | FailActions
    | HoldMount
    | HoldDevice
    | Unmount
    | MountOver
    | ByHand
    | BreakDisk
    | WriteBehind
    | RemoveAddresses
    | TakenAddress
    | Reboot
    | Typed
    | Hardship
    | Sickness
    | Change
)


class Faults:
    """Inflicts faults on a world and undoes each after its time, or all of them at once."""

    def __init__(self, world: World, allows: Callable[[Fault], bool] = lambda _: True) -> None:
        self.world = world
        world.on_watch = partial(sickness.watched, world)
        self.allows = allows  # Asked again when a crash that was planned for later is due.
        self.attended = True  # A person replaces broken disks.
        self.standing: dict[int, Fault] = {}  # What is not over yet.
        self._undo: dict[int, Callable[[], None]] = {}
        self._count = 0
        self._begins: Fault | None = None

    def inflict(self, fault: Fault) -> None:
        self.world.say("fault", fault)
        self._begins = fault
        match fault:
            case PowerOff(node, for_s):
                self._power_off(node, for_s)
            case CrashAtEffect(node, effects, for_s):
                self._crash_later(node, effects, PowerOff(node, for_s))
            case KillDaemon(node, restart_s):
                self.world.kill_daemon(node, restart_s)
            case KillAtEffect(node, effects, restart_s):
                self._crash_later(node, effects, KillDaemon(node, restart_s))
            case HangDaemon(node, for_s, beats):
                self.world.hang_daemon(node, beats=beats)
                self._later(for_s, partial(self.world.continue_daemon, node))
            case Pause(node, for_s):
                self.world.pause(node)
                self._later(for_s, partial(self.world.resume, node))
            case SlowStore(node, store_s, for_s):
                self._set(node, "store_s", store_s, for_s)
            case ClockJump(node, by_s, for_s):
                self._set(node, "wall_jump_s", by_s, for_s)
            case FailActions(node, do, application, trouble, for_s):
                troubles = self.world.machines[node].trouble
                troubles[do, application] = trouble
                self.world.troubled = True
                self._later(for_s, partial(troubles.pop, (do, application), None))
            case HoldMount() | HoldDevice() | Unmount() | MountOver() | ByHand():
                self._meddle(fault)
            case BreakDisk(node, resource, for_s):
                self._break_disk(node, resource, for_s)
            case WriteBehind(node, resource):
                self._write_behind(node, resource)
            case RemoveAddresses(application, every_s, for_s, lost):
                ended = hardships.remove_addresses(self.world, application, every_s, lost=lost)
                self._later(for_s, ended)
            case TakenAddress(application, for_s):
                strangers = self.world.wires[PUBLIC].strangers
                strangers.add(application)
                self._later(for_s, partial(strangers.discard, application))
            case Reboot(node):
                self._reboot(node)
            case Typed(node, command):
                self._type(node, command)
            case LoseWitness() | SlowWitness() | DeadStrip():
                self._disturb_third_party(fault)
            case Cut() | Partition() | PullCable() | LoseReference() | MakeNoise():
                self._disturb(fault)
            case FullDisk() | FailLooks() | LoseStream() | Reconfigure():
                hardships.inflict(self.world, fault, self._later)
            case ProgramFails() | Sickens() | LemsSilent():
                sickness.inflict(self.world, fault, self._later)
            case BuildApplication() | RemoveApplication():
                builds.inflict(self.world, fault)
            case _ as never:
                assert_never(never)
        self._begins = None

    def _set(self, node: str, name: str, value: float, for_s: float) -> None:
        machine = self.world.machines[node]
        setattr(machine, name, value)
        self._later(for_s, partial(setattr, machine, name, 0.0))

    def _meddle(self, fault: HoldMount | HoldDevice | Unmount | MountOver | ByHand) -> None:
        if isinstance(fault, ByHand):
            by_hand.inflict(self.world, fault)
        elif isinstance(fault, HoldMount | HoldDevice):
            holders.inflict(self.world, fault, self._later)
        else:
            mounts.inflict(self.world, fault, self._later)

    def _later(self, delay_s: float, undo: Callable[[], object]) -> None:
        self._count += 1
        number = self._count

        def once() -> None:
            self.standing.pop(number, None)
            if self._undo.pop(number, None) is not None:
                self.world.say("fault", f"over: {number}")
                undo()

        self._undo[number] = once
        if self._begins is not None:
            self.standing[number] = self._begins
        self.world.clockwork.after(delay_s, once)

    def end_all(self) -> None:
        """Undo everything that is still going on."""
        for machine in self.world.machines.values():
            machine.effects_until_crash = 0
        for undo in tuple(self._undo.values()):
            undo()

    def _power_off(self, node: str, for_s: float) -> None:
        self.world.power_off(node)
        self._later(for_s, partial(self.world.power_on, node))

    def _crash_later(self, node: str, effects: int, fault: PowerOff | KillDaemon) -> None:
        def crash() -> None:
            if self.allows(fault):
                self.inflict(fault)

        machine = self.world.machines[node]
        machine.effects_until_crash = effects
        machine.crash = crash

    def _break_disk(self, node: str, resource: str, for_s: float) -> None:
        hit = self.world.resources[resource]
        side = hit.side(node)
        if not side.attached:
            return
        side.broken = True
        side.unseen = not self._seen_together()
        self.world.clockwork.after(SEEN_WITHIN_S, lambda: self._look_who_saw(side))
        self.world.troubled = True
        hit.detach(node)
        self.world.replication.check()

        def replace_disk() -> None:
            side.broken = False
            self.world.attach_disks()

        if self.attended:
            self._later(for_s, replace_disk)

    def _seen_together(self) -> bool:
        """Tell whether both daemons live and act together just now."""
        machines = self.world.machines.values()
        states = [m.daemon.state for m in machines if m.daemon is not None and m.listens]
        together = [state.standing is Standing.TOGETHER for state in states]
        return together == [True, True]

    def _look_who_saw(self, side: Side) -> None:
        side.unseen = side.unseen or not self._seen_together()

    def _write_behind(self, node: str, resource: str) -> None:
        side = self.world.resources[resource].side(node)
        if not side.configured:
            side.foreign = True
            side.data.add(FOREIGN_WRITE)

    def _reboot(self, node: str) -> None:
        world = self.world
        machine = world.machines[node]
        boot = machine.boots
        request = world.command(node, Leave(handover=True, shutdown=True))
        until_s = world.clockwork.now_s + LEAVE_LIMIT_S

        def wait() -> None:
            if machine.boots != boot or not machine.powered:
                return
            if request in world.replies or world.clockwork.now_s > until_s:
                self._power_off(node, REBOOT_TAKES_S)
            else:
                world.clockwork.after(0.5, wait)

        wait()

    def _type(self, node: str, command: Command) -> None:
        match command:
            case Run(name) | Halt(name) | Move(name) | Clear(name):
                self.world.command(self.world.owner(name) or node, command)
            case Maintain() | Form() | Leave() | Introduce() | Want() | Forget() | ConfirmCopy():
                self.world.command(node, command)
            case ConfirmPeerDown():
                # The operator has looked: nothing is confirmed unless the peer is really off.
                if not self.world.machines[other(node)].powered:
                    self.world.confirm(node)
            case _ as never:
                assert_never(never)

    def _disturb_third_party(self, fault: LoseWitness | SlowWitness | DeadStrip) -> None:
        parties = self.world.third_parties
        strip = parties.strip

        def change(by: int) -> None:
            match fault:
                case LoseWitness(index, nodes) if nodes:
                    for node in nodes:
                        parties.servers[index].unreached[node] += by
                case LoseWitness(index):
                    parties.servers[index].down += by
                case SlowWitness(index):
                    parties.servers[index].slow += by
                case DeadStrip():
                    strip.dead += by

        if isinstance(fault, DeadStrip) or fault.index < len(parties.servers):
            change(1)
            self._later(fault.for_s, partial(change, -1))

    def _disturb(self, fault: Cut | Partition | PullCable | LoseReference | MakeNoise) -> None:
        counters: list[tuple[Counter[str], str]]
        match fault:
            case Cut(network, deaf, arp=arp):
                counters = _deafened([self.world.wires[network]], deaf, arp=arp)
            case Partition(deaf, arp=arp):
                counters = _deafened(self.world.wires.values(), deaf, arp=arp)
            case PullCable(network, node):
                counters = [(self.world.wires[network].pulled, node)]
            case LoseReference(nodes):
                counters = [(self.world.wires[PUBLIC].reference_lost, node) for node in nodes]
            case MakeNoise(network, noise):
                counters = []
                self.world.wires[network].noise = noise

        def end() -> None:
            for counter, node in counters:
                counter[node] -= 1
            if isinstance(fault, MakeNoise):
                self.world.wires[fault.network].noise = QUIET
            self.world.networks_changed()

        for counter, node in counters:
            counter[node] += 1
        self.world.networks_changed()
        self._later(fault.for_s, end)


def _deafened(
    wires: Iterable[Wire], deaf: tuple[str, ...], *, arp: bool
) -> list[tuple[Counter[str], str]]:
    kinds = [(wire.deaf,) if arp else (wire.deaf, wire.unresolved) for wire in wires]
    return [(counter, node) for counters in kinds for counter in counters for node in deaf]
