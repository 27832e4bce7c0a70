"""The simulator's model of DRBD against the real one: the same operations, the same states."""

from collections.abc import Iterator

import pytest

from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done
from hapair_lab import snapshots
from hapair_lab.lab import Lab
from tests.lab.real_drbd import RealDrbd, State
from tests.sim.drbd import Resource, Written

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]
NODES = ("node1", "node2")
UP_TO_DATE = "UpToDate/UpToDate"


class ModelDrbd:
    """The model, settled at once after each operation."""

    def __init__(self) -> None:
        self.resource = Resource("r0", NODES)
        self.is_cut = False
        self.holds_resync = False
        for node in NODES:
            self.resource.bring_up(node)
        self.settle()

    def settle(self) -> None:
        resource = self.resource
        for _ in range(4):
            works = not self.is_cut and resource.linked
            for node in NODES:
                if resource.side(node).replicating and not works:
                    resource.lose(node)
            if resource.linked and resource.negotiating:
                resource.negotiate()
            looking = all(
                side.configured and side.connection is Connection.CONNECTING
                for side in resource.sides.values()
            )
            if looking and not self.is_cut:
                resource.connect()
            if resource.resyncing and not self.holds_resync:
                resource.finish_resync()

    def state(self, node: str) -> State:
        facts = self.resource.facts(node)
        if facts is None:
            return State()
        disks = f"{facts.disk}/{facts.peer_disk}"
        return State(f"{facts.role}/{facts.peer_role}", disks, facts.connection)


class Both:
    """Does everything twice and compares."""

    def __init__(self, real: RealDrbd) -> None:
        self.real = real
        self.count = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        self.model = ModelDrbd()
        self.real.fresh()

    def ready(self) -> None:
        """Be connected, UpToDate and Secondary on both sides; new if a sequence ended otherwise.

        The history of the identifiers goes on from one sequence to the next.
        """
        if any(state.disks != UP_TO_DATE for state in self.real.states()):
            self.begin_anew()
        for node in NODES:
            self._do("demote", node, refused=False)
        self.same("from the beginning")

    def same(self, when: str) -> None:
        """Let both settle; what the kernels say must be what the model says."""
        self.real.settle()
        self.model.settle()
        modelled = [self.model.state(node) for node in NODES]
        assert self.real.states() == modelled, when

    def does(self, sequence: str) -> None:
        """Do ``promote node1; write node1; cut`` step by step; ``!promote`` must be refused."""
        for step in sequence.split(";"):
            operation, _, node = step.strip().partition(" ")
            self._do(operation.removeprefix("!"), node, refused=operation.startswith("!"))
            self.same(f"after {step.strip()} of: {sequence}")

    def _do(self, operation: str, node: str, *, refused: bool) -> None:
        match operation:
            case "cut":
                self.real.cut()
                self.model.is_cut = True
            case "mend":
                self.real.mend()
                self.model.is_cut = False
            case "crash":
                self.real.crash(self.real.lab.machine(node))
                self.model.resource.crash(node)
            case "power-on":
                self.real.power_on(self.real.lab.machine(node))
            case "write":
                self._write(node)
            case _:
                machine = self.real.lab.machine(node)
                real = getattr(self.real, operation.replace("-", "_"))(machine)
                model = getattr(self.model.resource, operation.replace("-", "_"))(node)
                done = not refused
                assert (isinstance(real, Done), isinstance(model, Done)) == (done, done), real

    def _write(self, node: str) -> None:
        self.count += 1
        real = self.real.write(self.real.lab.machine(node), self.count)
        works = not self.model.is_cut
        written = self.model.resource.write(node, self.count, path_works=works)
        assert real is (written is Written.ACKNOWLEDGED)

    def starts_a_resync(self, source: str) -> None:
        """Mend the network after so many writes that the resync takes some seconds."""
        self.real.dirty(self.real.lab.machine(source))
        self.model.holds_resync = True
        self._do("mend", "", refused=False)
        self.real.lab.wait_until(
            "a copy is being completed",
            lambda: any(state.connection == "SyncTarget" for state in self.real.states()),
            timeout_s=30,
        )
        self.model.settle()
        assert self.real.states() == [self.model.state(node) for node in NODES]

    def reads_the_same(self, node: str) -> None:
        assert self.real.numbers(self.real.lab.machine(node)) == self.model.resource.visible(node)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with Lab.from_saved(snapshots.ensure(snapshots.OS_BOOTED)) as lab:
        yield Both(RealDrbd(lab))


SEQUENCES = """
promote node1; write node1; demote node1; promote node2; write node2
promote node1; !promote node2; demote node1; promote node2
promote node1; take-down node1; promote node2; bring-up node1
promote node1; write node1; cut; write node1; mend; write node1
promote node1; take-down node2; write node1; bring-up node2
cut; mend; promote node2; write node2
promote node1; cut; promote node2; write node1; write node2; demote node2; mend
promote node1; cut; promote node2; mend
promote node1; write node1; cut; demote node1; promote node1; write node1; mend
promote node1; detach node1; write node1; attach node1; write node1
detach node2; promote node1; write node1; attach node2
detach node1; promote node1; write node1; demote node1; attach node1
promote node1; write node1; detach node1; write node1; cut; !attach node1; mend; attach node1
promote node1; take-down node2; write node1; take-down node1; bring-up node2; bring-up node1
promote node1; cut; write node1; take-down node1; promote node2; take-down node2; bring-up node1
promote node1; write node1; crash node1; promote node2; write node2; power-on node1; bring-up node1
promote node1; write node1; crash node1; crash node2; power-on node1; power-on node2; bring-up node2
promote node1; detach node1; write node1; crash node1; power-on node1; bring-up node1
"""


@pytest.mark.parametrize("sequence", SEQUENCES.strip().splitlines())
def test_the_model_does_what_drbd_does(both: Both, sequence: str) -> None:
    both.ready()
    both.does(sequence)
    for node, side in both.model.resource.sides.items():
        if side.configured and side.role is Role.PRIMARY:
            both.reads_the_same(node)


def test_an_interrupted_resync_leaves_a_copy_that_is_not_promoted(both: Both) -> None:
    both.ready()
    both.does("promote node1; cut; write node1")
    both.starts_a_resync("node1")
    both.does("cut; !promote node2")
    assert both.model.resource.side("node2").disk is Disk.INCONSISTENT
    both.model.holds_resync = False
    both.does("mend; demote node1; promote node2; write node2")
    both.reads_the_same("node2")
