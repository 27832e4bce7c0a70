"""A formed cluster for one told story, and the words in which it is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Self

from hapair.core.words.effects import Act, Do, Reply, Severity
from hapair.core.words.events import Command
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Standing
from tests.checkers.rules import longest_gap_s
from tests.sim.drbd import Resource
from tests.sim.faults import Fault, Faults, LoseWitness, Partition, PowerOff
from tests.sim.machine import Core, Machine
from tests.sim.run import CORE, formed, heal
from tests.sim.settings import NODES, Shape, application
from tests.sim.sides import Side
from tests.sim.watch import Watch
from tests.sim.world import World

ORDERS: Final = "orders"
DATA: Final = "orders.data0"
ONE_APPLICATION: Final = Shape(applications=(application(ORDERS),))
ASK_OPERATOR: Final = replace(ONE_APPLICATION, arbitration=ArbitrationKind.OPERATOR)
WITH_WITNESS: Final = replace(ONE_APPLICATION, arbitration=ArbitrationKind.WITNESS)
WITH_FENCING: Final = replace(ONE_APPLICATION, arbitration=ArbitrationKind.FENCING)
# Besides this one application, one without replicated data.
WEB: Final = "web"
WEB_TOO: Final = replace(
    ONE_APPLICATION, applications=(application(ORDERS), application(WEB, volumes=0))
)

LONG_S: Final = 10_000.0
WITNESS, FENCING, PATHS = ArbitrationKind.WITNESS, ArbitrationKind.FENCING, ArbitrationKind.PATHS
# Every row (the failure of a runbook's number) is told with each of these.
KINDS: Final = (WITNESS, FENCING, PATHS)
# Detection (2 s), lead (1 s; 5 s to fence), the third party, then promote, mount, addresses,
# the start script.
TAKES_OVER_WITHIN_S: Final = {
    PATHS: 6.0,
    WITNESS: 7.0,
    FENCING: 15.0,
    ArbitrationKind.OPERATOR: 6.0,
}


def with_kind(kind: ArbitrationKind, shape: Shape = ONE_APPLICATION) -> Shape:
    return replace(shape, arbitration=kind)


class Stage:
    """node1 runs ``orders`` when the story begins; every rule is checked all the time."""

    def __init__(
        self, shape: Shape = ONE_APPLICATION, seed: str = "story", core: Core = CORE
    ) -> None:
        self.world = World(shape, core, seed)
        self.watch = Watch(self.world)
        self.faults = Faults(self.world)
        self.world.faults_end = self.faults.end_all
        # What the strip switched off stays off until the story goes on.
        self.world.third_parties.power_on = lambda _node: None
        self.world.third_parties.strip.loses_answers = 0.0
        self.acts: list[tuple[str, Do]] = []
        watched = self.world.on_act

        def on_act(machine: Machine, state: NodeState, act: Act) -> None:
            if act.do is not Do.ANNOUNCE_ADDRESSES:
                self.acts.append((machine.name, act.do))
            watched(machine, state, act)

        self.world.on_act = on_act

    def begin(self) -> Self:
        formed(self.world, self.watch)
        self.run_for(3.0)
        self.acts.clear()
        return self

    # --- What happens --------------------------------------------------------------------------

    def suffers(self, *faults: Fault) -> None:
        for fault in faults:
            self.faults.inflict(fault)

    def run_for(self, duration_s: float) -> None:
        self.world.run_for(duration_s)

    def types(self, node: str, command: Command, within_s: float = 90.0) -> Reply:
        """Type a command and wait for its answer."""
        request = self.world.command(node, command)
        self.waits_for(lambda: request in self.world.replies, within_s)
        return self.world.replies[request]

    def waits_for(self, reached: Callable[[], bool], within_s: float) -> float:
        """Return after how many seconds it was reached; fail when it was not."""
        begin_s = self.now_s
        while not reached():
            assert self.now_s - begin_s < within_s, f"not reached within {within_s} s"
            self.run_for(0.1)
        return self.now_s - begin_s

    def dies(self, node: str) -> None:
        """Take the node's power for good: the third party cannot bring it back either."""
        self.suffers(PowerOff(node, LONG_S))

    def cuts_off(self, *deaf: str, for_s: float = LONG_S) -> None:
        """Nothing arrives at these nodes on any network; without names, at neither."""
        self.suffers(Partition(deaf or NODES, for_s))

    def loses_witness(self, *nodes: str, for_s: float = LONG_S) -> None:
        """These nodes do not reach any witness; without names, all witnesses are down."""
        for index in range(len(self.world.third_parties.servers)):
            self.suffers(LoseWitness(index, nodes, for_s))

    def takes_over(self, node: str, within_s: float | None = None) -> float:
        """Wait until the node serves; return how long that took."""
        limit_s = TAKES_OVER_WITHIN_S[self.world.shape.arbitration]
        return self.waits_for(lambda: self.served_by() == node, within_s or limit_s)

    def ends_well(self) -> None:
        """Mend everything and demand progress."""
        heal(self.world, self.watch)

    # --- What is seen --------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        return self.world.clockwork.now_s

    def served_by(self, name: str = ORDERS) -> str:
        """Return the node that serves the application; empty while nobody does."""
        return " and ".join(self.world.clients.serving(name))

    def outage_s(self, name: str = ORDERS) -> float:
        """Return the longest time so far without an acknowledged write."""
        return longest_gap_s(self.world.clients.answered_at_s[name])

    def standing(self, node: str) -> Standing | None:
        state = self.world.state(node)
        return state.standing if state is not None else None

    def is_together(self) -> bool:
        return all(self.standing(node) is Standing.TOGETHER for node in NODES)

    def state(self, node: str) -> NodeState:
        state = self.world.state(node)
        assert state is not None, f"the daemon of {node} does not run"
        return state

    def stored(self, node: str) -> Stored:
        return self.world.machines[node].disk

    def reason(self, node: str, table: str = "arbitration") -> str:
        """Return the name of the row that holds: what the node does about the silence."""
        return self.state(node).reasons.get(table, "")

    def runs_on(self, name: str = ORDERS) -> tuple[str, ...]:
        """Return the nodes on which the program runs, whether clients reach it or not."""
        machines = self.world.machines.values()
        return tuple(m.name for m in machines if m.powered and m.program(name) is not False)

    def acknowledged(self, name: str = DATA) -> int:
        """Return how many writes clients were told are durable."""
        return len(self.world.clients.acknowledged[name])

    def holders(self) -> dict[int, set[str]]:
        """Return who was ever recorded for each epoch, by any witness."""
        recorded: dict[int, set[str]] = {}
        for server in self.world.third_parties.servers:
            for epoch, node in server.holders.items():
                recorded.setdefault(epoch, set()).add(node)
        return recorded

    def resource(self, name: str = DATA) -> Resource:
        return self.world.resources[name]

    def copy(self, node: str, name: str = DATA) -> Side:
        return self.resource(name).side(node)

    def is_redundant(self) -> bool:
        return self.is_together() and all(
            side.disk is Disk.UP_TO_DATE and side.connection is Connection.CONNECTED
            for resource in self.world.resources.values()
            for side in resource.sides.values()
        )

    def alarms(self, node: str) -> set[str]:
        """Return the names of all alarms that the node has noted so far."""
        alarms = [note for _, who, note in self.world.notes if who == node]
        return {note.name for note in alarms if note.severity is Severity.ALARM}

    def notes(self, node: str) -> set[str]:
        return {note.name for _, who, note in self.world.notes if who == node}
