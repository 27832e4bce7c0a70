"""A random list of faults from a seed."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hapair.core.words.effects import Do
from hapair.core.words.events import (
    Command,
    ConfirmPeerDown,
    Form,
    Halt,
    Leave,
    Maintain,
    Move,
    Run,
)
from hapair.model import monitor
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.maintenance import Scope
from tests.sim.builds import BuildApplication, RemoveApplication
from tests.sim.by_hand import ByHand, Deed
from tests.sim.faults import (
    BreakDisk,
    ClockJump,
    CrashAtEffect,
    Cut,
    DeadStrip,
    FailActions,
    Fault,
    HangDaemon,
    KillAtEffect,
    KillDaemon,
    LoseReference,
    LoseWitness,
    MakeNoise,
    Partition,
    Pause,
    PowerOff,
    PullCable,
    Reboot,
    RemoveAddresses,
    SlowStore,
    SlowWitness,
    TakenAddress,
    Typed,
    WriteBehind,
)
from tests.sim.hardships import FullDisk, Reconfigure, random_hardships
from tests.sim.holders import HoldDevice, HoldMount
from tests.sim.machine import Trouble
from tests.sim.mounts import MountOver, Unmount
from tests.sim.networks import Noise
from tests.sim.settings import NODES, PRIVATE, PUBLIC, THIRD_PARTY, Shape, built_from
from tests.sim.sickness import LemsSilent, ProgramFails, Sickens

FAULTS_MAX: Final = 9
PAUSE_BETWEEN_S: Final = 5.0  # On the average.
CLOCK_JUMPS: Final = 0.3  # Share of the schedules in which a wall clock is set.
LATE_HOLDERS: Final = 0.15  # In which it is opened in the middle of a move.
SECOND_HOLDERS: Final = 0.3  # In which something else opens a device.
TEN_YEARS_S: Final = 10 * 365 * 86400.0
FOREIGN_WRITES: Final = 0.3  # In which somebody writes behind DRBD.
REMOVALS: Final = 0.3  # Share of the schedules in which somebody removes addresses.
DEEDS_BY_HAND: Final = 0.3  # In which somebody types DRBD's own commands, or starts a program.
LOST_MOUNTS: Final = 0.3  # In which somebody unmounts a volume, or mounts over it.
SICKNESS: Final = 0.4  # In which monitors find something, or somebody begins a maintenance.
TAKEN: Final = 0.1  # In which a stranger takes an address.
FILTERS: Final = 0.5  # Share of the cuts in which only packets are lost.
BUILDS: Final = 0.25  # In which applications are built, grow or are removed.
CHAINS: Final = 0.4  # Share of the schedules that contain a chain.


@dataclass(frozen=True, slots=True)
class Timed:
    at_s: float  # After the applications run.
    fault: Fault


def random_schedule(chance: Random, shape: Shape) -> tuple[Timed, ...]:
    built = built_from(shape)
    at_s = 0.0
    timed: list[Timed] = []
    for _ in range(chance.randint(1, FAULTS_MAX)):
        # The gaps are mostly short, so that a fault hits the answer to the one before.
        at_s += chance.expovariate(1 / PAUSE_BETWEEN_S)
        timed.append(Timed(round(at_s, 3), random_fault(chance, shape, built)))
    if shape.arbitration in THIRD_PARTY and chance.random() < CHAINS:
        timed += _chain(chance, shape)
    return tuple(sorted(timed, key=lambda one: one.at_s))


def _chain(chance: Random, shape: Shape) -> list[Timed]:
    """Return faults that mean something only one after the other.

    A third party that is lost for so long that both nodes agree on it, then a partition; or a
    partition whose end is cut short: somebody falls silent while the two shake hands.
    """
    node = chance.choice(NODES)
    at_s = _seconds(chance, 0.0, 8.0)
    cut_s = _seconds(chance, 3.0, 14.0)
    cut = Timed(at_s, Partition(NODES, cut_s))
    if chance.random() < 0.5:
        whom = chance.choice(((), (), (node,)))
        lost = [LoseWitness(i, whom, _seconds(chance, 8.0, 40.0)) for i in range(shape.witnesses)]
        later = Timed(at_s + _seconds(chance, 0.0, 20.0), cut.fault)
        return [*(Timed(at_s, fault) for fault in lost), later]
    meets_s = round(at_s + cut_s - 0.1, 3)
    silent: Fault = chance.choice(
        (
            KillAtEffect(node, chance.randint(1, 8), _seconds(chance, 0.2, 4.0)),
            KillDaemon(node, _seconds(chance, 0.2, 4.0)),
            HangDaemon(node, _seconds(chance, 1.0, 4.9)),
            CrashAtEffect(node, chance.randint(1, 8), _seconds(chance, 3.0, 20.0)),
        )
    )
    again = Partition(NODES, _seconds(chance, 3.0, 20.0))
    again_s = round(meets_s + _seconds(chance, 0.5, 6.0), 3)
    return [cut, Timed(meets_s, silent), Timed(again_s, again)]


def with_clock_jumps(schedule: tuple[Timed, ...], chance: Random) -> tuple[Timed, ...]:
    """Set some wall clocks to years ago, or to years ahead, while everything else fails."""
    if chance.random() >= CLOCK_JUMPS:
        return schedule
    at_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
    by_s = chance.choice((-TEN_YEARS_S, -3600.0, 3600.0, TEN_YEARS_S))
    jump = ClockJump(chance.choice(NODES), by_s, _seconds(chance, 1.0, 60.0))
    return tuple(sorted((*schedule, Timed(at_s, jump)), key=lambda one: one.at_s))


def with_removed_addresses(
    schedule: tuple[Timed, ...], shape: Shape, chance: Random
) -> tuple[Timed, ...]:
    """Let somebody remove the addresses of an application, here and there as in a fight."""
    if chance.random() >= REMOVALS:
        return schedule
    at_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
    every_s, for_s = chance.choice(((60.0, 1.0), (60.0, 1.0), (0.2, 20.0), (3.0, 60.0)))
    name = chance.choice(shape.applications).name
    removes = RemoveAddresses(name, every_s, for_s, lost=chance.random() < 0.3)
    return tuple(sorted((*schedule, Timed(at_s, removes)), key=lambda one: one.at_s))


def with_lost_mounts(
    schedule: tuple[Timed, ...], shape: Shape, chance: Random
) -> tuple[Timed, ...]:
    """Let somebody unmount a volume, again and again too, or mount something over it."""
    volumes = [v.resource for v in built_from(shape).volumes()]
    if not volumes or chance.random() >= LOST_MOUNTS:
        return schedule
    at_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
    resource = chance.choice(volumes)
    every_s, for_s = chance.choice(((60.0, 1.0), (60.0, 1.0), (3.0, 20.0), (20.0, 100.0)))
    over = MountOver(chance.choice(NODES), resource, _seconds(chance, 1.0, 60.0))
    unmount = Unmount(resource, every_s, for_s, lost=chance.random() < 0.3)
    fault: Fault = over if chance.random() < 0.3 else unmount
    return tuple(sorted((*schedule, Timed(at_s, fault)), key=lambda one: one.at_s))


def with_deeds_by_hand(
    schedule: tuple[Timed, ...], shape: Shape, chance: Random
) -> tuple[Timed, ...]:
    """Let somebody type what changes a volume or starts a program, beside the cluster."""
    volumes = [v.resource for v in built_from(shape).volumes()]
    if not volumes or chance.random() >= DEEDS_BY_HAND:
        return schedule
    deeds = [
        Timed(
            _seconds(chance, 0.0, schedule[-1].at_s + 1.0),
            ByHand(chance.choice(NODES), chance.choice(volumes), chance.choice(tuple(Deed))),
        )
        for _ in range(chance.randint(1, 3))
    ]
    return tuple(sorted((*schedule, *deeds), key=lambda one: one.at_s))


def with_filters(schedule: tuple[Timed, ...], chance: Random) -> tuple[Timed, ...]:
    """Let some networks be cut by a filter of packets, through which addresses are still found."""

    def filtered(fault: Fault) -> Fault:
        if isinstance(fault, Cut | Partition) and chance.random() < FILTERS:
            return replace(fault, arp=True)
        return fault

    return tuple(replace(timed, fault=filtered(timed.fault)) for timed in schedule)


def with_taken_addresses(
    schedule: tuple[Timed, ...], shape: Shape, chance: Random
) -> tuple[Timed, ...]:
    """Let a stranger's machine have an address of an application for a while."""
    if chance.random() >= TAKEN:
        return schedule
    at_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
    taken = TakenAddress(chance.choice(shape.applications).name, _seconds(chance, 1.0, 40.0))
    return tuple(sorted((*schedule, Timed(at_s, taken)), key=lambda one: one.at_s))


