"""A model of one DRBD 8.4 resource on its two nodes (protocol C).

The words, the flags and the rules of the handshake are those of the kernel: generation
identifiers, the crashed-primary flag, the order in which two sides are compared. The order in
time (when a loss is noticed, how long a resync takes) is decided by whoever drives the model;
here every operation is instantaneous. The data of a side is the set of the writes that it has.
"""

from collections.abc import Callable
from enum import StrEnum

from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from tests.checkers.rules import BrokenRuleError
from tests.sim.fence import NEEDS_FENCE, PROMOTION_TRIES, Answered, LetGo, believe
from tests.sim.sides import (
    FULL_SYNC,
    RANK,
    SPLIT_BRAIN,
    UNRELATED,
    Asked,
    Fencing,
    Meta,
    Side,
    compare,
)


class Written(StrEnum):
    """What became of one write."""

    ACKNOWLEDGED = "acknowledged"
    PENDING = "pending"  # The peer's answer is missing; decided when the loss is noticed.
    FAILED = "failed"


class Resource:
    """Both sides of one resource. The driver calls ``connect``, ``lose`` and ``finish_resync``."""

    def __init__(
        self, name: str, nodes: tuple[str, str], fencing: Fencing = Fencing.DONT_CARE
    ) -> None:
        self.name = name
        self.fencing = fencing
        self.nodes = nodes
        self._next_identifier = 2
        self.sides = {node: Side(node, Meta(current=1)) for node in nodes}
        self.resyncs = 0  # How many have begun.
        self.on_change: Callable[[str], None] = lambda _node: None
        # The kernel of that node starts the handler. Never call ``fenced`` from inside of it.
        self.on_fence: Callable[[str], None] = lambda _node: None
        self.on_resync: Callable[[Side, Side], None] = lambda _source, _target: None
        # Whether a write that nobody has acknowledged survives the loss of power.
        self.keeps: Callable[[], bool] = lambda: True

    def side(self, node: str) -> Side:
        return self.sides[node]

    def other(self, node: str) -> Side:
        first, second = self.nodes
        return self.sides[second if node == first else first]

    def facts(self, node: str) -> VolumeFacts | None:
        side = self.sides[node]
        return side.facts(self.name) if side.configured else None

    @property
    def linked(self) -> bool:
        """Tell whether both kernels believe in the connection."""
        return all(side.replicating for side in self.sides.values())

    @property
    def resyncing(self) -> bool:
        return self.linked and any(
            side.connection is Connection.SYNC_SOURCE for side in self.sides.values()
        )

    @property
    def negotiating(self) -> bool:
        return any(side.disk is Disk.NEGOTIATING for side in self.sides.values())

    # --- What an administrator or the daemon does ----------------------------------------------

    def bring_up(self, node: str) -> Outcome:
        side = self.sides[node]
        if not side.configured:
            side.configured = True
            side.role = Role.SECONDARY
            side.connection = Connection.CONNECTING
            side.peer_role, side.peer_disk = Role.UNKNOWN, Disk.UNKNOWN
        elif side.connection is Connection.STAND_ALONE:
            side.connection = Connection.CONNECTING
        if side.disk is Disk.DISKLESS:
            self.attach(node)
        self._changed(side)
        return Done()

    def disconnect(self, node: str) -> None:
        """Let one side give its peer up, as ``drbdadm disconnect`` does."""
        for each in [each for each in self.nodes if self.sides[each].replicating]:
            self.lose(each)
        self.sides[node].connection = Connection.STAND_ALONE
        self._changed(self.sides[node])

    def attach(self, node: str) -> Outcome:
        side = self.sides[node]
        if side.broken:
            return Refused("the backing disk gives errors")
        meta = side.meta
        if side.replicating:
            side.disk = Disk.NEGOTIATING  # Until the peer answers: negotiate(), or lose().
            self._changed(side)
            return Done()
        exposed = side.role is Role.PRIMARY and not side.replicating
        if exposed and side.exposed != meta.current:
            return Refused("can only attach to the data that was shown while diskless")
        if meta.peer_outdated:
            side.peer_disk = Disk.OUTDATED
        side.settle_disk(self.fencing)
        self._changed(side)
        return Done()

    def negotiate(self) -> None:
        """Let the peer answer a disk that was attached while connected."""
        for side in self.sides.values():
            if side.disk is Disk.NEGOTIATING:
                side.settle_disk(self.fencing)
        self.connect(handshake_only=True)

    def take_down(self, node: str) -> Outcome:
        """Demote, disconnect, detach. The driver refuses it while somebody holds the device."""
        side = self.sides[node]
        side.role = Role.SECONDARY
        self._changed(side)
        self._outdate(side)
        side.configured = False
        side.disk = Disk.DISKLESS
        side.forget_waiting()
        self.on_change(node)
        return Done()

    def _outdate(self, leaving: Side) -> None:
        """Mark the copy that leaves in order, so that its Primary goes on and asks nobody."""
        peer = self.other(leaving.node)
        careless = self.fencing is Fencing.DONT_CARE
        if careless or peer.role is not Role.PRIMARY or not leaving.replicating:
            return
        if RANK[leaving.disk] > RANK[Disk.OUTDATED]:
            leaving.disk = Disk.OUTDATED
            if peer.disk is Disk.UP_TO_DATE and not peer.meta.bitmap:
                self._new_generation(peer)
            self._changed(leaving)

    def promote(self, node: str, *, force: bool = False) -> Outcome:
        """Make the side Primary; NEEDS_FENCE when the kernel asks its handler first."""
        side = self.sides[node]
        if not side.configured:
            return Refused("no such resource")
        if side.asked is Asked.PROMOTION:
            return Unknown("the device is locked by a promotion that waits for the handler")
        if side.role is Role.PRIMARY:
            return Done()
        if side.replicating and side.peer_role is Role.PRIMARY:
            return Refused("the peer is Primary")
        if self._must_ask(side, force=force):
            side.tries = 1
            self._ask(side, Asked.PROMOTION)
            return NEEDS_FENCE
        return self._promote(side, force=force)

    def _must_ask(self, side: Side, *, force: bool) -> bool:
        if self.fencing is Fencing.DONT_CARE or side.replicating or not side.attached:
            return False
        good = side.disk in (Disk.UP_TO_DATE, Disk.CONSISTENT)
        return (good or force) and RANK[side.peer_disk] >= RANK[Disk.UNKNOWN]

    def _promote(self, side: Side, *, force: bool = False) -> Outcome:
        good = RANK[side.disk] >= RANK[Disk.UP_TO_DATE]
        if not side.replicating and not good and not (force and side.attached):
            return Refused("need access to UpToDate data")
        usable = max(RANK[side.disk], RANK[side.peer_disk]) > RANK[Disk.INCONSISTENT]
        if side.replicating and not usable:
            return Refused("need access to UpToDate data")
        forced = force and not good and not side.replicating
        if forced:
            side.disk = Disk.UP_TO_DATE
        peer_has_none = not side.replicating or RANK[side.peer_disk] <= RANK[Disk.FAILED]
        if side.attached and ((peer_has_none and not side.meta.bitmap) or forced):
            self._new_generation(side)
        side.role = Role.PRIMARY
        self._changed(side)
        return Done()

    def demote(self, node: str) -> Outcome:
        side = self.sides[node]
        if not side.configured:
            return Refused("no such resource")
        side.role = Role.SECONDARY
        self._changed(side)
        return Done()

    def detach(self, node: str) -> Outcome:
        """Drop the local disk, by force or because it gave an error."""
        side = self.sides[node]
        if side.attached:
            side.exposed = side.meta.current
            side.disk = Disk.DISKLESS
            if self.linked and side.connection is not Connection.CONNECTED:
                side.connection = self.other(node).connection = Connection.CONNECTED
            self._changed(side)
        return Done()

    def resume(self, node: str) -> LetGo:
        """Let frozen writes go by command ("resume-io"); the peer's copy is not marked."""
        side = self.sides[node]
        if not side.suspended:
            return LetGo()
        return self._let_go(side)

    def fenced(self, node: str, exit_code: int) -> Answered:
        """The handler that ``on_fence`` announced ends with this exit code."""
        side = self.sides[node]
        asked, side.asked = side.asked, None
        if asked is None:  # The node crashed or the resource went down meanwhile.
            return Answered()
        if not side.replicating:  # Otherwise the kernel ignores what the handler says.
            believe(side, exit_code)
            self._changed(side)
        sure = RANK[side.peer_disk] <= RANK[Disk.OUTDATED]
        if asked is Asked.PROMOTION:
            return Answered(promoted=self._go_on_promoting(side, sure=sure))
        if side.suspended and sure and side.given_up:
            # 8.4.11 marks a new generation on the disk that is gone: a NULL pointer.
            raise BrokenRuleError(f"R7: the kernel of {node} crashes: the disk was given up")
        let_go = self._let_go(side) if side.suspended and sure else LetGo()
        self._changed(side)
        return Answered(let_go)

    def _go_on_promoting(self, side: Side, *, sure: bool) -> Outcome | None:
        if side.replicating and side.peer_role is Role.PRIMARY:
            return Refused("the peer is Primary")
        if sure and side.disk is Disk.CONSISTENT:
            side.disk = Disk.UP_TO_DATE
        if sure or side.replicating or side.disk is Disk.OUTDATED:
            return self._promote(side)
        if side.tries >= PROMOTION_TRIES:
            return Refused("refusing to be Primary while peer is not outdated")
        side.tries += 1
        self._ask(side, Asked.PROMOTION)
        return None

    def _ask(self, side: Side, why: Asked) -> None:
        side.asked = why
        self.on_fence(side.node)

    def _let_go(self, side: Side) -> LetGo:
        """End the freeze: on the own disk alone, or with errors where there is none."""
        waiting = (*side.pending, *side.blocked)
        side.pending.clear()
        side.blocked.clear()
        side.suspended = False
        if side.disk is not Disk.UP_TO_DATE:
            self._changed(side)
            return LetGo(failed=waiting)
        if not side.meta.bitmap:
            self._new_generation(side)
        side.data.update(waiting)
        side.unprotected_writes += len(waiting)
        self._changed(side)
        return LetGo(acknowledged=waiting)

    # --- What happens to it --------------------------------------------------------------------

    def crash(self, node: str) -> None:
        """Take the node's power: only the meta-data and the data on its disk remain."""
        side = self.sides[node]
        side.data -= {number for number in side.pending if not self.keeps()}
        side.configured = False
        side.role, side.disk = Role.SECONDARY, Disk.DISKLESS
        side.crashed_primary = False
        side.forget_waiting()

    def lose(self, node: str) -> tuple[int, ...]:
        """Let the kernel of ``node`` notice that the connection is gone.

        Returns the pending writes that it acknowledges now. With "resource-and-stonith" there are
        none: a Primary with a disk freezes, and its handler is asked.
        """
        side = self.sides[node]
        had_peer_data = RANK[side.peer_disk] >= RANK[Disk.CONSISTENT]
        side.connection = Connection.CONNECTING
        side.peer_role = Role.UNKNOWN
        if side.disk is Disk.NEGOTIATING:  # "Connection lost while negotiating, no data!"
            side.disk = Disk.DISKLESS
            if side.exposed == side.meta.current:
                side.settle_disk(self.fencing)
        if side.peer_disk not in (Disk.OUTDATED, Disk.INCONSISTENT):
            side.peer_disk = Disk.UNKNOWN
        if self._asks_about_peer(side):
            side.suspended = True
            self._changed(side)
            self._ask(side, Asked.LOSS)
            return ()
        writable = side.role is Role.PRIMARY and side.disk is Disk.UP_TO_DATE
        if writable and had_peer_data and not side.meta.bitmap:
            self._new_generation(side)
        acknowledged = tuple(side.pending) if writable else ()
        side.unprotected_writes += len(acknowledged)
        side.pending.clear()
        self._changed(side)
        return acknowledged

    def _asks_about_peer(self, side: Side) -> bool:
        """Tell whether the kernel asks about the peer of this side."""
        return (
            self.fencing is Fencing.RESOURCE_AND_STONITH
            and side.role is Role.PRIMARY
            and side.attached
            and RANK[side.peer_disk] > RANK[Disk.OUTDATED]
        )

    def resume_pending(self, node: str) -> tuple[int, ...]:
        """Give the peer the writes that waited: its path works, or it is connected, again."""
        side = self.sides[node]
        if not self.linked or side.suspended:
            return ()
        acknowledged = (*side.pending, *side.blocked)
        side.pending.clear()
        side.blocked.clear()
        if side.attached:
            side.data.update(acknowledged)
        peer = self.other(node)
        if peer.attached:
            peer.data.update(acknowledged)
        return acknowledged

    def write(self, node: str, number: int, *, path_works: bool) -> Written:
        side, peer = self.sides[node], self.other(node)
        if not side.configured or side.role is not Role.PRIMARY:
            return Written.FAILED
        if side.suspended:
            side.blocked.append(number)
            return Written.PENDING
        if side.replicating and not (path_works and peer.replicating):
            if side.attached:
                side.data.add(number)
                side.pending.append(number)
                return Written.PENDING
            return Written.FAILED
        if not side.replicating and side.disk is not Disk.UP_TO_DATE:
            return Written.FAILED
        if side.attached:
            side.data.add(number)
        if side.replicating and peer.attached:
            peer.data.add(number)
        else:
            side.unprotected_writes += 1
        return Written.ACKNOWLEDGED

    def visible(self, node: str) -> set[int] | None:
        """Return the writes that a reader on ``node`` finds; None when it gets an I/O error."""
        side, peer = self.sides[node], self.other(node)
        if side.suspended:
            return None  # A reader hangs as a writer does.
        if side.attached and side.disk is Disk.UP_TO_DATE:
            return side.data
        if side.replicating and peer.attached and peer.disk is Disk.UP_TO_DATE:
            return peer.data
        return None

    def connect(self, *, handshake_only: bool = False) -> None:
        """Let both sides meet: compare the data, then replicate, resync or stay apart."""
        mine, theirs = (self.sides[node] for node in self.nodes)
        if Asked.PROMOTION in (mine.asked, theirs.asked):
            return  # The kernel makes no connection while a promotion waits for its handler.
        if mine.role is theirs.role is Role.PRIMARY:
            self._stay_apart(mine, theirs)
            return
        answer = self._handshake(mine, theirs)
        if abs(answer) >= SPLIT_BRAIN:
            self._stay_apart(mine, theirs)
            return
        target = theirs if answer > 0 else mine
        source = mine if answer > 0 else theirs
        reattached = handshake_only  # A side whose disk was Negotiating may become a target.
        good = RANK[target.disk] >= RANK[Disk.CONSISTENT] and not reattached
        if answer and target.role is Role.PRIMARY and good:
            self._stay_apart(target)  # "I shall become SyncTarget, but I am primary!"
            return
        if answer and source.disk is Disk.INCONSISTENT:
            self._stay_apart(source)  # "I shall become SyncSource, but I am inconsistent!"
            return
        if not handshake_only and not self._diskless_primary_finds_its_data(mine, theirs):
            return
        for side in (mine, theirs):
            side.crashed_primary = False
            side.connection = Connection.CONNECTED
            side.suspended = False  # What waited goes to the peer: see resume_pending().
        if answer:
            self._start_resync(source, target)
        self._settle_equal(mine, theirs)

    def finish_resync(self) -> None:
        source = next(
            side for side in self.sides.values() if side.connection is Connection.SYNC_SOURCE
        )
        target = self.other(source.node)
        target.data = set(source.data)
        source.meta.remember(source.meta.bitmap)
        source.meta.bitmap = 0
        target.meta.current = source.meta.current
        target.meta.bitmap = 0
        target.meta.history = source.meta.history
        source.unprotected_writes = target.unprotected_writes = 0
        source.connection = target.connection = Connection.CONNECTED
        target.disk = Disk.UP_TO_DATE
        target.crashed_primary = source.crashed_primary = False
        self._changed(target)
        self._changed(source)

    # --- Inside --------------------------------------------------------------------------------

    def _handshake(self, mine: Side, theirs: Side) -> int:
        if not mine.attached or not theirs.attached:
            return 0
        answer = compare(mine, theirs)
        if abs(answer) >= UNRELATED:
            return answer
        bad = [side for side in (mine, theirs) if side.disk is Disk.INCONSISTENT]
        if len(bad) == 1:
            full = FULL_SYNC if abs(answer) in (FULL_SYNC, SPLIT_BRAIN) else 1
            return -full if bad[0] is mine else full
        return answer

    def _diskless_primary_finds_its_data(self, mine: Side, theirs: Side) -> bool:
        for side, peer in ((mine, theirs), (theirs, mine)):
            diskless = side.role is Role.PRIMARY and not side.attached
            if diskless and peer.attached and peer.meta.current != side.exposed:
                self._stay_apart(side)
                return False
        return True

    def _stay_apart(self, *sides: Side) -> None:
        for side in self.sides.values():
            alone = side in sides
            side.connection = Connection.STAND_ALONE if alone else Connection.CONNECTING
            side.peer_role = Role.UNKNOWN
            if side.peer_disk not in (Disk.OUTDATED, Disk.INCONSISTENT):
                side.peer_disk = Disk.UNKNOWN
            self._changed(side)
            # Whenever a connection or an attempt at one ends, a Primary asks (again).
            if self._asks_about_peer(side) and side.asked is None:
                self._ask(side, Asked.LOSS)

    def _start_resync(self, source: Side, target: Side) -> None:
        self.resyncs += 1
        self.on_resync(source, target)
        if not source.meta.bitmap:
            source.meta.bitmap = self.identifier()
        target.meta.remember(target.meta.bitmap)
        target.meta.current, target.meta.bitmap = source.meta.bitmap, 0
        target.disk = Disk.INCONSISTENT
        source.connection, target.connection = Connection.SYNC_SOURCE, Connection.SYNC_TARGET

    def _settle_equal(self, mine: Side, theirs: Side) -> None:
        """Call both copies UpToDate, since they are equal and connected; tell both sides."""
        for side in (mine, theirs):
            if side.replicating and side.disk in (Disk.OUTDATED, Disk.CONSISTENT):
                side.disk = Disk.UP_TO_DATE
        self._changed(mine)
        self._changed(theirs)

    def _new_generation(self, side: Side) -> None:
        side.meta.remember(side.meta.bitmap)
        side.meta.bitmap = side.meta.current
        side.meta.current = self.identifier()

    def identifier(self) -> int:
        self._next_identifier += 1
        return self._next_identifier

    def _changed(self, side: Side) -> None:
        """Tell the peer over the connection, write the flags, announce the change."""
        peer = self.other(side.node)
        if self.linked:
            if side.disk is Disk.DISKLESS:
                self._write_to_one_disk(side, peer)
            side.peer_role, side.peer_disk = peer.role, peer.disk
            peer.peer_role, peer.peer_disk = side.role, side.disk
            peer.write_flags()
            self.on_change(peer.node)
        side.write_flags()
        self.on_change(side.node)

    def _write_to_one_disk(self, diskless: Side, peer: Side) -> None:
        """Mark that from now on only the disk of ``peer`` gets writes."""
        primary = Role.PRIMARY in (peer.role, diskless.role)
        if primary and peer.disk is Disk.UP_TO_DATE and not peer.meta.bitmap:
            self._new_generation(peer)
        diskless.exposed = peer.meta.current
