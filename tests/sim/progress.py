"""R8 while faults last, and without a person: what can be served is served.

Once a second it is asked for each application and each node whether the node could serve it: it
has power, its daemon decides, it acts alone or together, its copies have every write, and no
trouble that was made stands on it. Who could for SERVES_WITHIN_S is waited for in vain.
"""

from typing import Final

from hapair.core.applications import failures, items, maintenance, trials
from hapair.core.applications.failures import PAUSE_MAX_S
from hapair.core.copies import replication
from hapair.core.right import hearing
from hapair.core.words.effects import Do
from hapair.core.words.events import Beat
from hapair.core.words.state import NodeState
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Record, Standing, Wanted
from hapair.model.timing import TAKE_OVER_S
from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Faults, RemoveAddresses, TakenAddress
from tests.sim.machine import Daemon, Machine
from tests.sim.mounts import Unmount
from tests.sim.settings import NODES, PUBLIC, other
from tests.sim.sickness import ProgramFails
from tests.sim.sides import SPLIT_BRAIN, compare
from tests.sim.watch import Watch
from tests.sim.world import World

LOOKS_EVERY_S: Final = 1.0
SERVES_WITHIN_S: Final = 60.0
LEAVES_WITHIN_S: Final = TAKE_OVER_S + 5.0
ANSWERS_WITHIN_S: Final = 3.0  # Clients write twice in a second.
# A peer that cannot store is waited for, until heartbeats say that it cannot.
SAYS_CANNOT_STORE: Final = hasattr(Beat, "cannot_store")
# What fails on the node that runs an application, and keeps it from going elsewhere.
STOPS: Final = (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.REMOVE_ADDRESSES, Do.UNMOUNT, Do.DEMOTE)