def with_hardships(schedule: tuple[Timed, ...], shape: Shape, chance: Random) -> tuple[Timed, ...]:
    """Let disks be full, looks and facts fail, and the configuration change.

    Half of the changes meet a partition: one node has the new configuration, the other one not yet.
    """
    added = random_hardships(chance, shape, schedule[-1].at_s + 1.0)
    timed = [*schedule, *(Timed(at_s, fault) for at_s, fault in added)]
    for at_s, fault in added:
        if isinstance(fault, Reconfigure) and chance.random() < 0.5:
            cut = Partition(NODES, _seconds(chance, 3.0, 20.0))
            timed.append(Timed(round(at_s + chance.uniform(0.0, 1.5 * fault.apart_s), 3), cut))
    return tuple(sorted(timed, key=lambda one: one.at_s))


def with_sickness(schedule: tuple[Timed, ...], shape: Shape, chance: Random) -> tuple[Timed, ...]:
    """Let monitors find something, Lems fall silent, and somebody begin a maintenance."""
    if chance.random() >= SICKNESS:
        return schedule
    timed = list(schedule)
    for _ in range(chance.randint(1, 2)):
        name, node = chance.choice(shape.applications).name, chance.choice(NODES)
        nodes, for_s = chance.choice((NODES, (node,))), _seconds(chance, 1.0, 40.0)
        scope, of = chance.choice(
            ((Scope.NODE, node), (Scope.APPLICATION, name), (Scope.CLUSTER, ""))
        )
        fault: Fault = chance.choice(
            (
                ProgramFails(name, _seconds(chance, 1.0, 30.0), for_s, nodes),
                ProgramFails(name, for_s, 1.0, nodes),
                Sickens(name, nodes, chance.choice(tuple(monitor.Trouble)), for_s),
                LemsSilent(node, name, for_s),
                Typed(node, Maintain(scope, of, for_s=for_s)),
            )
        )
        timed.append(Timed(_seconds(chance, 0.0, schedule[-1].at_s + 1.0), fault))
    return tuple(sorted(timed, key=lambda one: one.at_s))


