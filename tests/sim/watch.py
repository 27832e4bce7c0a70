"""Watches a world all the time for what must never happen, and in the end for progress."""

from math import inf
from typing import Final

from hapair.core.applications import runs as runs_of
from hapair.core.applications.items import is_spent
from hapair.core.words.effects import Act, Do, Layer
from hapair.core.words.events import Halt, Leave, Move, Run
from hapair.core.words.item import Is, Item
from hapair.core.words.state import NodeState
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk
from hapair.model.status import Record, Standing, Wanted
from tests.checkers.rules import BrokenRuleError, nothing_lost
from tests.sim import watchdog
from tests.sim.machine import Machine
from tests.sim.settings import NODES, other
from tests.sim.sides import Side
from tests.sim.world import World

STOPS: Final = (Do.STOP_PROGRAM, Do.KILL_PROGRAM, Do.REMOVE_ADDRESSES, Do.UNMOUNT, Do.DEMOTE)
# Also what is put back after somebody removed it.
BRINGS: Final = (Do.PROMOTE, Do.ADD_ADDRESSES, Do.RESTORE_ADDRESSES, Do.START_PROGRAM)
ACTION_TAKES_MAX_S: Final = 600.0
LOOKS_EVERY_S: Final = 1.0
STARTS_IN_A_MINUTE_MAX: Final = 25
MOVES_IN_A_MINUTE_MAX: Final = 15
# So long a command explains that an application stops; while a daemon waits for its disk, or hangs,
# nothing can come of it.
ASKED_FOR_S: Final = 150.0


class Watch:
    def __init__(self, world: World) -> None:
        self.world = world
        self.asked_at_s: dict[str, float] = {}  # Applications, and "node1" for a leave.
        self.nothing_done_s: list[float] = []  # The seconds in which a daemon decided nothing.
        self.newest: dict[str, Record] = {}
        self.moves: dict[str, list[float]] = {}  # When each application changed its node, of late.
        self.starts: dict[str, list[float]] = {}  # When each application was, of late.
        world.on_act = self._act
        world.on_command = self._command
        world.on_store = self._store
        world.on_resync = self._resync
        world.clockwork.after(LOOKS_EVERY_S, self._look)

    def _look(self) -> None:
        self.world.clockwork.after(LOOKS_EVERY_S, self._look)
        daemons = [(m, m.daemon) for m in self.world.machines.values() if m.daemon is not None]
        if any(daemon.storing or not machine.listens for machine, daemon in daemons):
            self.nothing_done_s.append(self.world.clockwork.now_s)

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
        self._stays(machine)
        machines = (machine, self.world.machines[other(machine.name)])
        kinds = [m.built.cluster.arbitration for m in machines]
        asks_first = ArbitrationKind.WITNESS in kinds
        both = all(m.disk.holds_right and (m.disk.formed or not asks_first) for m in machines)
        if both and ArbitrationKind.OPERATOR not in kinds and not self.world.confirmed:
            raise BrokenRuleError("R1: both nodes have stored the right to act alone")

    def _stays(self, machine: Machine) -> None:
        """R9: no application goes to and fro without an end."""
        now_s = self.world.clockwork.now_s
        for record in machine.disk.records:
            newest = self.newest.get(record.application, record)
            if record.version < newest.version:
                continue
            self.newest[record.application] = record
            if record.owner != newest.owner:
                moves = self.moves.get(record.application, [])
                lately = [at_s for at_s in moves if now_s - at_s < 60.0]
                self.moves[record.application] = [*lately, now_s]
                if len(lately) >= MOVES_IN_A_MINUTE_MAX:
                    raise BrokenRuleError(f"R9: {record.application} goes to and fro")

    def _asked(self, what: str) -> bool:
        at_s = self.asked_at_s.get(what)
        if at_s is None:
            return False
        waited_s = LOOKS_EVERY_S * sum(each > at_s for each in self.nothing_done_s)
        return self.world.clockwork.now_s - at_s - waited_s < ASKED_FOR_S

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
        self._is_bounded(act)
        runs_already = machine.program(name) is True and name not in machine.strays
        if act.do is Do.START_PROGRAM and runs_already:
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
            or (name, runs_of.number(state, name)) in machine.found
            or (name in state.moving and name in state.built.dependencies.together)
            or (name in state.moving and self._makes_room(machine, state, name))
            or self._lost_a_mount(machine, state, name)
            or (record is not None and record.owner != machine.name)
            or (name in state.moving and (self._asked(name) or self._falls_back(state, name)))
        )
        if not explained:
            raise BrokenRuleError(f"R6/R7: {machine.name} stops {name} without a reason: {act}")

    def _is_bounded(self, act: Act) -> None:
        """R9: whatever fails, nothing is started, or goes to and fro, without an end."""
        if act.do is not Do.START_PROGRAM:
            return
        now_s = self.world.clockwork.now_s
        lately = [at_s for at_s in self.starts.get(act.application, ()) if now_s - at_s < 60.0]
        self.starts[act.application] = [*lately, now_s]
        if len(lately) >= STARTS_IN_A_MINUTE_MAX:
            raise BrokenRuleError(f"R9: {act.application} is started again and again")

    @staticmethod
    def _makes_room(machine: Machine, state: NodeState, name: str) -> bool:
        """Tell whether something of this node, that keeps apart from it, does not run."""
        others = state.built.dependencies.apart.get(name, ())
        records = [record for each in others if (record := state.record(each)) is not None]
        mine = [r for r in records if r.owner == machine.name and r.wanted is Wanted.UP]
        return any(machine.program(each.application) is not True for each in mine)

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
                # A daemon that waits for its disk reads late that a build was taken back.
                installed = volume.resource in machine.built.by_resource
                shown = machine.mounted.shows(volume.resource)
                if installed and not shown and not self.world.troubled:
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

        It may have stood still, and its watchdog with it, or it has none: nobody knows that it is
        back before it is heard.
        Nor does anything end what it has while its disk takes nothing, so that it decides nothing.
        """
        peer = self.world.machines[other(machine.name)]
        guarded = watchdog.is_guarded(self.world, peer)
        decides = peer.listens and (peer.store_s < inf or guarded)
        if decides and not guarded and self._is_back_unheard(machine, peer):
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
        """R6: allow a move back only if it was asked for, and once the data there is UpToDate.

        A volume that is still being built is not the application's yet.
        """
        wanted = self.world.built.application(name).application
        peer = other(state.me)
        current = all(
            resource.side(peer).disk is Disk.UP_TO_DATE
            for resource_name, resource in self.world.resources.items()
            if resource_name.startswith(f"{name}.") and resource_name in state.built.by_resource
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
            # A person may work with what is halted.
            ours = [node for node in touched if name not in self.world.machines[node].strays]
            return f"{name} is halted and still up on {ours}" if ours else ""
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