class Progress:
    """Raises when an application waits for nobody that it should wait for."""

    def __init__(self, world: World, watch: Watch, faults: Faults) -> None:
        self.world = world
        self.watch = watch
        self.faults = faults
        self.could_s: dict[tuple[str, str], float] = {}  # Since when, by node and application.
        self._emptied_s: dict[str, float] = {}  # Since when a node that leaves runs nothing.
        self._lives: dict[str, Daemon] = {}
        world.clockwork.after(LOOKS_EVERY_S, self._look)

    def _look(self) -> None:
        self.world.clockwork.after(LOOKS_EVERY_S, self._look)
        for entry in self.world.built.applications:
            name = entry.application.name
            served = self.is_served(name)
            for node in NODES:
                self._ask(node, name, served=served)
        for node in NODES:
            self._ask_who_leaves(node)
        self._lives = {m.name: m.daemon for m in self.world.machines.values() if m.daemon}

    def _ask(self, node: str, name: str, *, served: bool) -> None:
        now_s = self.world.clockwork.now_s
        hindrance = "it is served" if served else self.hindrance(node, name)
        if hindrance:
            self.could_s.pop((node, name), None)
            return
        waited_s = now_s - self.could_s.setdefault((node, name), now_s)
        state = self.world.state(node)
        failed = state is not None and (record := state.record(name)) and record.failed_on
        if waited_s > SERVES_WITHIN_S + (PAUSE_MAX_S if failed else 0.0):
            text = f"R8: {node} could serve {name} since {waited_s:.0f} s, and nobody does"
            raise BrokenRuleError(text)

    def _ask_who_leaves(self, node: str) -> None:
        """A node that has stopped everything waits only for a peer that takes over in a moment."""
        now_s = self.world.clockwork.now_s
        if not self._has_only_to_leave(node):
            self._emptied_s.pop(node, None)
            return
        waited_s = now_s - self._emptied_s.setdefault(node, now_s)
        if waited_s > LEAVES_WITHIN_S:
            text = f"R5: {node} runs nothing since {waited_s:.0f} s, and does not leave"
            raise BrokenRuleError(text)

    def _has_only_to_leave(self, node: str) -> bool:
        both = self.world.machines[node], self.world.machines[other(node)]
        for machine in both:
            daemon = machine.daemon
            if daemon is None or not machine.listens or machine.store_s > 0 or machine.blind:
                return False
        state = self.world.state(node)
        assert state is not None
        leaves = state.standing is Standing.LEAVING and items.is_released(state)
        return leaves and not trials.waits(state)

    def is_served(self, name: str) -> bool:
        """Tell whether a client was answered a moment ago."""
        answered = self.world.clients.answered_at_s[name]
        now_s = self.world.clockwork.now_s
        return bool(answered) and now_s - answered[-1] < ANSWERS_WITHIN_S

    def hindrance(self, node: str, name: str) -> str:
        """Return why nobody can expect this node to serve the application; empty: it should."""
        machine = self.world.machines[node]
        daemon = machine.daemon
        if daemon is None or not machine.listens or daemon.storing:
            return "nothing is decided here"
        if daemon is not self._lives.get(node):
            return "its daemon has just been started"
        state = daemon.state
        record = state.record(name)
        if record is None or record.wanted is not Wanted.UP:
            return "nobody wants it"
        now_s = self.world.clockwork.now_s
        asked_s = max(self.watch.asked_at_s.get(each, -1.0) for each in (name, *NODES))
        if now_s - asked_s < LOOKS_EVERY_S:
            return "a person has just typed something about it"
        return (
            self._without_right(state)
            or self._troubled(machine, daemon, name)
            or self._kept_by_peer(state, record)
            or self._may_run_on(state, name)
            or self._old_copy(machine, state, name)
        )

    def _without_right(self, state: NodeState) -> str:
        match state.standing:
            case Standing.ALONE:
                return ""
            case Standing.TOGETHER:
                peer = self.world.machines[other(state.me)]
                if peer.daemon is None or not peer.listens:
                    return "the peer has just died"
                if peer.daemon.storing:
                    return "" if SAYS_CANNOT_STORE else "the peer waits for its disk"
                both = peer.daemon.state.standing is Standing.TOGETHER
                return "" if both else "the two have not agreed"
            case _:
                return "it has no right"

    def _troubled(self, machine: Machine, daemon: Daemon, name: str) -> str:
        """Return what was done to this node, or to everybody, that keeps it from serving."""
        public = self.world.wires[PUBLIC]
        resources = [each for each in self.world.resources if each.startswith(f"{name}.")]
        sides = [self.world.resources[each].side(machine.name) for each in resources]
        holders = {*machine.held, *machine.second}
        hindered = {
            "what its monitors find": any(sick[0] == name for sick in machine.sick),
            "what makes it fail": self._stands(ProgramFails, name),
            "a maintenance": bool(maintenance.holds(daemon.state, name)),
            "a rest": _rests(daemon.state, name),
            "its disk": machine.store_s > 0,
            "its eyes": machine.blind or machine.streamless,
            "its actions": any(key[1] == name for key in machine.trouble),
            "an action that only the time-out ends": daemon.spoilt & set(daemon.under_way),
            "its cable": not public.clients_reach(machine.name),
            "somebody else's address": name in public.strangers,
            "a fight for the addresses": self._stands(RemoveAddresses, name),
            "who holds a device": holders & set(resources),
            "a mount over it": machine.covered & set(resources),
            "who unmounts it": self._is_unmounted(resources),
            "a broken disk": any(side.broken for side in sides),
        }
        return next((what for what, stands in hindered.items() if stands), "")

    def _stands(self, kind: type[RemoveAddresses | TakenAddress | ProgramFails], name: str) -> bool:
        standing = self.faults.standing.values()
        return any(isinstance(each, kind) and each.application == name for each in standing)

    def _is_unmounted(self, resources: list[str]) -> bool:
        standing = self.faults.standing.values()
        return any(isinstance(each, Unmount) and each.resource in resources for each in standing)

    def _kept_by_peer(self, state: NodeState, record: Record) -> str:
        """Return why the peer can neither serve it, as its owner, nor let it go."""
        if state.standing is Standing.ALONE:
            return ""
        peer, name = self.world.machines[other(state.me)], record.application
        if peer.daemon is not None and not peer.daemon.state.facts_read:
            return "it waits for the stream of its kernel's words (safety.md, limits)"
        holders = {*peer.held, *peer.second, *peer.covered}
        if any(each.startswith(f"{name}.") for each in holders):
            return "it cannot be stopped where it is"
        if record.owner == state.me:
            return ""
        if any(key == (do, name) for key in peer.trouble for do in STOPS):
            return "it cannot be stopped where it is"
        if peer.daemon is not None and peer.daemon.spoilt & set(peer.daemon.under_way):
            return "an action there ends with its time-out only"
        if peer.daemon is not None and peer.daemon.storing and self._waits_for_word(state):
            return "its owner waits for its disk, and is heard (safety.md, limits)"
        if peer.blind:
            return "a look that failed said that it runs there"
        if peer.daemon is not None and _is_tried_later(peer.daemon.state, name):
            return "it is stuck there, and tried again later"
        if not self.world.wires[PUBLIC].clients_reach(peer.name):
            return "clients do not reach its owner, which moves nothing"
        return ""

    def _may_run_on(self, state: NodeState, name: str) -> str:
        """Return why something without replicated data waits for a peer that decides nothing."""
        bare = not any(each.startswith(f"{name}.") for each in self.world.resources)
        if bare and state.standing is Standing.ALONE and hearing.peer_lingers(state):
            return "the peer waits for its disk, and may run it on (safety.md, limits)"
        return ""

    @staticmethod
    def _waits_for_word(state: NodeState) -> bool:
        """Tell whether nothing that is frozen here makes this node pass its peer over."""
        return replication.kernel_answers(state) or not replication.unprotected(state)

    def _old_copy(self, machine: Machine, state: NodeState, name: str) -> str:
        """Return which copy here is not the newest one, whatever the core takes it for."""
        for each, resource in self.world.resources.items():
            if not each.startswith(f"{name}."):
                continue
            side = resource.side(machine.name)
            if side.disk is not Disk.UP_TO_DATE or side.connection is Connection.SYNC_TARGET:
                return f"{each} is {side.disk}"
            theirs = resource.other(machine.name)
            if self.world.confirmed and compare(side, theirs) == SPLIT_BRAIN:
                return f"a person gave writes to the other copy of {each} away, and chooses one"
            if side.foreign or each in state.stored.foreign_to:
                return f"{each} was written behind DRBD"
            if each in state.stored.behind and self.world.machines[other(machine.name)].store_s > 0:
                return f"{each} may miss writes, and the other node's disk takes nothing"
            if each in state.stored.doubtful and (why := self._incomparable(machine, each)):
                return f"{each} may miss writes, and {why}"
            if self.world.clients.acknowledged[each] - side.data:
                return f"{each} misses writes"
        return ""

    def _incomparable(self, machine: Machine, resource: str) -> str:
        """Return why only a person can say of a doubtful copy that it is good.

        Each is told as a story: test_stories_of_foreign_writes, ..._dead_disks, ..._applications.
        """
        peer = self.world.machines[other(machine.name)]
        theirs = self.world.resources[resource].side(peer.name)
        operator = machine.built.cluster.arbitration is ArbitrationKind.OPERATOR
        theirs_state = self.world.state(peer.name)
        if operator and theirs_state is not None and theirs_state.standing is Standing.HALTED:
            return "the other one was halted while it was out of sight (safety.md, limits)"
        if theirs.foreign:
            return "somebody wrote to the other one behind DRBD"
        if theirs.broken and theirs.unseen:
            return "nobody saw when the other one lost its disk"
        if theirs.disk is Disk.DISKLESS and resource in peer.disk.behind:
            return "the other one, which misses writes, lost its disk before the two had met"
        if theirs.given_up and resource in {*peer.held, *peer.second}:
            return "what holds the other one, whose disk was given up, does not end"
        return ""


def _rests(state: NodeState, name: str) -> bool:
    """Tell whether it failed on both nodes, by its monitors, and is tried later."""
    record = state.record(name)
    return record is not None and failures.gave_up(state, record)


def _is_tried_later(state: NodeState, name: str) -> bool:
    """Tell whether the end of the ladder was reached, and its next beginning is still to come."""
    items = state.items_of(name).values()
    return any(each.stuck and each.retry_at_s > state.now_s for each in items)