def with_builds(schedule: tuple[Timed, ...], shape: Shape, chance: Random) -> tuple[Timed, ...]:
    """Let applications be built and removed, and something fail in the middle of it."""
    if chance.random() >= BUILDS:
        return schedule
    timed = list(schedule)
    names = [each.name for each in shape.applications]
    for _ in range(chance.randint(1, 2)):
        at_s, apart_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0), _seconds(chance, 0.05, 2.0)
        node, for_s = chance.choice(NODES), _seconds(chance, 0.5, 20.0)
        change = chance.choice(
            (
                BuildApplication("mail", 1, apart_s, node),
                BuildApplication(names[0], 1, apart_s, node, answered=False),
                BuildApplication(chance.choice(names), 1, apart_s, node),
                BuildApplication("files", 0, apart_s, node),
                RemoveApplication(names[-1], apart_s),
            )
        )
        fails = chance.choice(
            (
                PowerOff(node, for_s),
                KillDaemon(node, 0.5),
                HangDaemon(node, for_s),
                FullDisk(node, for_s),
                Cut(PRIVATE, NODES, for_s),
                _partition(shape, for_s),
            )
        )
        timed += [Timed(at_s, change), Timed(at_s + _seconds(chance, 0.0, 4.0), fails)]
    return tuple(sorted(timed, key=lambda one: one.at_s))


def _partition(shape: Shape, for_s: float) -> Fault:
    """Lose all networks, but with ``paths`` only one: nobody promised to bear more."""
    if shape.arbitration is ArbitrationKind.PATHS:
        return Cut(PUBLIC, NODES, for_s)
    return Partition(NODES, for_s)


