"""Applications that are built, that grow, and that go away, while everything else fails.

As clbuildapp does it: what is new is put under DRBD where the application is, then this node
installs the new configuration, then the other one. Only when both have it, it counts; a job that
cannot come so far, or whose daemon ends, is taken back as soon as both nodes can be spoken to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from hapair.core.words.events import Forget, Halt, Introduce, Run, Want
from hapair.model.application import Application, Volume
from hapair.model.built import Built
from hapair.model.data import Role
from hapair.model.outcome import Done
from hapair.model.status import Standing, Wanted
from tests.sim import parcels
from tests.sim.drbd import Resource
from tests.sim.machine import Machine
from tests.sim.replication import resource_of
from tests.sim.settings import NODES, application, entry_of, other
from tests.sim.world import World

CONNECTS_WITHIN_S: Final = 8.0
PEER_IS_BACK_WITHIN_S: Final = 15.0
STOPS_WITHIN_S: Final = 90.0
LOOKS_EVERY_S: Final = 0.2
RUN_IT_AFTER_S: Final = 2.0  # A person reads what clbuildapp says.


@dataclass(frozen=True, slots=True)
class BuildApplication:
    """Let it have so many more volumes; one that is not there yet is new."""

    name: str
    volumes: int
    apart_s: float  # Between the installations on the two nodes.
    node: str  # Where it is typed, if it has no owner yet.
    answered: bool = True  # Otherwise the other node installs it, and its answer is lost.


@dataclass(frozen=True, slots=True)
class RemoveApplication:
    """Release it: halt it, and leave it out of the next configuration."""

    name: str
    apart_s: float


Change: TypeAlias = BuildApplication | RemoveApplication


def inflict(world: World, change: Change) -> None:
    if world.building or not _both_can(world) or _is_moving(world, change.name):
        world.say("operator", "cannot build now")
    elif isinstance(change, BuildApplication):
        Job(world, change).begin()
    elif change.name in world.built.by_name:
        Removal(world, change).begin()


def is_gone(world: World, fault: object) -> bool:
    """Tell whether what the fault is about was removed, or is not built any more."""
    resource = getattr(fault, "resource", None)
    return resource is not None and resource not in world.resources


def _is_moving(world: World, name: str) -> bool:
    return any((state := world.state(node)) and name in state.moving for node in NODES)


def _both_can(world: World) -> bool:
    """Tell whether both nodes can be spoken to, act together and have one configuration."""
    together = all(
        machine.listens
        and machine.daemon is not None
        and not machine.daemon.storing
        and machine.daemon.state.standing is Standing.TOGETHER
        for machine in world.machines.values()
    )
    generations = {machine.built.generation for machine in world.machines.values()}
    return together and len(generations) == 1 and _are_reached(world)


def _are_reached(world: World) -> bool:
    listens = all(machine.listens for machine in world.machines.values())
    return listens and any(wire.two_way for wire in world.wires.values())


def _install(world: World, machine: Machine, built: Built) -> None:
    machine.built = built
    if machine.daemon is not None:
        world.deliver(machine, machine.daemon, partial(parcels.configured, built))


def _commit(world: World, built: Built) -> None:
    world.built = built
    applications = tuple(entry.application for entry in built.applications)
    world.shape = replace(world.shape, applications=applications)
    world.clients.unbuilt.clear()
    world.clients.begin(built)


def _add(world: World, name: str) -> Resource:
    """Make a resource that no client uses before it is built."""
    resource = world.resources[name] = resource_of(name)
    world.clients.acknowledged[name] = set()
    world.clients.unbuilt.add(name)
    world.replication.serve(resource)
    world.tend(resource)
    return resource


def _drop(world: World, name: str) -> None:
    """Take a resource away for good."""
    resource = world.resources[name]
    for node, machine in world.machines.items():
        if resource.side(node).configured:
            resource.take_down(node)
        machine.mounted.forget(name)
    del world.resources[name]
    world.clients.unbuilt.discard(name)


class Job:
    """One clbuildapp, to its commit or back to its beginning."""

    def __init__(self, world: World, change: BuildApplication) -> None:
        self.world = world
        self.change = change
        owner = world.owner(change.name)
        self.here = world.machines[owner or change.node]
        self.there = world.machines[other(self.here.name)]
        self.life = self.here.daemon  # It is this daemon's job.
        self.before = self.here.built
        wanted = self._wanted()
        entry = entry_of(wanted)
        others = [b for b in self.before.applications if b.application.name != wanted.name]
        applications = tuple(sorted([*others, entry], key=lambda b: b.application.name))
        generation = self.before.generation + 1
        self.built = replace(self.before, generation=generation, applications=applications)
        known = self.before.by_resource
        self.added = tuple(v for v in entry.volumes if v.resource not in known)
        self.began_s = world.clockwork.now_s

    def _wanted(self) -> Application:
        name, more = self.change.name, self.change.volumes
        former = self.before.by_name.get(name)
        if former is None:
            return application(name, preferred=self.change.node, volumes=more)
        groups = former.application.volume_groups
        new = tuple(f"vg_{name}{index}" for index in range(len(groups), len(groups) + more))
        return replace(former.application, volume_groups=(*groups, *new))

    def begin(self) -> None:
        world = self.world
        world.building = True
        world.say(self.here.name, f"builds {self.change.name}, generation {self.built.generation}")
        for volume in self.added:
            resource = _add(world, volume.resource)
            world.clients.write_natively(resource, self.here.name)
            resource.side(self.there.name).empty()
            for node in NODES:
                resource.bring_up(node)
        world.replication.check()
        self._goes_on(self._switch)

    def _goes_on(self, step: Callable[[], None], after_s: float = LOOKS_EVERY_S) -> None:
        self.world.clockwork.after(after_s, step)

    def _is_lost(self, within_s: float) -> bool:
        late = self.world.clockwork.now_s - self.began_s > within_s
        return late or self.here.daemon is not self.life

    def _switch(self) -> None:
        """Mount over DRBD what was mounted natively, once the copies are connected."""
        if self._is_lost(CONNECTS_WITHIN_S) or self._has_departed():
            self._take_back()
        elif not (self.here.listens and self._are_linked()):
            self._goes_on(self._switch)
        elif all(self._mount(volume) for volume in self.added):
            self._goes_on(self._install_here)
        else:
            self._take_back()

    def _install_here(self) -> None:
        if self._is_lost(CONNECTS_WITHIN_S) or self._has_departed():
            self._take_back()
            return
        _install(self.world, self.here, self.built)
        self.began_s = self.world.clockwork.now_s
        self._goes_on(self._install_there, self.change.apart_s)

    def _are_linked(self) -> bool:
        return all(self.world.resources[volume.resource].linked for volume in self.added)

    def _mount(self, volume: Volume) -> bool:
        if self.world.resources[volume.resource].promote(self.here.name) != Done():
            return False
        self.here.mounted.add(volume.resource)
        return True

    def _install_there(self) -> None:
        if self._is_lost(PEER_IS_BACK_WITHIN_S) or self._has_departed():
            self._take_back()
        elif not _are_reached(self.world):
            self._goes_on(self._install_there)
        elif self._is_alone() or self._owns(self.there):
            self._take_back()  # It refuses: it was given the right, or the application, meanwhile.
        else:
            _install(self.world, self.there, self.built)
            if self.change.answered:
                self._is_built()
            else:
                self._goes_on(self._take_back)

    def _has_departed(self) -> bool:
        """Tell whether it left, or is leaving, the node that was to build it."""
        name, state = self.change.name, self.world.state(self.here.name)
        if state is None or state.record(name) is None or name not in self.before.by_name:
            return False
        return name in state.moving or not self._owns(self.here)

    def _owns(self, machine: Machine) -> bool:
        """Tell whether an application that was built before belongs to a node as it knows."""
        state = self.world.state(machine.name)
        record = state.record(self.change.name) if state is not None else None
        built = self.change.name in self.before.by_name
        return built and record is not None and record.owner == machine.name

    def _is_in_use(self) -> bool:
        """Tell whether the other node keeps what is new: it would lose what it wrote there."""
        new = self.there.built == self.built
        return new and (self._is_alone() or (bool(self.added) and self._owns(self.there)))

    def _is_alone(self) -> bool:
        state = self.world.state(self.there.name)
        return state is not None and state.standing is Standing.ALONE

    def _is_built(self) -> None:
        _commit(self.world, self.built)
        self.world.building = False
        name = self.change.name
        self.world.say(self.here.name, f"has built {name}")
        state = self.world.state(self.here.name)
        if state is not None and state.record(name) is None:
            wanted = Wanted.DATA if self.added else Wanted.DOWN
            self.world.command(self.here.name, Introduce(name, wanted))
            self._goes_on(self._run, RUN_IT_AFTER_S)

    def _run(self) -> None:
        owner = self.world.owner(self.change.name)
        if owner is not None:
            self.world.command(owner, Run(self.change.name))

    def _take_back(self) -> None:
        """Install the former configuration, then take down what it does not know."""
        both_have_it = self.here.built == self.there.built == self.built
        if not _are_reached(self.world):
            self._goes_on(self._take_back)
            return
        if both_have_it and self._owns(self.there) and not self._owns(self.here):
            self._is_built()  # Only the answer was missing.
            return
        if self._is_in_use():
            self._goes_on(self._take_back)
            return
        for machine in (self.there, self.here):
            if machine.built == self.built:
                _install(self.world, machine, self.before)
        holders = {*self.here.held, *self.here.second, *self.there.held, *self.there.second}
        if holders & {volume.resource for volume in self.added}:
            self._goes_on(self._take_back)
            return
        self.world.say(self.here.name, f"takes back the build of {self.change.name}")
        for volume in self.added:
            _drop(self.world, volume.resource)
        self.world.building = False


class Removal:
    """One clbuildapp --release: out of the cluster on both nodes, or as it was."""

    def __init__(self, world: World, change: RemoveApplication) -> None:
        self.world = world
        self.name = change.name
        self.apart_s = change.apart_s
        self.until_s = world.clockwork.now_s + STOPS_WITHIN_S

    def begin(self) -> None:
        owner = self.world.owner(self.name)
        if owner is None:
            return
        self.here = self.world.machines[owner]
        self.there = self.world.machines[other(owner)]
        self.life = self.here.daemon  # It is this daemon's job.
        state = self.world.state(owner)
        record = state.record(self.name) if state is not None else None
        self.wanted = record.wanted if record is not None else Wanted.DOWN
        self.before = self.here.built
        left = tuple(b for b in self.before.applications if b.application.name != self.name)
        generation = self.before.generation + 1
        self.built = replace(self.before, generation=generation, applications=left)
        self.world.building = True
        self.world.command(owner, Halt(self.name))
        self._wait()

    def _goes_on(self, step: Callable[[], None], after_s: float = LOOKS_EVERY_S) -> None:
        self.world.clockwork.after(after_s, step)

    def _is_lost(self) -> bool:
        return self.world.clockwork.now_s > self.until_s or self.here.daemon is not self.life

    def _wait(self) -> None:
        world = self.world
        if any(machine.store_s for machine in world.machines.values()):
            self.until_s = world.clockwork.now_s + STOPS_WITHIN_S  # The command waits for a disk.
        if self._is_lost():
            self._take_back()
        elif self._is_down() and _both_can(world):
            world.say(self.here.name, f"releases {self.name}, generation {self.built.generation}")
            _install(world, self.here, self.built)
            self.until_s = world.clockwork.now_s + PEER_IS_BACK_WITHIN_S
            self._goes_on(self._install_there, self.apart_s)
        else:
            self._goes_on(self._wait)

    def _is_down(self) -> bool:
        volumes = self.before.application(self.name).volumes
        names = [volume.resource for volume in volumes]
        roles = {self.world.resources[n].side(node).role for n in names for node in NODES}
        up = any(
            machine.program(self.name) is not False
            or machine.address(self.name) is not False
            or set(machine.mounted) & set(names)
            for machine in self.world.machines.values()
        )
        return not up and Role.PRIMARY not in roles and self._is_halted()

    def _is_halted(self) -> bool:
        states = [self.world.state(node) for node in NODES]
        records = [state.record(self.name) for state in states if state is not None]
        return [r.wanted for r in records if r is not None] == [Wanted.DOWN, Wanted.DOWN]

    def _install_there(self) -> None:
        state = self.world.state(self.there.name)
        if self._is_lost() or (state is not None and state.standing is Standing.ALONE):
            self._take_back()
        elif not _are_reached(self.world):
            self._goes_on(self._install_there)
        else:
            _install(self.world, self.there, self.built)
            _commit(self.world, self.built)
            self.world.say(self.here.name, f"has released {self.name}")
            self._give_back()

    def _give_back(self) -> None:
        """Forget what was released, as soon as both nodes can be spoken to."""
        if not _are_reached(self.world):
            self._goes_on(self._give_back)
            return
        for name in [each for each in self.world.resources if each.startswith(f"{self.name}.")]:
            _drop(self.world, name)
            for node in NODES:
                self.world.command(node, Forget(self.name, name))
        self.world.building = False

    def _take_back(self) -> None:
        """Install the former configuration, and let it run again where it belongs by now."""
        if not _are_reached(self.world) or self.here.daemon is None:
            self._goes_on(self._take_back)
            return
        self.world.say(self.here.name, f"takes back the release of {self.name}")
        if self.here.built == self.built:
            _install(self.world, self.here, self.before)
        owner = self.world.owner(self.name) or self.here.name
        self.world.command(owner, Want(self.name, self.wanted))
        self.world.building = False
