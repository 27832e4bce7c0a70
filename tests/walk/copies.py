"""The model of DRBD as one hashable value, with the writes that clients were promised.

A write counts by where it is: in the data of either side, waiting on either, acknowledged. Of
writes that are in the same places one is kept. Generation identifiers are renumbered in the order
in which the sides name them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hapair.model.data import Role
from tests.sim.drbd import Resource
from tests.sim.settings import NODES
from tests.sim.sides import Fencing, Meta, Side
from tests.walk.settings import RESOURCE

Places = tuple[bool, ...]
Frozen = tuple[object, ...]
META: Final = ("consistent", "was_up_to_date", "primary", "crashed_primary", "peer_outdated")
STATE: Final = (
    "configured",
    "broken",
    "role",
    "disk",
    "connection",
    "peer_role",
    "peer_disk",
    "suspended",
    "crashed_primary",
    "asked",
    "tries",
)


def fresh_copies() -> Frozen:
    """Return two equal copies that nobody has attached yet."""
    return Copies(Resource(RESOURCE, NODES, Fencing.RESOURCE_AND_STONITH)).freeze()


@dataclass(slots=True)
class Copies:
    resource: Resource
    acknowledged: set[int] = field(default_factory=set)
    written: int = 0

    def watch(
        self, on_fence: Callable[[str], None], on_resync: Callable[[Side, Side], None]
    ) -> None:
        self.resource.on_fence = on_fence
        self.resource.on_resync = on_resync

    def _places(self, number: int) -> Places:
        sides = [self.resource.side(node) for node in NODES]
        return (
            number in self.acknowledged,
            *(number in side.data for side in sides),
            *(number in side.pending for side in sides),
            *(number in side.blocked for side in sides),
        )

    def _matters(self, places: Places) -> bool:
        acknowledged, _, _, *waiting = places
        return acknowledged or any(waiting)

    def freeze(self) -> Frozen:
        sides = [self.resource.side(node) for node in NODES]
        numbers = sorted(self.acknowledged.union(*(s.pending + s.blocked for s in sides)))
        every = {self._places(number) for number in numbers}
        writes = tuple(sorted(places for places in every if self._matters(places)))
        names = {0: 0}
        frozen: list[object] = []
        for side in sides:
            meta = side.meta
            ids = (meta.current, meta.bitmap, *meta.history)
            frozen.append(tuple(names.setdefault(each, len(names)) for each in ids))
            frozen.append(tuple(getattr(meta, name) for name in META))
            frozen.append(tuple(getattr(side, name) for name in STATE))
        exposes = [s.role is Role.PRIMARY or s.replicating or not s.attached for s in sides]
        frozen.append(
            tuple(
                names.setdefault(side.exposed, len(names)) if exposed and side.configured else 0
                for side, exposed in zip(sides, exposes, strict=True)
            )
        )
        return (writes, len(names), *frozen)


def thaw(frozen: Frozen) -> Copies:
    """Return the copies that ``freeze`` made this of."""
    writes, identifiers, ids1, meta1, state1, ids2, meta2, state2, exposed = frozen
    resource = Resource(RESOURCE, NODES, Fencing.RESOURCE_AND_STONITH)
    parts = ((ids1, meta1, state1), (ids2, meta2, state2))
    for index, (node, (ids, flags, state)) in enumerate(zip(NODES, parts, strict=True)):
        current, bitmap, *history = ids  # type: ignore[misc]
        meta = Meta(current, bitmap, tuple(history), *flags)  # type: ignore[misc]
        side = Side(node, meta)
        for name, value in zip(STATE, state, strict=True):  # type: ignore[call-overload]
            setattr(side, name, value)
        side.exposed = exposed[index]  # type: ignore[index]
        resource.sides[node] = side
    resource._next_identifier = identifiers  # type: ignore[assignment]  # noqa: SLF001
    copies = Copies(resource)
    first, second = (resource.side(node) for node in NODES)
    for number, places in enumerate(writes, start=1):  # type: ignore[arg-type]
        for is_there, place in zip(
            places,
            (copies.acknowledged, first.data, second.data),
            strict=False,
        ):
            if is_there:
                place.add(number)
        waiting = (first.pending, second.pending, first.blocked, second.blocked)
        for is_there, queue in zip(places[3:], waiting, strict=True):
            if is_there:
                queue.append(number)
        copies.written = number
    return copies