def with_second_holders(
    schedule: tuple[Timed, ...], chance: Random, shape: Shape
) -> tuple[Timed, ...]:
    """Let something else open devices now and then, which goes later, when told to, or never."""
    if chance.random() >= SECOND_HOLDERS:
        return schedule
    volumes = [v.resource for entry in built_from(shape).applications for v in entry.volumes]
    if not volumes:
        return schedule
    timed = list(schedule)
    for _ in range(chance.randint(1, 3)):
        at_s = _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
        for_s = chance.choice((None, _seconds(chance, 0.5, 90.0)))
        ends = chance.random() < 0.5
        hold = HoldDevice(chance.choice(NODES), chance.choice(volumes), ends, for_s)
        timed.append(Timed(at_s, hold))
    return tuple(sorted(timed, key=lambda one: one.at_s))


def with_late_holders(
    schedule: tuple[Timed, ...], chance: Random, shape: Shape
) -> tuple[Timed, ...]:
    """Let one or two things open a device while its application is on its way to the peer."""
    volumes = [v.resource for entry in built_from(shape).applications for v in entry.volumes]
    if chance.random() >= LATE_HOLDERS or not volumes:
        return schedule
    at_s, resource = _seconds(chance, 0.0, schedule[-1].at_s + 1.0), chance.choice(volumes)
    move = Typed(chance.choice(NODES), Move(resource.split(".")[0]))
    timed = [*schedule, Timed(at_s, move)]
    for _ in range(chance.randint(1, 2)):
        held_s, ends = round(at_s + _seconds(chance, 0.0, 3.0), 3), chance.random() < 0.5
        for_s = chance.choice((None, _seconds(chance, 0.5, 90.0), _seconds(chance, 0.5, 20.0)))
        # Only a Primary can be opened: on the other node it comes to nothing.
        timed += [Timed(held_s, HoldDevice(node, resource, ends, for_s)) for node in NODES]
    return tuple(sorted(timed, key=lambda one: one.at_s))


def with_foreign_writes(
    schedule: tuple[Timed, ...], chance: Random, shape: Shape
) -> tuple[Timed, ...]:
    """Let somebody write to volumes of a node that is off, or halted, for a while."""
    if chance.random() >= FOREIGN_WRITES:
        return schedule
    volumes = [v.resource for entry in built_from(shape).applications for v in entry.volumes]
    if not volumes:
        return schedule
    timed = list(schedule)
    for _ in range(chance.randint(1, 2)):
        node, at_s = chance.choice(NODES), _seconds(chance, 0.0, schedule[-1].at_s + 1.0)
        for_s = _seconds(chance, 1.0, 15.0)
        away = Typed(node, Leave(handover=True))
        timed.append(Timed(at_s, chance.choice((PowerOff(node, for_s), Reboot(node), away))))
        written_s = round(at_s + chance.uniform(0.3, for_s), 3)
        timed.append(Timed(written_s, WriteBehind(node, chance.choice(volumes))))
    return tuple(sorted(timed, key=lambda one: one.at_s))


def _seconds(chance: Random, low: float, high: float) -> float:
    return round(chance.uniform(low, high), 2)


def random_fault(chance: Random, shape: Shape, built: Built) -> Fault:
    node = chance.choice(NODES)
    for_s = _seconds(chance, 0.3, 20.0)
    kinds = ("power", "process", "network", "action", "storage", "third party", "command")
    third = 4 if shape.arbitration in THIRD_PARTY else 0
    match chance.choices(kinds, weights=(4, 4, 4, 3, 2, third, 5))[0]:
        case "power":
            effects = chance.randint(1, 12)
            crash = CrashAtEffect(node, effects, for_s)
            return chance.choice((PowerOff(node, for_s), PowerOff(node, for_s), crash))
        case "process":
            return _process_fault(chance, shape, node, for_s)
        case "network":
            return _network_fault(chance, shape, node, for_s)
        case "third party":
            return _third_party_fault(chance, shape, node, for_s)
        case "action":
            return _action_fault(chance, built, node)
        case "storage":
            volumes = [v.resource for entry in built.applications for v in entry.volumes]
            resource = chance.choice(volumes)
            hold = HoldMount(node, resource)
            return chance.choice((hold, BreakDisk(node, resource, for_s)))
        case _:
            return _command(chance, shape, built, node)


