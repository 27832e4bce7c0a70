"""Mounts that lie inside one another: what is refused, and in which order they are built."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from hapair.core.plan.application import Plan, Situation, make_plan
from hapair.core.plan.remnants import Remnant, Remnants, way_back
from hapair.core.plan.steps import Step, Work
from hapair.model.application import Application
from hapair.model.storage import LogicalVolume, NativeMount
from tests.jobs.material import BUILT, HERE, MIB, ORDERS, THERE, situation

OUTER, INNER = "/srv/orders", "/srv/orders/write ahead"
DEEP = f"{INNER}/x/y"


def at(place: str, within: str = "/", *inside: str, **changes: object) -> NativeMount:
    mount = NativeMount("data", place, "ext4", "noatime", within=within, inside=inside)
    return replace(mount, **changes)  # type: ignore[arg-type]


def mounted(*mounts: NativeMount, application: Application = ORDERS) -> Situation:
    """Return a node where each of these is the only volume of a group of its own."""
    names = [f"vg{number}" for number in range(len(mounts))]
    volumes = (LogicalVolume("data", 256 * MIB, "ext4", in_use=True),)
    s = situation(application=replace(application, volume_groups=tuple(names)))
    here = [
        replace(HERE, name=n, volumes=volumes, mounts=(m,))
        for n, m in zip(names, mounts, strict=True)
    ]
    return replace(
        s,
        built=replace(BUILT, cluster=replace(BUILT.cluster, devices=16)),
        here=replace(s.here, groups=tuple(here)),
        peer=replace(s.peer, groups=tuple(replace(THERE, name=name) for name in names)),
    )


def planned(given: Situation) -> Plan:
    plan = make_plan(given)
    assert isinstance(plan, Plan), [str(problem) for problem in plan]
    return plan


NESTED = (at(DEEP, INNER), at(INNER, OUTER, DEEP), at("/srv/orders2"), at(OUTER, "/", INNER, DEEP))


def places(steps: tuple[Step, ...], work: Work, node: str = "node1") -> list[str]:
    return [s.volume[0].mount_point for s in steps if s.work is work and s.node == node]


def ways_back(steps: tuple[Step, ...], work: Work) -> list[str]:
    undone = [(each, step) for step in reversed(steps) for each in step.undo]
    found = [step.volume[0].mount_point for each, step in undone if each is work]
    return list(dict.fromkeys(found))


def test_outer_ones_are_mounted_first_and_inner_ones_unmounted_first_on_the_way_back_too() -> None:
    steps = planned(mounted(*NESTED)).steps
    outer_first = [OUTER, INNER, DEEP, "/srv/orders2"]
    inner_first = [DEEP, INNER, OUTER, "/srv/orders2"]
    assert places(steps, Work.MOUNT) == outer_first
    assert places(steps, Work.UNMOUNT_NATIVE) == inner_first
    assert places(steps, Work.LEAVE_FSTAB) == inner_first
    back = ["/srv/orders2"]
    assert ways_back(steps, Work.MOUNT_NATIVE) == back + outer_first[:3]
    assert ways_back(steps, Work.UNMOUNT) == back + inner_first[:3]


def test_the_pause_of_one_family_is_over_before_that_of_another_begins() -> None:
    switch = [s for s in planned(mounted(*NESTED)).steps if s.undo and s.node == "node1"]
    works = [(s.volume[0].mount_point, s.work) for s in switch if s.volume]
    assert works.index((DEEP, Work.MOUNT)) < works.index(("/srv/orders2", Work.UNMOUNT_NATIVE))


def test_the_peer_gets_no_folder_for_what_lies_inside_another_volume() -> None:
    steps = planned(mounted(*NESTED)).steps
    assert places(steps, Work.MAKE_MOUNT_POINT, "node2") == [OUTER, "/srv/orders2"]


def test_one_is_added_later_inside_one_that_is_replicated() -> None:
    first = planned(mounted(at(OUTER)))
    later = mounted(NativeMount("other", OUTER, "ext4"), at(INNER, OUTER))
    none = replace(later.here.groups[0], mounts=())
    later = replace(
        later, built=first.built, here=replace(later.here, groups=(none, later.here.groups[1]))
    )
    plan = planned(later)
    assert [each.mount_point for each in plan.added] == [INNER]
    assert plan.built.applications[0].enclosing == {plan.added[0].resource: ("orders.data",)}
    assert not places(plan.steps, Work.MAKE_MOUNT_POINT, "node2")


def beside(place: str, name: str = "web") -> Situation:
    """Return a build beside ``orders``, which is replicated on INNER."""
    first = planned(mounted(at(INNER)))
    application = ORDERS if name == "orders" else replace(ORDERS, name=name)
    s = mounted(at("/srv/nothing"), at(place), application=application)
    groups = (replace(s.here.groups[0], mounts=()), s.here.groups[1])
    return replace(s, built=first.built, here=replace(s.here, groups=groups))


REFUSED: dict[str, tuple[Callable[[], Situation], str]] = {
    "inside a mount of another application": (
        lambda: beside(DEEP),
        f"{DEEP} and {INNER} of orders.data lie inside one another",
    ),
    "around a mount of another application": (
        lambda: beside(OUTER),
        f"{OUTER} and {INNER} of orders.data lie inside one another",
    ),
    "around one that is replicated already": (
        lambda: beside(OUTER, "orders"),
        f"{OUTER} encloses {INNER} of orders.data, which is replicated",
    ),
    "inside one that is not mounted": (
        lambda: beside(DEEP, "orders"),
        f"{DEEP} lies inside {INNER} by its name, but was mounted in /",
    ),
    "a foreign one inside": (
        lambda: mounted(at(OUTER, "/", INNER)),
        f"{INNER} is mounted inside {OUTER}, and is none of its volumes",
    ),
    "a foreign one in between": (
        lambda: mounted(at(OUTER, "/", INNER), at(DEEP, INNER)),
        f"{DEEP} lies inside {OUTER} by its name, but was mounted in {INNER}",
    ),
    "mounted first, and hidden": (
        lambda: mounted(at(OUTER), at(INNER, hidden_by=OUTER)),
        f"{INNER} is hidden by the mount on {OUTER}",
    ),
    "something is mounted over it": (
        lambda: mounted(at(OUTER, hidden_by=OUTER)),
        f"{OUTER} is hidden by another mount there",
    ),
    "inside what comes late at a boot": (
        lambda: mounted(at("/data/x", "/data", within_late=True)),
        "/data/x lies in /data, which a boot may mount after",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_kept_in_order_is_refused_before_anything_is_touched(case: str) -> None:
    make, expected = REFUSED[case]
    problems = make_plan(make())
    assert isinstance(problems, tuple)
    assert [expected in each.what for each in problems].count(True) == 1, [str(p) for p in problems]
    assert all(problem.mend for problem in problems)


def test_what_is_mounted_in_time_at_a_boot_may_enclose_it() -> None:
    assert planned(mounted(at("/data/x", "/data"))).added


def test_what_an_unknown_build_left_is_taken_back_in_order_too() -> None:
    found = tuple(Remnant(volume, held=True) for volume in planned(mounted(*NESTED)).added)
    steps = way_back(Remnants("node1", found), None, noted=True).steps
    assert ways_back(steps, Work.UNMOUNT) == ["/srv/orders2", DEEP, INNER, OUTER]
    assert ways_back(steps, Work.MOUNT_NATIVE) == [OUTER, INNER, DEEP, "/srv/orders2"]
