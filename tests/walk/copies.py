"""The model of DRBD as one hashable value, with the writes that clients were promised.

What counts of a write is where it is: in the data of either side, waiting on either, acknowledged.
Of several writes in the same places one is kept. Generation identifiers are renumbered in the order
in which the sides name them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from tests.sim.drbd import Resource
from tests.sim.settings import NODES
from tests.sim.sides import Fencing, Meta, Side
from tests.walk.settings import RESOURCE

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


class Places(NamedTuple):
    """Where one write is."""

    acknowledged: bool
    data: tuple[bool, ...]  # By side.
    pending: tuple[bool, ...]
    blocked: tuple[bool, ...]


class FrozenSide(NamedTuple):
    ids: tuple[int, ...]  # Current, bitmap, history.
    exposed: int
    flags: tuple[bool, ...]
    state: tuple[Any, ...]


class Frozen(NamedTuple):
    writes: tuple[Places, ...]
    identifiers: int
    sides: tuple[FrozenSide, ...]


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
        return Places(
            number in self.acknowledged,
            tuple(number in side.data for side in sides),
            tuple(number in side.pending for side in sides),
            tuple(number in side.blocked for side in sides),
        )

    def freeze(self) -> Frozen:
        sides = [self.resource.side(node) for node in NODES]
        # All other writes are in no place that matters.
        numbers = self.acknowledged.union(*(s.pending + s.blocked for s in sides))
        writes = tuple(sorted({self._places(number) for number in numbers}))
        names = {0: 0}
        ids = [
            tuple(names.setdefault(each, len(names)) for each in _ids(side.meta)) for side in sides
        ]
        exposed = [names.setdefault(_exposed(side), len(names)) for side in sides]
        frozen = tuple(
            FrozenSide(
                ids[index],
                exposed[index],
                tuple(getattr(side.meta, name) for name in META),
                tuple(getattr(side, name) for name in STATE),
            )
            for index, side in enumerate(sides)
        )
        return Frozen(writes, len(names), frozen)


def _ids(meta: Meta) -> tuple[int, ...]:
    return (meta.current, meta.bitmap, *meta.history)


def _exposed(side: Side) -> int:
    """Return which data a diskless side has shown; of a side with a disk it does not matter."""
    return side.exposed if side.configured and not side.attached else 0


def thaw(frozen: Frozen) -> Copies:
    """Return the copies that ``freeze`` made this of."""
    resource = Resource(RESOURCE, NODES, Fencing.RESOURCE_AND_STONITH)
    resource._next_identifier = frozen.identifiers  # noqa: SLF001 - the model is laid out anew
    for node, (ids, exposed, flags, state) in zip(NODES, frozen.sides, strict=True):
        current, bitmap, *history = ids
        meta = Meta(current, bitmap, tuple(history), *flags)
        side = resource.sides[node] = Side(node, meta, exposed=exposed)
        for name, value in zip(STATE, state, strict=True):
            setattr(side, name, value)
    copies = Copies(resource)
    sides = [resource.side(node) for node in NODES]
    for number, places in enumerate(frozen.writes, start=1):
        copies.written = number
        if places.acknowledged:
            copies.acknowledged.add(number)
        for index, side in enumerate(sides):
            if places.data[index]:
                side.data.add(number)
            if places.pending[index]:
                side.pending.append(number)
            if places.blocked[index]:
                side.blocked.append(number)
    return copies
