"""How an application leaves the cluster: what is in its way, and what gives its data back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from hapair.core.copies import doubts
from hapair.core.plan.steps import Step, Work
from hapair.core.right import hearing
from hapair.core.words.state import NodeState
from hapair.model.application import Application, OcfAgent, Program, Script, Unit, Volume
from hapair.model.built import Built
from hapair.model.status import Standing, Wanted
from hapair.model.text import shown

AGAIN: Final = {Wanted.UP: (Work.RUN_AGAIN,), Wanted.DATA: (Work.MOUNT_AGAIN,), Wanted.DOWN: ()}
ESCAPED: Final = " \t\n\\"  # What fstab writes as an octal number.


@dataclass(frozen=True, slots=True)
class Objection:
    what: str
    mend: str


@dataclass(frozen=True, slots=True)
class Release:
    built: Built  # What will be installed.
    leaving: tuple[Step, ...]  # Until neither node may run it; taken back when one fails.
    giving_back: tuple[Step, ...]  # All of them as if begun: taking them back is the aim.
    told: tuple[str, ...]  # What is left afterwards, and what to do about it.
    start_again: str  # What to type last: the program runs as without a cluster; may be empty.

    @property
    def texts(self) -> tuple[str, ...]:
        """Return all that is done, in order."""
        back = (step.undone(work) for step in reversed(self.giving_back) for work in step.undo)
        return (*(step.text for step in self.leaving), *back)


def objection(state: NodeState, name: str) -> Objection | None:
    """Return why a built application cannot leave the cluster from this node now; None: it can."""
    me, peer, record, theirs = state.me, state.peer_name, state.record(name), state.peer.state
    if state.standing is not Standing.TOGETHER or theirs is None or not hearing.agreed(state):
        what = f"{me} and {peer} are not together, and a node that misses this would still have"
        return Objection(f"{what} the right to run {name}", f"bring {peer} back; see: clstat")
    if theirs.generation != state.built.generation:
        what = f"{me} and {peer} have different configurations"
        return Objection(what, "the older one is brought up to date in seconds; see: clstat")
    if record is None:
        return Objection(f"no node knows {name} yet", f"type first: clbuildapp {name}")
    if record.owner != me:
        what = f"{name} belongs to {record.owner}: its data is current there"
        mend = f"type it there; or bring {name} here first: clmoveapp {name}"
        return Objection(what, mend)
    if name in state.moving:
        return Objection(f"{name} is being moved to {peer}", "wait for it; see: clstat")
    for volume in state.built.application(name).volumes:
        if not doubts.is_current(state, volume.resource):
            what = f"the copy of {volume.resource} on {me} is not current"
            return Objection(what, "wait until it is, or mend its disk; see: clstat")
    return None


def is_remembered(state: NodeState, name: str) -> bool:
    """Tell whether a node has a record of what is not built: an earlier release left it there."""
    theirs = state.peer.state.records if state.peer.state is not None else ()
    known = {each.application for each in (*state.stored.records, *theirs)}
    return name in known and name not in state.built.by_name


def make_release(
    state: NodeState,
    name: str,
    left_out: tuple[str, ...],
    left_out_there: tuple[str, ...],
    unit_again: str = "",
) -> Release:
    """Return how an application against which nothing speaks leaves the cluster from this node.

    ``left_out``: the resources of which a line of fstab is commented out by us, on each node.
    ``unit_again``: what starts its unit as without a cluster, where its program is one.
    """
    me, peer = state.me, state.peer_name
    entry, record = state.built.application(name), state.record(name)
    others = tuple(each for each in state.built.applications if each is not entry)
    built = replace(state.built, generation=state.built.generation + 1, applications=others)
    leaving = (
        Step(me, Work.HALT, AGAIN[record.wanted] if record is not None else ()),
        Step(me, Work.INSTALL, (Work.INSTALL_FORMER,)),
        Step(peer, Work.INSTALL, (Work.INSTALL_FORMER,)),
    )
    told = [_mounted(me, each, in_fstab=each.resource in left_out) for each in entry.volumes]
    for each in entry.volumes:
        whole = doubts.is_current_there(state, each.resource)
        told.append(kept(peer, each, line=each.resource in left_out_there, whole=whole))
    again = unit_again or _started_by(entry.application.program)
    told += _not_run(me, entry.application, again)
    steps = giving_back(me, peer, entry.volumes)
    return Release(built, leaving, steps, tuple(told), again)


def giving_back(home: str, other: str, volumes: tuple[Volume, ...]) -> tuple[Step, ...]:
    """Return the steps whose taking back mounts the data at home, and leaves the other its copy."""
    # The outer of two mounts comes first, so its step is the later one.
    inner_first = sorted(volumes, key=lambda volume: volume.mount_point, reverse=True)
    return (
        *(_left_to_others(other, volume) for volume in inner_first),
        *(_mounted_natively(home, volume) for volume in inner_first),
        *(Step(other, Work.LEAVE_FSTAB, (Work.RETIRE_FSTAB,), (each,)) for each in inner_first),
    )


def _mounted_natively(node: str, volume: Volume) -> Step:
    back = (
        Work.TAKE_DOWN,
        Work.LEAVE_DATA_VOLUME,
        Work.MOUNT_NATIVE,
        Work.RESTORE_FSTAB,
        Work.REMOVE_META_VOLUME,
        Work.FORGET,
        Work.REMOVE_RESOURCE,
    )
    return Step(node, Work.BRING_UP, back, (volume,))


def _left_to_others(node: str, volume: Volume) -> Step:
    back = (
        Work.TAKE_DOWN,
        Work.LEAVE_DATA_VOLUME,
        Work.REMOVE_META_VOLUME,
        Work.FORGET,
        Work.REMOVE_RESOURCE,
    )
    return Step(node, Work.BRING_UP, back, (volume,))


def _mounted(node: str, volume: Volume, *, in_fstab: bool) -> str:
    where = shown(volume.mount_point)
    text = f"{node}: {where} is mounted from {volume.backing_device}, as any other"
    if in_fstab:
        return text
    place = "".join(
        f"\\{ord(sign):03o}" if sign in ESCAPED else sign for sign in volume.mount_point
    )
    options = volume.mount_options or "defaults"
    line = f"{volume.backing_device} {place} {volume.file_system} {options} 0 2"
    return f"{text}; a boot mounts it only with this line in /etc/fstab: {line}"


def kept(node: str, volume: Volume, *, line: bool, whole: bool = True) -> str:
    """Say what becomes of the former copy; ``line``: fstab had one that would mount it."""
    path = f"{volume.volume_group}/{volume.logical_volume}"
    text = f"{node}: {path} keeps the former copy, which nothing mounts"
    if not whole:
        text += ", and which misses something: it may be of no use"
    if line:
        text += "; its line in /etc/fstab stays commented out, and says so"
    return f"{text}; when nobody needs it: lvremove {path}"


def _not_run(node: str, application: Application, start_again: str) -> Iterator[str]:
    """Say what no node does any more; the line to type comes last."""
    addresses = " and ".join(str(each.address.ip) for each in application.addresses)
    if addresses:
        yield f"{node}: its addresses are on no node any more: {addresses}"
    if isinstance(application.program, OcfAgent):
        agent = f"ocf:{application.program.provider}:{application.program.kind}"
        yield f"{node}: start its program again; the cluster did so by the agent {agent}"
    elif start_again:
        yield f"{node}: start its program again, as without the cluster: {start_again}"


def _started_by(program: Program | None) -> str:
    match program:
        case Script(path):
            return f"{path} start"
        case Unit(unit):
            return f"systemctl start {unit}"
        case OcfAgent() | None:
            return ""
