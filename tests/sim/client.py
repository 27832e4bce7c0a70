"""Clients that write all the time to whoever serves, and remember what they were promised."""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from hapair.model.built import Built
from tests.checkers.rules import nothing_lost
from tests.sim.clockwork import Clockwork
from tests.sim.drbd import Resource, Written
from tests.sim.machine import Machine
from tests.sim.networks import Wire

WRITES_EVERY_S = (0.2, 0.6)


class Clients:
    """One client for each application; it writes to every volume of the application."""

    def __init__(
        self,
        clockwork: Clockwork,
        chance: Random,
        machines: Mapping[str, Machine],
        resources: Mapping[str, Resource],
        public: Wire,
    ) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.machines = machines
        self.resources = resources
        self.public = public
        self.path_works: Callable[[], bool] = lambda: True
        self.acknowledged: dict[str, set[int]] = {name: set() for name in resources}
        self.answered_at_s: dict[str, list[float]] = {}  # Per application.
        self.unbuilt: set[str] = set()  # Resources that are still being made.
        self._written = 0

    def begin(self, built: Built) -> None:
        for entry in built.applications:
            if entry.application.name not in self.answered_at_s:
                self.answered_at_s[entry.application.name] = []
                self._again(entry.application.name)

    def write_natively(self, resource: Resource, node: str) -> None:
        """Let there be something on a volume before DRBD has it."""
        self._written += 1
        resource.side(node).data.add(self._written)
        self.acknowledged[resource.name].add(self._written)

    def _again(self, application: str) -> None:
        delay_s = self.chance.uniform(*WRITES_EVERY_S)
        self.clockwork.after(delay_s, partial(self._write, application))

    def serves(self, machine: Machine, application: str) -> bool:
        """Tell whether a client outside gets an answer of the application on this machine."""
        return (
            machine.runs
            and machine.address(application) is True
            and machine.program(application) is True
            and self._has_data(machine, application)
            and self.public.clients_reach(machine.name)
        )

    def _has_data(self, machine: Machine, application: str) -> bool:
        names = {name for name in self.resources if name.startswith(f"{application}.")}
        return all(machine.mounted.shows(name) for name in names - self.unbuilt)

    def serving(self, application: str) -> list[str]:
        return [n for n, machine in self.machines.items() if self.serves(machine, application)]

    def _write(self, application: str) -> None:
        self._again(application)
        for node in self.serving(application):
            served = True
            for name, resource in self.resources.items():
                if name.startswith(f"{application}.") and name not in self.unbuilt:
                    served = self._write_to(resource, node) and served
            if served:
                self.answered_at_s[application].append(self.clockwork.now_s)

    def _write_to(self, resource: Resource, node: str) -> bool:
        if not self.machines[node].mounted.shows(resource.name):
            return False
        data = resource.visible(node)
        if data is None:
            return False
        if not resource.side(node).replicating or (self.path_works() and resource.linked):
            # A kernel that has not noticed yet that it is alone may answer reads from old data for
            # a moment; it acknowledges nothing meanwhile, so that breaks no promise.
            nothing_lost(self.acknowledged[resource.name], data, f"{resource.name} on {node}")
        self._written += 1
        written = resource.write(node, self._written, path_works=self.path_works())
        if written is Written.ACKNOWLEDGED:
            self.acknowledged[resource.name].add(self._written)
        return written is Written.ACKNOWLEDGED

    def late(self, resource: Resource, node: str, numbers: tuple[int, ...]) -> None:
        """Take in that the kernel of ``node`` acknowledges writes that it had kept waiting."""
        machine = self.machines[node]
        application = resource.name.split(".")[0]
        reached = self.public.clients_reach(node) and machine.address(application) is True
        if machine.runs and reached:
            self.acknowledged[resource.name].update(numbers)

    def accept_loss(self, node: str, *, except_for: tuple[str, ...] = ()) -> tuple[int, ...]:
        """Forget what an operator gave up: the copies of ``node`` count as they are."""
        lost: list[int] = []
        for name, resource in self.resources.items():
            if name not in except_for:
                present = resource.side(node).data
                lost += sorted(self.acknowledged[name] - present)
                self.acknowledged[name] &= present
        return tuple(lost)
