"""Drives the DRBD model through time: who notices what when, how long a resync takes."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from random import Random
from typing import Final

from hapair.model.data import Connection, Role
from hapair.model.outcome import Outcome
from tests.sim.clockwork import Clockwork
from tests.sim.drbd import Resource
from tests.sim.fence import LetGo
from tests.sim.handlers import Handlers
from tests.sim.machine import Machine
from tests.sim.networks import Wire
from tests.sim.settings import NODES
from tests.sim.sides import Fencing

# Seconds until a kernel notices that its peer no longer answers.
NOTICES_AFTER_S: Final = (0.5, 2.0)
# The peer's kernel closed the connection or answered that there is none.
NOTICES_CLOSE_S: Final = (0.005, 0.1)
CONNECTS_AFTER_S: Final = (0.1, 1.0)
RESYNC_TAKES_S: Final = (0.3, 6.0)


def resource_of(name: str) -> Resource:
    """Return a resource as our resource files describe it."""
    return Resource(name, NODES, Fencing.RESOURCE_AND_STONITH)


class Replication:
    """All resources over the one replication network."""

    def __init__(
        self,
        clockwork: Clockwork,
        chance: Random,
        machines: Mapping[str, Machine],
        resources: Collection[Resource],
        wire: Wire,
    ) -> None:
        self.clockwork = clockwork
        self.chance = chance
        self.machines = machines
        self.resources = resources
        self.wire = wire
        self.handlers: Handlers | None = None  # Who is asked; nobody in tests of the model alone.
        # Who waits for the end of a promotion, by resource and node.
        self.promotions: dict[tuple[str, str], Callable[[Outcome], None]] = {}
        self.notices_after_s = NOTICES_AFTER_S
        self.resync_takes_s = RESYNC_TAKES_S
        self.on_acknowledged: Callable[[Resource, str, tuple[int, ...]], None] = (
            lambda _resource, _node, _numbers: None
        )
        for resource in resources:
            self.serve(resource)
        self._resync_seen: dict[str, int] = {}
        self._due: set[tuple[str, str]] = set()  # Resource and what was scheduled for it.

    def serve(self, resource: Resource) -> None:
        resource.on_fence = partial(self.ask, resource)

    def attach_disks(self) -> None:
        """An operator attaches each lost disk, but none that was given up and nobody serves."""
        for resource in self.resources:
            for node, side in resource.sides.items():
                given_up = side.given_up and not side.replicating
                lost = side.configured and not side.attached and not given_up
                if lost and not side.broken:
                    resource.attach(node)
        self.check()

    def ask(self, resource: Resource, node: str) -> None:
        """Start the handler of the kernel of ``node``: for frozen writes, or for a promotion."""
        if self.handlers is not None:
            self.handlers.ask(node, resource.name, partial(self._answered, resource, node))

    def _answered(self, resource: Resource, node: str, exit_code: int) -> None:
        answered = resource.fenced(node, exit_code)
        self.let_go(resource, node, answered.let_go)
        waits = self.promotions.get((resource.name, node))
        if answered.promoted is not None and waits is not None:
            del self.promotions[resource.name, node]
            waits(answered.promoted)
        self.check()

    def let_go(self, resource: Resource, node: str, what: LetGo) -> None:
        """Tell the clients of writes that were frozen and are on the disk now."""
        self.on_acknowledged(resource, node, what.acknowledged)
        self.check()

    @property
    def path_works(self) -> bool:
        return self.wire.two_way and all(machine.runs for machine in self.machines.values())

    def writable(self, node: str) -> tuple[str, ...]:
        """Return the resources on which the kernel of ``node`` would acknowledge a write now."""
        return tuple(
            resource.name
            for resource in self.resources
            if (side := resource.side(node)).configured
            and side.role is Role.PRIMARY
            and not side.suspended
            and (self.path_works and resource.linked if side.replicating else side.attached)
        )

    def check(self) -> None:
        """Schedule, after any change, what each kernel will notice, and when."""
        for resource in self.resources:
            self._check(resource)

    def _once(
        self, resource: Resource, what: str, delay_s: float, happening: Callable[[], None]
    ) -> None:
        key = (resource.name, what)
        if key in self._due:
            return
        self._due.add(key)

        def arrive() -> None:
            self._due.discard(key)
            happening()

        self.clockwork.after(delay_s, arrive)

    def _check(self, resource: Resource) -> None:
        works = self.path_works
        for node in resource.nodes:
            side = resource.side(node)
            if side.replicating and not (works and resource.linked):
                quick = self.wire.two_way and self.machines[resource.other(node).node].runs
                takes_s = self.chance.uniform(*(NOTICES_CLOSE_S if quick else self.notices_after_s))
                self._once(resource, f"lose {node}", takes_s, partial(self._lose, resource, node))
            elif (side.pending or side.blocked) and works:
                self.on_acknowledged(resource, node, resource.resume_pending(node))
        if works and resource.linked and resource.negotiating:
            resource.negotiate()
        if works and self._both_connect(resource):
            takes_s = self.chance.uniform(*CONNECTS_AFTER_S)
            self._once(resource, "connect", takes_s, partial(self._connect, resource))
        if self._resync_seen.get(resource.name, 0) != resource.resyncs:
            self._resync_seen[resource.name] = resource.resyncs
            takes_s = self.chance.uniform(*self.resync_takes_s)
            self.clockwork.after(takes_s, partial(self._finish, resource, resource.resyncs))

    @staticmethod
    def _both_connect(resource: Resource) -> bool:
        return all(
            side.configured and side.connection is Connection.CONNECTING
            for side in resource.sides.values()
        )

    def _lose(self, resource: Resource, node: str) -> None:
        side = resource.side(node)
        works = self.path_works and resource.linked
        if side.replicating and not works and self.machines[node].runs:
            self.on_acknowledged(resource, node, resource.lose(node))
        self.check()

    def _connect(self, resource: Resource) -> None:
        if self.path_works and self._both_connect(resource):
            resource.connect()
        self.check()

    def _finish(self, resource: Resource, resync: int) -> None:
        if not resource.resyncing or resource.resyncs != resync:
            return
        if self.path_works:
            resource.finish_resync()
        else:
            self.clockwork.after(1.0, partial(self._finish, resource, resync))
