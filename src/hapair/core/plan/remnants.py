"""What is left of a build, or a release, whose note cannot be read; known by our own marks."""

from dataclasses import dataclass

from hapair.core.plan.release import giving_back, kept
from hapair.core.plan.steps import Step, Work
from hapair.model.application import Volume
from hapair.model.nesting import parts


@dataclass(frozen=True, slots=True)
class Remnant:
    """What a node has of a volume that a resource file of ours describes and nothing built uses."""

    volume: Volume
    held: bool = False  # Mounted there, or left out of fstab: there its data was at home.
    made: bool = False  # clbuildapp made its data volume there.
    described: bool = True  # By a file there; else only by one of the other node.
    # Of an application that was released, and is not forgotten there yet: its name, and its owner.
    released: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Remnants:
    node: str
    found: tuple[Remnant, ...] = ()
    used: tuple[str, ...] = ()  # Resources of the configuration that is in force there.
    nameless: tuple[str, ...] = ()  # Resource files of ours that do not say what they are for.

    def volumes(self) -> tuple[Volume, ...]:
        return tuple(each.volume for each in self.found)

    def of(self, resource: str) -> Remnant | None:
        return next((each for each in self.found if each.volume.resource == resource), None)


@dataclass(frozen=True, slots=True)
class WayBack:
    steps: tuple[Step, ...]  # All of them as if begun: each undo looks at what is there.
    told: tuple[str, ...]  # What stays, and what to do about it.
    home: str  # The node where the data is; nothing below it is taken away before it is back.
    released: tuple[Remnant, ...] = ()  # What is given back, of applications that were released.


def way_back(here: Remnants, peer: Remnants | None, *, noted: bool) -> WayBack:
    """Return how to take back what is left on both nodes; without ``peer`` only on this one.

    ``noted``: the note lies on this node, so clbuildapp was typed here, where the data is.
    """
    nodes = (here,) if peer is None else (peer, here)
    used = {resource for node in nodes for resource in node.used}
    released = _released(nodes)
    given = tuple(
        each
        for each in released
        # The note of a release lies where the owner is; else the record is an older one's.
        if each.volume.resource not in used and (not noted or each.owner == here.node)
    )
    volumes = {each.volume.resource: each.volume for node in nodes for each in node.found}
    early: dict[str, list[Step]] = {node.node: [] for node in nodes}
    late: dict[str, list[Step]] = {node.node: [] for node in nodes}
    told = [
        f"{node.node}: {file} does not say which volume it is for: look into it, then remove it"
        for node in nodes
        for file in node.nameless
    ]
    told += [_leaving(each) for each in released if each.volume.resource in used]
    homes = [each.owner for each in given]
    used |= {each.volume.resource for each in given}
    left = [volumes[resource] for resource in sorted(volumes.keys() - used)]
    for volume in sorted(left, key=lambda each: parts(each.mount_point)):
        resource = volume.resource
        home = _home(nodes, resource, here.node if noted else "")
        homes.append(home)
        for node in nodes:
            found = node.of(resource)
            if found is not None and found.described:
                # A made volume may be the only copy, unless its home answers.
                removed = found.made and home in {each.node for each in nodes} - {node.node}
                data = (Work.REMOVE_DATA_VOLUME,) if removed else ()
                if found.made and not removed and node is here:  # No later job may remove it.
                    data = (Work.LEAVE_DATA_VOLUME,)
                first = _early(node.node, found.volume, data, at_home=node.node == home)
                # What lies inside others is unmounted before them, and comes back after them.
                early[node.node][:0] = first
                late[node.node] += _late(node.node, found.volume)
                told += _stays(node.node, found, home, removed=removed)
    steps = [step for node in early for step in (*early[node], *late[node])]
    steps += _given_back(nodes, given)
    told += [
        kept(node.node, each.volume, line=False)
        for each in given
        for node in nodes
        if node.node != each.owner and node.of(each.volume.resource) is not None
    ]
    home = next(filter(None, homes), here.node)
    return WayBack(tuple(steps), tuple(dict.fromkeys(told)), home, given)


def _released(nodes: tuple[Remnants, ...]) -> tuple[Remnant, ...]:
    """Return what is known of released applications, each volume once."""
    every = (each for node in nodes for each in node.found if each.released)
    return tuple({each.volume.resource: each for each in every}.values())


def _leaving(remnant: Remnant) -> str:
    return (
        f"{remnant.released} was on its way out of the cluster, and only one node knows that: the"
        " other one learns it by itself, in seconds; then type again: clbuildapp --abandon"
    )


def _given_back(nodes: tuple[Remnants, ...], given: tuple[Remnant, ...]) -> list[Step]:
    """Return what brings releases to their end, on the nodes that still have something of them."""
    left = {(node.node, each.volume) for node in nodes for each in node.found if each.described}
    steps: list[Step] = []
    for home in dict.fromkeys(each.owner for each in given):
        other = next((node.node for node in nodes if node.node != home), "")
        steps += giving_back(home, other, tuple(e.volume for e in given if e.owner == home))
    return [step for step in steps if (step.node, step.volume[0]) in left]


def _home(nodes: tuple[Remnants, ...], resource: str, typed_on: str) -> str:
    """Return where the data of a volume was at home; empty when that is not known.

    ``typed_on``: the node whose note nobody can read; it says so only of what it has a file for.
    """
    known = ((node.node, node.of(resource)) for node in nodes)
    found = [(node, each) for node, each in known if each is not None]
    holding = [(node, each) for node, each in found if each.held]
    if len(holding) > 1:  # A line of fstab may have been left out on both.
        holding = [(node, each) for node, each in holding if not each.made]
    if len(holding) == 1:
        return holding[0][0]
    return typed_on if typed_on in {node for node, each in found if each.described} else ""


def _stays(node: str, found: Remnant, home: str, *, removed: bool) -> list[str]:
    volume = found.volume
    path = f"{volume.volume_group}/{volume.logical_volume}"
    if found.made and not removed and node != home:
        return [f"{node}: {path} stays: it may be the only copy. If it is not: lvremove {path}"]
    if not home:
        where = f"mount {volume.backing_device} {volume.mount_point}"
        return [f"{node}: {path} was mounted by nobody now known: if its data was here: {where}"]
    return []


def _early(node: str, volume: Volume, data: tuple[Work, ...], *, at_home: bool) -> list[Step]:
    """Return the steps that an unknown job may have done on a node first, in its order."""
    of = (volume,)
    steps = [
        Step(node, Work.WRITE_RESOURCE, (Work.REMOVE_RESOURCE,), of),
        Step(node, Work.LEAVE_FSTAB, (Work.RESTORE_FSTAB,), of),
        Step(node, Work.CREATE_DATA_VOLUME, data, of),
        Step(node, Work.CREATE_META_VOLUME, (Work.REMOVE_META_VOLUME,), of),
    ]
    if at_home:
        steps.append(Step(node, Work.UNMOUNT_NATIVE, (Work.MOUNT_NATIVE,), of))
    return steps


def _late(node: str, volume: Volume) -> list[Step]:
    """Return those that follow when no volume is mounted natively any more."""
    of = (volume,)
    return [
        Step(node, Work.BRING_UP, (Work.TAKE_DOWN,), of),
        Step(node, Work.MAKE_SOURCE, (Work.DEMOTE,), of),
        Step(node, Work.MOUNT, (Work.UNMOUNT,), of),
    ]
