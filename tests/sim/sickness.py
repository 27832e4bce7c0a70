"""What monitors find: programs that die, storage that hangs, full file systems, silent Lems."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from hapair.core.words.events import Unwatched, Watched
from hapair.model.monitor import Finding, Trouble
from tests.sim.machine import Machine
from tests.sim.world import World

FOUND_WITHIN_S: Final = 0.01  # The kernel tells of the end of a process at once.
ONCE_MORE_AFTER_S: Final = 2.0  # A word about a former run is still on its way.
SILENT_FOR_S: Final = 6.0  # Then the daemon says that nobody watches.
Later = Callable[[float, Callable[[], object]], None]


@dataclass(frozen=True, slots=True)
class ProgramFails:
    """It ends wherever it runs; every so often, for so long."""

    application: str
    every_s: float
    for_s: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sickens:
    """Its monitors find on these nodes what a restart does not mend."""

    application: str
    nodes: tuple[str, ...]
    trouble: Trouble
    for_s: float


@dataclass(frozen=True, slots=True)
class LemsSilent:
    node: str
    application: str
    for_s: float


Sickness: TypeAlias = ProgramFails | Sickens | LemsSilent


def inflict(world: World, fault: Sickness, later: Later) -> None:
    match fault:
        case ProgramFails(for_s=for_s):
            goes_on = [True]
            later(for_s, goes_on.clear)
            _fail(world, fault, goes_on)
        case Sickens(name, nodes, trouble, for_s):
            for machine in (world.machines[node] for node in nodes):
                machine.sick.append((name, trouble))
                _tell(world, machine, name)
                later(for_s, partial(_mend, world, machine, name, trouble))
        case LemsSilent(node, name, for_s):
            machine = world.machines[node]
            say = partial(_say_silence, world, machine, name)
            world.clockwork.after(SILENT_FOR_S, partial(say, "no sign of life for 6 s"))
            later(SILENT_FOR_S + for_s, partial(say, ""))


def _fail(world: World, fault: ProgramFails, goes_on: list[bool]) -> None:
    if not goes_on:
        return
    for machine in (world.machines[node] for node in fault.nodes):
        if machine.runs and machine.program(fault.application) is True:
            machine.programs[fault.application] = False
            _tell(world, machine, fault.application)
    world.clockwork.after(fault.every_s, partial(_fail, world, fault, goes_on))


def _mend(world: World, machine: Machine, application: str, trouble: Trouble) -> None:
    machine.sick.remove((application, trouble))
    _tell(world, machine, application)


def watched(world: World, machine: Machine, application: str) -> None:
    """Let Lems look at what it is told to watch, and say what it finds."""
    world.clockwork.after(FOUND_WITHIN_S, partial(_tell, world, machine, application))


def _tell(world: World, machine: Machine, application: str) -> None:
    daemon = machine.daemon
    run = daemon.watched.get(application, 0) if daemon is not None else 0
    if daemon is None or not run:
        return
    findings = [
        Finding("filesystem", trouble, f"it is {trouble}")
        for name, trouble in machine.sick
        if name == application
    ]
    if machine.program(application) is False:
        findings.append(Finding("process", Trouble.PROGRAM, "it exited", certain=True))
    if findings:
        machine.found.add((application, run))

    def say() -> None:
        if machine.daemon is daemon:
            event = partial(Watched, application=application, run=run, findings=tuple(findings))
            world.deliver(machine, daemon, event)

    world.clockwork.after(FOUND_WITHIN_S, say)
    if findings:
        world.clockwork.after(ONCE_MORE_AFTER_S, say)


def _say_silence(world: World, machine: Machine, application: str, why: str) -> None:
    if machine.daemon is not None:
        event = partial(Unwatched, application=application, why=why)
        world.deliver(machine, machine.daemon, event)
