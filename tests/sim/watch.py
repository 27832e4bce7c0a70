"""Watches a world all the time for what must never happen, and in the end for progress."""

from math import inf
from typing import Final

from hapair.core.applications.items import is_spent
from hapair.core.words.effects import Act, Do, Layer
from hapair.core.words.events import Halt, Leave, Move, Run
from hapair.core.words.item import Is, Item
from hapair.core.words.state import NodeState
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Standing, Wanted
from tests.checkers.rules import BrokenRuleError, nothing_lost
from tests.sim.machine import Machine
from tests.sim.settings import NODES, other
from tests.sim.sides import Side
from tests.sim.world import World

STOPS: Final = (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.REMOVE_ADDRESSES, Do.UNMOUNT, Do.DEMOTE)
# Also what is put back after somebody removed it.
BRINGS: Final = (Do.PROMOTE, Do.ADD_ADDRESSES, Do.RESTORE_ADDRESSES, Do.START_PROGRAM)
ACTION_TAKES_MAX_S: Final = 600.0
ASKED_FOR_S: Final = 150.0  # So long a command explains that an application stops.


class Watch:
    def __init__(self, world: World) -> None:
        self.world = world
        self.asked_at_s: dict[str, float] = {}  # Applications, and "node1" for a leave.
        world.on_act = self._act
        world.on_command = self._command
        world.on_store = self._store
        world.on_resync = self._resync

    def _command(self, node: str, command: object) -> None:
        now_s = self.world.clockwork.now_s
        match command:
            case Run(name) | Halt(name) | Move(name):
                self.asked_at_s[name] = now_s
            case Leave():
                self.asked_at_s[node] = now_s
            case _:
                return

    def _store(self, machine: Machine) -> None:
        """R1: both nodes never get the right to act alone, unless a person gives it away.

        With a witness a halted node has no use for the right that it kept: it asks before it
        forms alone.
        """
        machines = (machine, self.world.machines[other(machine.name)])
        kinds = [m.built.cluster.arbitration for m in machines]
        asks_first = ArbitrationKind.WITNESS in kinds
        both = all(m.disk.holds_right and (m.disk.formed or not asks_first) for m in machines)
        if both and ArbitrationKind.OPERATOR not in kinds and not self.world.confirmed:
            raise BrokenRuleError("R1: both nodes have stored the right to act alone")

    def _asked(self, what: str) -> bool:
        at_s = self.asked_at_s.get(what)
        return at_s is not None and self.world.clockwork.now_s - at_s < ASKED_FOR_S

    def _act(self, machine: Machine, state: NodeState, act: Act) -> None:
        """R1, R5: it is allowed and bounded. R6, R7: nothing is stopped without a reason."""
        if not 0 < act.timeout_s <= ACTION_TAKES_MAX_S:
            raise BrokenRuleError(f"R5: {act} is not bounded")
        name, record = act.application, state.record(act.application)
        right = state.standing in (Standing.ALONE, Standing.TOGETHER)
        if act.do in BRINGS and not (right and record and record.owner == machine.name):
            raise BrokenRuleError(f"R1: {machine.name} has no right to {act.do} of {name}")
        if act.despite_peer:
            self._may_take(machine, name)
        self._in_order(machine, state, act)
        if act.do is Do.START_PROGRAM and machine.program(name) is True:
            raise BrokenRuleError(f"R7: {machine.name} starts {name}, which runs already")
        runs = machine.program(name) is True and machine.address(name) is True
        if act.do not in STOPS or not runs:
            return
        wanted = record.wanted if record is not None else Wanted.DOWN
        failed = record is not None and machine.name in record.failed_on
        explained = (
            (state.standing in (Standing.LEAVING, Standing.HALTED) and self._asked(machine.name))
            or (wanted is Wanted.DOWN and (self._asked(name) or self.world.building))
            or (failed and bool(self.world.troubled))
            or self._explained_by_silence(state)
            or is_spent(state, name)
            or self._lost_a_mount(machine, state, name)
            or (record is not None and record.owner != machine.name)
            or (name in state.moving and (self._asked(name) or self._falls_back(state, name)))
        )
        if not explained:
            raise BrokenRuleError(f"R6/R7: {machine.name} stops {name} without a reason: {act}")

    @staticmethod
    def _lost_a_mount(machine: Machine, state: NodeState, name: str) -> bool:
        volumes = state.built.application(name).volumes
        return any(volume.resource not in machine.mounted for volume in volumes)

    def _in_order(self, machine: Machine, state: NodeState, act: Act) -> None:
        """A program sees all its mounts; nothing is done to one while another is inside it."""
        for name, runs in machine.programs.items():
            starts = act.do is Do.START_PROGRAM and act.application == name
            built = state.built.by_name.get(name)
            for volume in built.volumes if built is not None and (runs or starts) else ():
                if not machine.mounted.shows(volume.resource) and not self.world.troubled:
                    raise BrokenRuleError(f"order: {name} runs on {machine.name} without {volume}")
        if act.do not in (Do.MOUNT, Do.UNMOUNT, Do.END_HOLDERS):
            return
        items = state.items_of(act.application)
        built = state.built.by_name.get(act.application) if act.do is Do.MOUNT else None
        for around in built.enclosing.get(act.resource, ()) if built is not None else ():
            item = items.get(Item(act.application, Layer.MOUNTED, around))
            if item is not None and item.known is Is.DOWN:
                raise BrokenRuleError(f"order: {act.do} of {act.resource} before {around}")
        for inner in machine.mounted.keeping(act.resource):
            item = items.get(Item(act.application, Layer.MOUNTED, inner))
            outer = items.get(Item(act.application, Layer.MOUNTED, act.resource))
            found = outer is not None and outer.known is Is.PART and act.do is Do.MOUNT
            if item is not None and item.known is not Is.PART and not found:
                raise BrokenRuleError(f"order: {act.do} of {act.resource} with {inner} inside it")

    def _may_take(self, machine: Machine, name: str) -> None:
        """R1: no address is taken from a node that does what it should and still has it.

        Without a watchdog it may have stood still: nobody knows that it is back before it is heard.
        """
        peer = self.world.machines[other(machine.name)]
        decides = peer.listens and (peer.store_s < inf or peer.guarded)
        if decides and not peer.guarded and self._is_back_unheard(machine, peer):
            return
        if decides and peer.address(name) is not False and not self.world.confirmed:
            raise BrokenRuleError(f"R1: {machine.name} takes the addresses of {name} too early")

    @staticmethod
    def _is_back_unheard(machine: Machine, peer: Machine) -> bool:
        if machine.daemon is None or peer.daemon is None or not peer.daemon.state.stranger:
            return False
        return machine.daemon.state.peer.incarnation < peer.daemon.state.incarnation

    def _explained_by_silence(self, state: NodeState) -> bool:
        """Tell whether the node may stop what it runs because it is cut off, or was outvoted."""
        paths = state.built.cluster.arbitration is ArbitrationKind.PATHS
        cut_off = (state.isolated and paths) or state.lost
        return cut_off or self.world.confirmed or self._beaten(state)

    def _beaten(self, state: NodeState) -> bool:
        """Tell whether the peer says that it acts alone in a newer epoch, or leaves after that.

        The next version may have a word of its own for that; then it must be so.
        """
        beat = state.peer.beat
        if beat is None or beat.epoch <= state.stored.epoch:
            return False
        standing = beat.standing
        peer = self.world.state(other(state.me))
        if standing is Standing.UNKNOWN and peer is not None:
            standing = peer.standing
        return standing in (Standing.ALONE, Standing.LEAVING)

    def _falls_back(self, state: NodeState, name: str) -> bool:
        """R6: allow a move back only if it was asked for, and once the data there is UpToDate."""
        wanted = self.world.built.application(name).application
        peer = other(state.me)
        current = all(
            resource.side(peer).disk is Disk.UP_TO_DATE
            for resource_name, resource in self.world.resources.items()
            if resource_name.startswith(f"{name}.")
        )
        return wanted.failback and wanted.preferred == peer and current

    def _resync(self, source: Side, target: Side) -> None:
        """R4: a resync never throws away what a client was told is durable."""
        for name, resource in self.world.resources.items():
            if resource.side(source.node) is source:
                acknowledged = self.world.clients.acknowledged[name] & target.data
                nothing_lost(acknowledged, source.data, f"{name} on {source.node}, a sync source")

    # --- In the end ----------------------------------------------------------------------------

    def missing(self) -> str:
        """R8: return what has not yet come back; empty when everything has."""
        states = {node: self.world.state(node) for node in NODES}
        for node, state in states.items():
            if state is None:
                return f"the daemon of {node} does not run"
            if state.standing is not Standing.TOGETHER:
                return f"{node} is {state.standing}"
            overdue = [p for p in state.pending if p.until_s + 1.0 < state.now_s]
            if overdue:
                return f"R5: {node} has not answered {overdue}"
        for entry in self.world.built.applications:
            text = self._application_missing(entry.application.name)
            if text:
                return text
        return self._copies_missing()

    def _application_missing(self, name: str) -> str:
        records = [s.record(name) for node in NODES if (s := self.world.state(node)) is not None]
        if records[0] != records[1]:
            return f"the nodes have different records of {name}: {records}"
        record = records[0]
        if record is None or record.wanted is Wanted.DATA:
            return ""  # It is built, and nobody has been told to run it yet.
        serving = self.world.clients.serving(name)
        touched = [
            machine.name
            for machine in self.world.machines.values()
            if machine.address(name) is not False or machine.program(name) is not False
        ]
        if record.wanted is Wanted.DOWN:
            return f"{name} is halted and still up on {touched}" if touched else ""
        if serving != [record.owner] or touched != [record.owner]:
            return f"{name} belongs to {record.owner}, is up on {touched}, served by {serving}"
        return ""

    def _copies_missing(self) -> str:
        for name, resource in self.world.resources.items():
            apart = [s.connection is Connection.STAND_ALONE for s in resource.sides.values()]
            if any(apart) and self.world.confirmed:
                continue  # A person gave the right away and both sides wrote: stay apart (R4).
            for side in resource.sides.values():
                if side.disk is not Disk.UP_TO_DATE or side.connection is not Connection.CONNECTED:
                    return f"{name} on {side.node} is {side.disk}, {side.connection}"
            for side in resource.sides.values():  # No kernel calls a lost peer connected any more.
                acknowledged = self.world.clients.acknowledged[name]
                nothing_lost(acknowledged, side.data, f"{name} on {side.node} in the end")
        return ""
