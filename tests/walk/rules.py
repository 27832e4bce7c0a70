"""R1 to R7, checked in every situation of the walk."""

from typing import TYPE_CHECKING, Final

from hapair.core.applications.items import is_spent
from hapair.core.words.effects import Act, Do
from hapair.core.words.state import NodeState
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk
from hapair.model.monitor import Trouble
from hapair.model.status import Standing, Wanted
from tests.checkers.rules import BrokenRuleError, NodeSeen, nothing_lost, one_writer
from tests.sim.settings import NODES
from tests.sim.sides import Side
from tests.sim.watch import BRINGS, STOPS
from tests.walk.place import Box, other
from tests.walk.settings import NAME, RESOURCE

if TYPE_CHECKING:
    from tests.walk.moment import Moment

ACTION_TAKES_MAX_S: Final = 600.0


def seen(moment: "Moment", index: int) -> NodeSeen:
    """Return what would be seen of a node; a paused one does nothing until it goes on."""
    box = moment.boxes[index]
    node = NODES[index]
    if not box.powered:
        return NodeSeen(node, (), (), ())
    if moment.copies is None:
        # What stood still cannot know yet that its time is over: see docs/internals/walk.md.
        runs = box.program is not False and box.runs and not box.strange
        return NodeSeen(node, (), (), (NAME,) if runs else ())
    writable = (RESOURCE,) if moment.writable(index) else ()
    mounted = writable if box.mounted else ()
    programs = (NAME,) if box.program is not False and writable else ()
    return NodeSeen(node, writable, mounted, programs)


def check_one_writer(moment: "Moment") -> None:
    one_writer([seen(moment, 0), seen(moment, 1)])


def check_rights(moment: "Moment") -> None:
    """R1: both nodes never have the right to act alone, unless a person gives it away."""
    stored = [moment.stored(index) for index in (0, 1)]
    kind = moment.kind.shape.arbitration
    if kind is ArbitrationKind.WITNESS and not all(_acts_alone(moment, i) for i in (0, 1)):
        return  # A right that is only stored is not used before the witness was asked.
    by_person = kind is ArbitrationKind.OPERATOR or moment.outside.confirmed
    if all(each.holds_right for each in stored) and not by_person:
        raise BrokenRuleError("R1: both nodes have stored the right to act alone")


def _acts_alone(moment: "Moment", index: int) -> bool:
    box = moment.boxes[index]
    alone = (Standing.ALONE, Standing.LEAVING)
    return bool(box.core) and moment.cores[box.core].standing in alone


def check_promotion(moment: "Moment", index: int) -> None:
    """R2: what becomes Primary has, or reaches, every acknowledged write."""
    copies = moment.copies
    assert copies is not None
    node = NODES[index]
    visible = copies.resource.visible(node)
    if visible is not None:
        nothing_lost(copies.acknowledged, visible, f"{node}, which was promoted")


def check_resync(moment: "Moment", source: Side, target: Side) -> None:
    """R4: a resync never throws away what a client was told is durable."""
    if moment.copies is not None:
        kept = moment.copies.acknowledged & target.data
        nothing_lost(kept, source.data, f"{source.node}, a sync source")


def check_act(moment: "Moment", index: int, act: Act) -> None:
    """R1, R5: it is allowed and bounded. R6, R7: nothing is stopped without a reason."""
    box, node = moment.boxes[index], NODES[index]
    if not 0 < act.timeout_s <= ACTION_TAKES_MAX_S:
        raise BrokenRuleError(f"R5: {act} is not bounded")
    state = moment.cores[box.core]
    if act.do in BRINGS and state.standing not in (Standing.ALONE, Standing.TOGETHER):
        raise BrokenRuleError(f"R1: {node} has no right to {act.do}")
    if act.do is Do.START_PROGRAM and box.program is True:
        raise BrokenRuleError(f"R7: {node} starts {NAME}, which runs already")
    if act.do not in STOPS or box.program is not True or not box.address:
        return
    if not _is_explained(moment, index, state):
        raise BrokenRuleError(f"R6/R7: {node} stops {NAME} without a reason: {act.do}")


def _is_explained(moment: "Moment", index: int, state: NodeState) -> bool:
    box, outside = moment.boxes[index], moment.outside
    record = state.record(NAME)
    wanted = record.wanted if record is not None else Wanted.DOWN
    paths = moment.kind.shape.arbitration is ArbitrationKind.PATHS
    return (
        (state.standing in (Standing.LEAVING, Standing.HALTED) and box.leaves)
        or (wanted is Wanted.DOWN and outside.commanded)
        or (record is not None and state.me in record.failed_on and outside.troubled)
        or (state.isolated and paths)
        or state.lost
        or outside.confirmed
        or _is_beaten(state)
        or box.found in (Trouble.PROGRAM, Trouble.STORAGE)
        or is_spent(state, NAME)
        or (record is not None and record.owner != state.me)
        or (NAME in state.moving and (outside.commanded or _falls_back(moment, index)))
    )


def _is_beaten(state: NodeState) -> bool:
    beat = state.peer.beat
    newer = beat is not None and beat.epoch > state.stored.epoch
    return newer and beat is not None and beat.standing is Standing.ALONE


def _falls_back(moment: "Moment", index: int) -> bool:
    """R6: allow a move back only if it was asked for, and once the data there is UpToDate."""
    wanted = moment.kind.shape.applications[0]
    peer = NODES[other(index)]
    copies = moment.copies
    current = copies is None or copies.resource.side(peer).disk is Disk.UP_TO_DATE
    return wanted.failback and wanted.preferred == peer and current


def serves(box: Box) -> bool:
    return box.runs and box.address and box.program is True
