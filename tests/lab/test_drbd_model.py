"""The simulator's model of DRBD against the real one: the same operations, the same states.

Many sequences are played at the same time, each on a resource of its own.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest

from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done, Outcome
from hapair_lab import snapshots
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from tests.lab.real_drbd import SETTLES_WITHIN_S, RealDrbd, State, prepare
from tests.labs import lab_for
from tests.sim.drbd import Resource, Written
from tests.sim.fence import NEEDS_FENCE, LetGo
from tests.sim.sides import Fencing

pytestmark = pytest.mark.lab(seconds=10)
NODES = ("node1", "node2")
UP_TO_DATE = "UpToDate/UpToDate"
AT_ONCE = 6  # Sequences; more would make the emulated guests so slow that connections break.
WHOLE_MACHINE = ("crash", "power-on")
MEET_S = 1200.0  # How long sequences wait for one another before the power is cut.


class ModelDrbd:
    """The model, settled at once after each operation."""

    def __init__(self, fencing: Fencing) -> None:
        self.resource = Resource("r0", NODES, fencing)
        # Writes that waited, and whether they succeeded.
        self.ended: dict[str, dict[int, bool]] = {node: {} for node in NODES}
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
            for node in NODES:
                self.let_go(node, LetGo(acknowledged=resource.resume_pending(node)))
            if resource.resyncing and not self.holds_resync:
                resource.finish_resync()

    def let_go(self, node: str, writes: LetGo) -> None:
        self.ended[node] |= dict.fromkeys(writes.acknowledged, True)
        self.ended[node] |= dict.fromkeys(writes.failed, False)

    def promote(self, node: str, answer: int | None) -> Outcome:
        """Promote; ``answer`` is what the handler says whenever it is asked."""
        outcome = self.resource.promote(node)
        if outcome is not NEEDS_FENCE:
            return outcome
        if answer is None:
            message = f"the model asks before it promotes {node}"
            raise AssertionError(message)
        ended: Outcome | None = None
        while ended is None:
            ended = self.resource.fenced(node, answer).promoted
        return ended

    def state(self, node: str) -> State:
        facts = self.resource.facts(node)
        if facts is None:
            return State()
        disks = f"{facts.disk}/{facts.peer_disk}"
        roles = f"{facts.role}/{facts.peer_role}"
        return State(roles, disks, facts.connection, facts.suspended)


class Together:
    """What concerns whole machines happens once, when every sequence has come to it."""

    def __init__(self, sequences: int) -> None:
        self._barrier = threading.Barrier(sequences, timeout=MEET_S)

    def once(self, act: Callable[[], None]) -> None:
        if self._barrier.wait() == 0:
            act()
        self._barrier.wait()

    def give_up(self) -> None:
        """Let nobody wait any longer: one of them cannot come."""
        self._barrier.abort()


def apart(states: list[State]) -> list[State]:
    """Forget which of two sides that refused each other noticed it first.

    The first one drops the connection; the other one gives up too, or tries in vain for ever.
    """
    if all(state.connection in ("StandAlone", "Connecting") for state in states) and any(
        state.connection == "StandAlone" for state in states
    ):
        return [replace(state, connection="StandAlone") for state in states]
    return states


class Both:
    """Does everything twice and compares."""

    def __init__(self, real: RealDrbd) -> None:
        self.real = real
        self.count = 0
        self.together = Together(1)
        self.fencing: Fencing | None = None

    def begin_anew(self, fencing: Fencing) -> None:
        self.fencing = fencing
        self.model = ModelDrbd(fencing)
        self.real.fresh(fencing)

    @property
    def a_handler_waits(self) -> bool:
        return any(side.asked is not None for side in self.model.resource.sides.values())

    def ready(self, fencing: Fencing = Fencing.DONT_CARE) -> None:
        """Be connected, UpToDate and Secondary on both sides; new if a sequence ended otherwise.

        The history of the identifiers goes on from one sequence to the next.
        """
        good = all(state.disks == UP_TO_DATE for state in self.real.states())
        if fencing is not self.fencing or not good or self.a_handler_waits:
            self.begin_anew(fencing)
        self.real.mend()
        self.model.is_cut = False
        for node in NODES:
            self._do("demote", node, refused=False)
        self.same("from the beginning")

    def same(self, when: str) -> None:
        """Let both settle; what the kernels say must be what the model says."""
        self.real.settle()
        self.model.settle()
        modelled = [self.model.state(node) for node in NODES]
        assert apart(self.real.states()) == apart(modelled), when
        for node in NODES:
            machine = self.real.lab.machine(node)
            if machine.is_on() and self.fencing is not Fencing.DONT_CARE:
                waits = self.model.resource.side(node).asked is not None
                self.real.lab.wait_until(
                    f"the handler on {node} waits: {waits}, {when}",
                    lambda machine=machine, waits=waits: self.real.asked(machine) is waits,  # type: ignore[misc]
                    timeout_s=SETTLES_WITHIN_S,
                )

    def does(self, sequence: str) -> None:
        """Do ``promote node1; write node1; cut`` step by step; ``!promote`` must be refused.

        ``answer node1 7``: the handler that waits ends with 7; ``promote node1 7``: it says so
        when it is asked. ``begin node1``: a write that is not waited for.
        """
        for step in sequence.split(";"):
            operation, node, answer = (*step.split(), "", "")[:3]
            name, refused = operation.removeprefix("!"), operation.startswith("!")
            if name in ("answer", "begin", "resume") or answer:
                self._do_frozen(name, node, int(answer or -1), refused=refused)
            else:
                self._do(name, node, refused=refused)
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
                self.together.once(self.real.lab.machine(node).power_off)
                self.model.resource.crash(node)
                self.model.ended[node].clear()
            case "power-on":
                self.together.once(self.real.lab.machine(node).power_on)
            case "write":
                self._write(node)
            case "promote":
                real = self.real.promote(self.real.lab.machine(node))
                self._agree(real, self.model.promote(node, None), refused=refused)
            case _:
                machine = self.real.lab.machine(node)
                real = getattr(self.real, operation.replace("-", "_"))(machine)
                model = getattr(self.model.resource, operation.replace("-", "_"))(node)
                self._agree(real, model, refused=refused)

    @staticmethod
    def _agree(real: Outcome, model: Outcome, *, refused: bool) -> None:
        done = not refused
        assert (isinstance(real, Done), isinstance(model, Done)) == (done, done), real

    def _do_frozen(self, operation: str, node: str, answer: int, *, refused: bool) -> None:
        machine = self.real.lab.machine(node)
        match operation:
            case "begin":
                self.count += 1
                self.real.begin_write(machine, self.count)
                self.model.resource.write(node, self.count, path_works=False)
            case "answer":
                self.real.answer(machine, answer)
                self.model.let_go(node, self.model.resource.fenced(node, answer).let_go)
            case "resume":
                assert isinstance(self.real.resume(machine), Done)
                self.model.let_go(node, self.model.resource.resume(node))
            case _:
                real = self.real.promote_asking(machine, answer)
                self._agree(real, self.model.promote(node, answer), refused=refused)

    def ended_the_same(self, node: str) -> None:
        """The writes that were begun: which have ended, and how."""
        machine, modelled = self.real.lab.machine(node), self.model.ended[node]
        self.real.lab.wait_until(
            f"these writes have ended: {modelled}",
            lambda: len(self.real.ended_writes(machine)) >= len(modelled),
            timeout_s=SETTLES_WITHIN_S,
        )
        assert self.real.ended_writes(machine) == modelled

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
            timeout_s=SETTLES_WITHIN_S,
        )
        self.model.settle()
        modelled = [self.model.state(node) for node in NODES]
        self.real.lab.wait_until(
            f"both say {modelled}",
            lambda: self.real.states() == modelled,
            timeout_s=SETTLES_WITHIN_S,
        )

    def reads_the_same(self, node: str) -> None:
        assert self.real.numbers(self.real.lab.machine(node)) == self.model.resource.visible(node)


@dataclass(frozen=True, slots=True)
class Bench:
    """So many resources, each with its model, and threads that play them.

    The threads outlive the guests: a guest that one of them gave power ends with it.
    """

    lab: Lab
    pairs: list[Both]
    threads: ThreadPoolExecutor


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with (
        ThreadPoolExecutor(AT_ONCE) as threads,
        lab_for(request, snapshots.OS_BOOTED) as lab,
    ):
        prepare(lab, AT_ONCE)
        yield Bench(lab, [Both(RealDrbd(lab, number)) for number in range(AT_ONCE)], threads)


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


FROZEN_SEQUENCES = """
promote node1; write node1; cut; begin node1; answer node1 7; write node1; mend; write node1
promote node1; cut; begin node1; answer node1 4; demote node1; promote node1; mend
promote node1; cut; begin node1; answer node1 5; mend
promote node1; cut; begin node1; answer node1 3; mend
promote node1; cut; begin node1; answer node1 6; mend
promote node1; cut; begin node1; answer node1 1; mend; write node1
promote node1; cut; begin node1; answer node1 1; resume node1; write node1; mend
promote node1; cut; begin node1; mend; write node1
promote node1; cut; answer node1 1; promote node2 7; write node2; mend
promote node1; cut; begin node1; answer node1 1; promote node2 7; detach node1; resume node1; mend
promote node1; take-down node2; write node1; bring-up node2; write node1
cut; promote node2 7; write node2; mend
cut; promote node2 4; demote node2; promote node2; mend
cut; !promote node2 1; mend; promote node2
cut; !promote node2 6; !promote node2; mend; promote node2
promote node1; cut; answer node1 1; crash node1; power-on node1; bring-up node1; !promote node1 1
promote node1; cut; answer node1 1; crash node1; power-on node1; bring-up node1; !promote node1 5
promote node1; cut; answer node1 1; crash node1; power-on node1; bring-up node1; promote node1 7
promote node1; cut; answer node1 7; crash node1; power-on node1; bring-up node1; promote node1
promote node1; cut; answer node1 1; resume node1; crash node1; power-on node1; bring-up node1; mend
promote node1; crash node1; promote node2 7; write node2; power-on node1; bring-up node1
promote node1; detach node1; cut; promote node2 7; write node2; demote node2; mend
detach node2; promote node1; cut; answer node1 7; mend; attach node2
"""


@dataclass(frozen=True, slots=True)
class Sequence:
    fencing: Fencing
    text: str

    @property
    def machines(self) -> tuple[str, ...]:
        """What happens to whole machines in it."""
        steps = (step.strip() for step in self.text.split(";"))
        return tuple(step for step in steps if step.startswith(WHOLE_MACHINE))


ALL = [
    Sequence(fencing, text)
    for fencing, texts in (
        (Fencing.DONT_CARE, SEQUENCES),
        (Fencing.RESOURCE_AND_STONITH, FROZEN_SEQUENCES),
    )
    for text in texts.strip().splitlines()
]


def batches() -> Iterator[tuple[str, list[Sequence]]]:
    """Yield sequences that can be played at the same time: their machines fare alike."""
    for machines in dict.fromkeys(each.machines for each in ALL):
        alike = [each for each in ALL if each.machines == machines]
        for start in range(0, len(alike), AT_ONCE):
            name = f"{', '.join(machines) or 'no crash'} {start // AT_ONCE + 1}"
            yield name, alike[start : start + AT_ONCE]


BATCHES = dict(batches())
# The rest is played by make lab: each crash of a machine is in one of these.
IN_MAKE_TEST = "1"


def play(both: Both, sequence: Sequence, together: Together) -> str:
    """Play one sequence; return what differed, or nothing."""
    try:
        both.together = together
        both.ready(sequence.fencing)
        both.does(sequence.text)
        for node, side in both.model.resource.sides.items():
            if side.configured and side.role is Role.PRIMARY:
                if sequence.fencing is Fencing.DONT_CARE:
                    both.reads_the_same(node)
                else:
                    both.ended_the_same(node)
    except (AssertionError, LabError, threading.BrokenBarrierError) as error:
        together.give_up()
        both.fencing = None  # The next one begins with a new resource.
        return f"{sequence.text}: {error!r}"
    return ""


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(batch, id=name, marks=() if name.endswith(IN_MAKE_TEST) else pytest.mark.long)
        for name, batch in BATCHES.items()
    ],
)
def test_the_model_does_what_drbd_does(bench: Bench, batch: list[Sequence]) -> None:
    for node in bench.lab.nodes:
        if not node.is_on():  # The batch before this one went wrong.
            node.power_on()
    together = Together(len(batch))
    played = bench.threads.map(play, bench.pairs, batch, [together] * len(batch))
    differed = [text for text in played if text]
    assert not differed, "\n\n".join(differed)


def test_an_interrupted_resync_leaves_a_copy_that_is_not_promoted(bench: Bench) -> None:
    both = bench.pairs[0]
    both.together = Together(1)
    both.ready()
    both.does("promote node1; cut; write node1")
    both.starts_a_resync("node1")
    both.does("cut; !promote node2")
    assert both.model.resource.side("node2").disk is Disk.INCONSISTENT
    both.model.holds_resync = False
    both.does("mend; demote node1; promote node2; write node2")
    both.reads_the_same("node2")
