"""One moment of the walk: a situation laid out so that things can happen in it."""

from dataclasses import dataclass, replace
from typing import Final

from hapair.core.words.stored import Stored
from hapair.model.data import Connection, Role, VolumeFacts
from tests.checkers.rules import nothing_lost
from tests.sim.drbd import Written
from tests.sim.fence import LetGo
from tests.sim.others import CONNECTED as OF_OTHERS
from tests.sim.settings import NODES
from tests.sim.sides import Side
from tests.walk import rules
from tests.walk.copies import Copies
from tests.walk.cores import Cores
from tests.walk.numbers import NOTHING
from tests.walk.place import NETWORKS, Asker, Box, Outside, Power, Process, other
from tests.walk.settings import KERNEL_NOTICES, RESOURCE, Kind

PRIVATE: Final = NETWORKS.index("private")
CHANGES_MAX: Final = 20


@dataclass(slots=True)
class Moment:
    kind: Kind
    cores: Cores
    boxes: tuple[Box, Box]
    copies: Copies | None
    outside: Outside
    turn: int

    def __post_init__(self) -> None:
        if self.copies is not None:
            self.copies.watch(self._start_asker, self._resync)

    def _start_asker(self, node: str) -> None:
        self.boxes[NODES.index(node)].asker = Asker.NEW

    def _resync(self, source: Side, target: Side) -> None:
        rules.check_resync(self, source, target)

    # --- What is there -------------------------------------------------------------------------

    def stored(self, index: int) -> Stored:
        stored = self.cores.pool[self.boxes[index].disk]
        assert isinstance(stored, Stored)
        return stored

    def carries(self, sender: int, network: int) -> bool:
        """Tell whether a frame of a node reaches the other one on a network."""
        receiver = other(sender)
        plugged = NETWORKS[network] not in self.outside.unplugged
        return plugged and not self.outside.deaf[receiver][network]

    def two_way(self, network: int) -> bool:
        return self.carries(0, network) and self.carries(1, network)

    def any_two_way(self) -> bool:
        return self.two_way(0) or self.two_way(1)

    @property
    def path_works(self) -> bool:
        """Tell whether DRBD's packets and their answers arrive."""
        return self.two_way(PRIVATE) and all(box.runs for box in self.boxes)

    def side(self, index: int) -> Side:
        assert self.copies is not None
        return self.copies.resource.side(NODES[index])

    def facts(self, index: int) -> tuple[VolumeFacts, ...]:
        """Return what a kernel says; node1 has a resource of others, which is always connected."""
        ours = self.copies.resource.facts(NODES[index]) if self.copies is not None else None
        others = (OF_OTHERS,) if index == 0 else ()
        return others if ours is None else (ours, *others)

    def writable(self, index: int) -> bool:
        """Tell whether the kernel of a node would acknowledge a write now."""
        assert self.copies is not None
        side = self.side(index)
        if not side.configured or side.role is not Role.PRIMARY or side.suspended:
            return False
        if side.replicating:
            return self.path_works and self.copies.resource.linked
        return side.attached

    # --- What the kernels do -------------------------------------------------------------------

    def kernels_work(self, index: int, *, early: bool) -> None:
        """Let time pass for the replication until a node's turn; ``early``: losses are noticed."""
        if self.copies is None:
            return
        self._lose(index, early=early)
        for _ in range(CHANGES_MAX):
            if not self._change():
                return
        raise AssertionError("the replication never comes to rest")

    def _lose(self, index: int, *, early: bool) -> None:
        box = self.boxes[index]
        if not self.is_unaware(index):
            box.unnoticed = 0
            return
        if not box.runs:
            return
        box.unnoticed += 1
        # The peer's kernel is reached, and says that there is no connection.
        quick = self.two_way(PRIVATE) and self.boxes[other(index)].runs
        if quick or early or box.unnoticed >= KERNEL_NOTICES:
            box.unnoticed = 0
            assert self.copies is not None
            self._acknowledge(index, self.copies.resource.lose(NODES[index]))

    def is_unaware(self, index: int) -> bool:
        """Tell whether a kernel believes in a connection that is gone."""
        if self.copies is None:
            return False
        linked = self.path_works and self.copies.resource.linked
        return self.side(index).replicating and not linked

    def _change(self) -> bool:
        assert self.copies is not None
        resource = self.copies.resource
        if not self.path_works:
            return False
        sides = [self.side(0), self.side(1)]
        if resource.linked and resource.negotiating:
            resource.negotiate()
            return True
        if all(s.configured and s.connection is Connection.CONNECTING for s in sides):
            before = [(s.connection, s.disk) for s in sides]
            resource.connect()
            return before != [(s.connection, s.disk) for s in sides]
        for index, side in enumerate(sides):
            if (side.pending or side.blocked) and not side.suspended and resource.linked:
                self._acknowledge(index, resource.resume_pending(NODES[index]))
                return True
        return False

    def _acknowledge(self, index: int, numbers: tuple[int, ...]) -> None:
        """Let the kernel acknowledge writes that it kept waiting; a client hears of it."""
        assert self.copies is not None
        if self.boxes[index].runs and self.boxes[index].address:
            self.copies.acknowledged.update(numbers)

    def let_go(self, index: int, what: LetGo) -> None:
        self._acknowledge(index, what.acknowledged)

    # --- What clients do -----------------------------------------------------------------------

    def clients_write(self, index: int) -> None:
        """R2: whoever is served finds every acknowledged write; then it writes one more."""
        box, copies = self.boxes[index], self.copies
        if copies is None or not box.mounted or not rules.serves(box):
            return
        node, resource = NODES[index], copies.resource
        data = resource.visible(node)
        if data is None:
            return
        if not self.side(index).replicating or (self.path_works and resource.linked):
            nothing_lost(copies.acknowledged, data, f"{RESOURCE} on {node}")
        copies.written += 1
        written = resource.write(node, copies.written, path_works=self.path_works)
        if written is Written.ACKNOWLEDGED:
            copies.acknowledged.add(copies.written)

    # --- What befalls a node -------------------------------------------------------------------

    def power_off(self, index: int) -> None:
        box = self.boxes[index]
        self.boxes[index].power = Power.OFF
        kept = Box(power=Power.OFF, disk=box.disk, incarnation=box.incarnation)
        kept.late_epoch = box.late_epoch
        for name in Box.__slots__:
            setattr(box, name, getattr(kept, name))
        if self.copies is not None:
            self.copies.resource.crash(NODES[index])

    def power_on(self, index: int) -> None:
        box = self.boxes[index]
        box.power = Power.ON
        box.process = Process.DOWN
        box.forms = True
        box.disk = self.cores.pool.put(rebooted(self.stored(index)))

    def kill(self, index: int) -> None:
        """Let the daemon die; what it had begun never happens."""
        box = self.boxes[index]
        box.process, box.core = Process.DOWN, NOTHING
        box.waits, box.mail, box.beats, box.heard = (), (), (NOTHING, NOTHING), ()
        box.away, box.says, box.facts, box.fences = 0, NOTHING, NOTHING, False
        if box.program is None:
            box.program = True  # A start script goes on to its end.
        if box.asker is Asker.WAITS:
            box.asker = Asker.NEW

    def accept_loss(self, index: int) -> None:
        """Forget what an operator gave up: the copy of this node counts as it is."""
        known_behind = RESOURCE in self.stored(index).behind
        if self.copies is not None and not known_behind:
            self.copies.acknowledged &= self.side(index).data


OLD_BOOT: Final = "an earlier boot"


def rebooted(stored: Stored) -> Stored:
    """Return what is stored with the names of all boots so far made one."""
    return replace(
        stored,
        formed_boot_id=OLD_BOOT if stored.formed_boot_id else "",
        joined_boot_id=OLD_BOOT if stored.joined_boot_id else "",
    )