def _even(for_s: float) -> bool:
    """Toss a coin that costs no draw: the seeds that found something stay what they are."""
    return round(for_s * 1000) % 2 == 0


def _process_fault(chance: Random, shape: Shape, node: str, for_s: float) -> Fault:
    restart_s = _seconds(chance, 0.2, 1.5)
    short_s = _seconds(chance, 0.1, shape.detection_s / 2)
    return chance.choice(
        (
            KillDaemon(node, restart_s),
            KillAtEffect(node, chance.randint(1, 12), restart_s),
            KillAtEffect(node, chance.randint(1, 12), restart_s),
            HangDaemon(node, for_s, beats=_even(for_s)),
            Pause(node, for_s if chance.random() < 0.5 else short_s),
            SlowStore(node, _seconds(chance, 0.05, 1.5), for_s),
        )
    )


def _third_party_fault(chance: Random, shape: Shape, node: str, for_s: float) -> Fault:
    index = chance.randrange(shape.witnesses)
    return chance.choice(
        (
            LoseWitness(index, chance.choice(((), (), (node,), NODES)), for_s * 2),
            SlowWitness(index, for_s),
            DeadStrip(for_s),
        )
    )


def _network_fault(chance: Random, shape: Shape, node: str, for_s: float) -> Fault:
    network = chance.choice((PUBLIC, PRIVATE))
    noise = Noise(
        loss=_seconds(chance, 0.0, 0.4),
        duplicates=_seconds(chance, 0.0, 0.3),
        delay_max_s=_seconds(chance, 0.01, 0.6),
    )
    if shape.arbitration is not ArbitrationKind.PATHS and chance.random() < 0.3:
        return Partition(chance.choice((NODES, NODES, (node,))), for_s)
    return chance.choice(
        (
            Cut(network, NODES, for_s),
            Cut(network, (node,), for_s),
            PullCable(network, node, for_s),
            LoseReference(chance.choice((NODES, (node,))), for_s),
            MakeNoise(network, noise, for_s),
        )
    )


def _action_fault(chance: Random, built: Built, node: str) -> Fault:
    application = chance.choice(built.applications).application.name
    troubles: dict[Do, tuple[Trouble, ...]] = {
        Do.START_PROGRAM: tuple(Trouble),
        Do.STOP_PROGRAM: (Trouble.REFUSED, Trouble.HANGS, Trouble.HAPPENS_LATE),
        Do.MOUNT: (Trouble.REFUSED, Trouble.HAPPENS_LATE, Trouble.NOT_NOW),
        Do.UNMOUNT: (Trouble.REFUSED, Trouble.NOT_NOW),
        Do.ADD_ADDRESSES: (Trouble.REFUSED, Trouble.HANGS, Trouble.HAPPENS_LATE),
        Do.PROMOTE: (Trouble.REFUSED, Trouble.HAPPENS_LATE, Trouble.NOT_NOW),
        Do.BRING_UP: (Trouble.REFUSED, Trouble.HAPPENS_LATE),
    }
    do = chance.choice((*troubles, Do.START_PROGRAM, Do.START_PROGRAM, Do.STOP_PROGRAM))
    trouble = chance.choice(troubles[do])
    return FailActions(node, do, application, trouble, _seconds(chance, 5.0, 40.0))


def _command(chance: Random, shape: Shape, built: Built, node: str) -> Fault:
    application = chance.choice(built.applications).application.name
    commands: tuple[Command, ...] = (
        Move(application),
        Move(application),
        Move(application),
        Run(application),
        Run(application, node),
        Halt(application),
        Leave(handover=True),
        Leave(handover=False),
        Leave(handover=False, last=True),
        Form(timeout_s=20.0),
    )
    if shape.arbitration is ArbitrationKind.OPERATOR and chance.random() < 0.4:
        return Typed(node, ConfirmPeerDown())
    if chance.random() < 0.2:
        return Reboot(node)
    return Typed(node, chance.choice(commands))
