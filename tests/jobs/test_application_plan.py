"""What clbuildapp refuses before anything is touched, and what it would do."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.built_json import dumps, loads
from hapair.core.plan.application import (
    RESOURCES_MAX,
    Plan,
    Situation,
    make_plan,
    meta_data_bytes,
)
from hapair.core.plan.mount_checks import is_of_the_node
from hapair.core.plan.steps import TAKES_BACK, Work
from hapair.model.application import Application, FileSystem, Volume
from hapair.model.built import BuiltApplication
from hapair.model.node_facts import PhysicalVolume, StorageKind
from hapair.model.storage import UNSEEN, GroupStorage, LogicalVolume, NativeMount, Obstacle
from hapair.runtime.places import Places
from tests.jobs.material import BUILT, HERE, MIB, ORDERS, THERE, mounted, situation


def planned(given_: Situation) -> Plan:
    plan = make_plan(given_)
    assert isinstance(plan, Plan), [str(problem) for problem in plan]
    return plan


def with_missing_tool() -> Situation:
    s = situation()
    return replace(s, peer=replace(s.peer, missing_tools=("lvcreate",)))


def with_program_error() -> Situation:
    s = situation()
    return replace(s, peer=replace(s.peer, program_error="/etc/cluster/orders/run does not exist"))


def without_xfs_tools() -> Situation:
    s = situation(here=mounted(file_system="xfs"))
    return replace(s, peer=replace(s.peer, file_systems=("ext4",)))


def holding(volume: LogicalVolume) -> GroupStorage:
    return replace(THERE, volumes=(volume,))


def beside(*volumes: LogicalVolume) -> GroupStorage:
    """Return the group of node1 with volumes that are not mounted, and nothing else."""
    return replace(HERE, mounts=(), volumes=volumes)


def after_group_was_dropped() -> Situation:
    built = planned(situation()).built
    application = replace(ORDERS, volume_groups=())
    return situation(built=built, application=application)


def lying_on(kind: StorageKind, origin: str) -> GroupStorage:
    return replace(HERE, physical_volumes=(PhysicalVolume("/dev/loop0", kind, origin),))


def with_sectors(group: GroupStorage, *sectors: int) -> GroupStorage:
    disks = (PhysicalVolume("/dev/sdb", StorageKind.LOCAL, sector_bytes=each) for each in sectors)
    return replace(group, physical_volumes=tuple(disks))


def two_groups(
    *, second_mount: str = "/srv/log", second_name: str = "vg_log", volume: str = "data"
) -> Situation:
    """Volumes of one name in two groups, as where each kind of disk has a group."""
    s = situation(application=replace(ORDERS, volume_groups=("vg_orders", second_name)))
    log = replace(
        HERE,
        name=second_name,
        volumes=(LogicalVolume(volume, 256 * MIB, "ext4", in_use=True),),
        mounts=(NativeMount(volume, second_mount, "ext4"),),
    )
    return replace(
        s,
        here=replace(s.here, groups=(HERE, log)),
        peer=replace(s.peer, groups=(THERE, replace(THERE, name=second_name))),
    )


def long_names(volume: str) -> Situation:
    return two_groups(volume=volume)


def crowd(count: int) -> BuiltApplication:
    """Return an application with so many volumes."""
    volumes = (
        Volume(f"crowd.{n}", 100 + n, 7800 + n, "vg_crowd", f"data{n}", f"meta{n}", MIB,
               f"/srv/crowd/{n}", FileSystem.EXT4)
        for n in range(count)
    )  # fmt: skip
    return BuiltApplication(Application("crowd", "node1"), tuple(volumes), "")


def barred(**what: str) -> Situation:
    """Return one with something in the way of its volume on a node, and of another volume."""
    s = situation()
    for side, said in what.items():
        other = Obstacle("/srv/other", "is none of it", "leave it")
        found = (Obstacle("/srv/orders", said, "mend it"), other)
        s = replace(s, **{side: replace(getattr(s, side), obstacles=found)})
    return s


REFUSED: dict[str, tuple[Callable[[], Situation], str]] = {
    "another node owns it": (lambda: situation(owner="node2"), "orders belongs to node2"),
    "it is on its way there": (
        lambda: replace(situation(), moving=True),
        "orders is being moved to node2",
    ),
    "a tool is missing": (with_missing_tool, "lvcreate is missing"),
    "the program is missing": (with_program_error, "run does not exist"),
    "the peer has no group": (
        lambda: situation(there=GroupStorage("vg_orders", exists=False)),
        "there is no volume group vg_orders",
    ),
    "its disk lies on a file server": (
        lambda: situation(there=lying_on(StorageKind.NETWORK_FILE, "/mnt/image on nfs4")),
        "/dev/loop0 is no local storage but a file on a network file system (/mnt/image on nfs4)",
    ),
    "its disk is replicated already": (
        lambda: situation(here=lying_on(StorageKind.REPLICATED, "drbd7")),
        "/dev/loop0 is no local storage but a DRBD device (drbd7)",
    ),
    "both nodes see the same disk": (
        lambda: situation(here=replace(HERE, identity="A"), there=replace(THERE, identity="A")),
        "both nodes see the same volume group vg_orders",
    ),
    "its disk takes no smaller writes": (
        lambda: situation(here=with_sectors(HERE, 512), there=with_sectors(THERE, 512, 4096)),
        "vg_orders lies on disks with sectors of 4096 bytes, and on node1 of 512",
    ),
    "nothing is mounted": (
        lambda: situation(here=beside(LogicalVolume("data", 256 * MIB, "ext4"))),
        "is mounted on this node, and these volumes are not: vg_orders/data (ext4, 256.0 MiB)",
    ),
    "the file system is not supported": (
        lambda: situation(here=mounted(file_system="btrfs")),
        "is btrfs, which is not supported",
    ),
    "the file system has no journal": (
        lambda: situation(here=mounted(journal=False)),
        "has no journal",
    ),
    "its log lies elsewhere": (
        lambda: situation(here=mounted(elsewhere=("log",))),
        "has its log on another device, which would not be replicated",
    ),
    "an option cannot be kept": (
        lambda: situation(here=mounted(lost_options=("idmapped", "novelty=3"))),
        "is mounted with idmapped, novelty=3",
    ),
    "a unit mounts it": (
        lambda: barred(here="is also used at a boot by /etc/a.mount"),
        "vg_orders/data on /srv/orders is also used at a boot by /etc/a.mount",
    ),
    "the peer has no place for it": (
        lambda: barred(peer="has no place: /srv is a link"),
        "vg_orders/data on /srv/orders has no place: /srv is a link",
    ),
    "the peer has no tools for it": (without_xfs_tools, "cannot be mounted or checked there"),
    "the mount is busy": (
        lambda: situation(here=mounted(holders=("bash (4711)",))),
        "is in use by bash (4711)",
    ),
    "no room for meta-data here": (
        lambda: situation(here=replace(HERE, free_bytes=0)),
        "vg_orders has 0 MiB free, 4 MiB are needed",
    ),
    "no room for the copy there": (
        lambda: situation(there=replace(THERE, free_bytes=256 * MIB)),
        "vg_orders has 256 MiB free, 260 MiB are needed",
    ),
    "the peer's volume holds something": (
        lambda: situation(there=holding(LogicalVolume("data", 256 * MIB, "xfs"))),
        "vg_orders/data exists and holds xfs",
    ),
    "the peer's volume holds what has no name": (
        lambda: situation(there=holding(LogicalVolume("data", 256 * MIB, nameless=True))),
        "vg_orders/data exists and holds data of a kind that is not recognised",
    ),
    "the peer's volume is inactive": (
        lambda: situation(there=holding(LogicalVolume("data", 256 * MIB, inactive=True))),
        "vg_orders/data exists and is inactive: what it holds cannot be seen",
    ),
    "two volumes are mounted in one place": (
        lambda: two_groups(second_mount="/srv/orders"),
        "mount point /srv/orders is allocated twice",
    ),
    "the peer's volume is in use": (
        lambda: situation(there=holding(LogicalVolume("data", 256 * MIB, in_use=True))),
        "vg_orders/data exists and is in use",
    ),
    "the peer's volume has another size": (
        lambda: situation(there=holding(LogicalVolume("data", 128 * MIB))),
        "instead of",
    ),
    "a group takes no volumes": (
        lambda: situation(there=replace(THERE, objection="lacks a disk")),
        "vg_orders lacks a disk",
    ),
    "what is mounted is a snapshot": (
        lambda: situation(
            here=replace(HERE, volumes=(replace(HERE.volumes[0], origin="orders"),)),
        ),
        "vg_orders/data is a snapshot of orders",
    ),
    "a name leaves no room": (lambda: long_names("d" * 119), "leaves no room for _drbdmeta"),
    "hyphens are doubled in it": (lambda: long_names("d" + "-" * 60), "leaves no room"),
    "a meta-data volume is left over": (
        lambda: situation(there=holding(LogicalVolume("data_drbdmeta", 4 * MIB))),
        "vg_orders/data_drbdmeta exists already",
    ),
    "no device is free": (
        lambda: situation(
            built=replace(BUILT, cluster=replace(BUILT.cluster, devices=0)),
        ),
        "all 0 DRBD devices of the cluster are in use",
    ),
    "drbdadm would read no file any more": (
        lambda: situation(built=replace(BUILT, applications=(crowd(RESOURCES_MAX),))),
        "reads 250 resources of ours at most",
    ),
    "a group in use was dropped": (after_group_was_dropped, "orders.data is still replicated"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_in_the_way_is_said_before_anything_is_touched(case: str) -> None:
    make, expected = REFUSED[case]
    problems = make_plan(make())
    assert isinstance(problems, tuple)
    assert any(expected in problem.what for problem in problems), [str(p) for p in problems]
    assert all(problem.mend for problem in problems)


def test_a_misspelt_volume_group_is_not_to_be_made() -> None:
    """FAIL: "vgcreate vg_ordres", on both nodes; where only the peer has none, that is the mend."""
    none = GroupStorage("vg_orders", exists=False)
    for here, mend in ((none, "correct the name in /etc/cluster/orders/app"), (HERE, "vgcreate ")):
        problems = make_plan(situation(here=here, there=none))
        assert isinstance(problems, tuple)
        told = [each for each in problems if each.what == "there is no volume group vg_orders"]
        assert told
        assert all(each.mend.startswith(mend) for each in told)


@pytest.mark.parametrize(
    "place",
    ["/", "/var", "/var/lib", "/etc", "/boot", "/etc/cluster/orders", "/var/lib/hapair"],
)
def test_what_the_node_itself_needs_is_in_no_application(place: str) -> None:
    """The note of a build lay in /var/lib/hapair, and was unmounted with it."""
    problems = make_plan(situation(here=mounted(mount_point=place, holders=("init (1)",))))
    assert isinstance(problems, tuple)
    (problem,) = problems
    assert f"vg_orders/data on {place} is the node's own" in problem.what


def test_all_that_hapair_keeps_is_the_nodes_own() -> None:
    places = Places()
    kept = (places.configuration, places.drbd_resources, places.memory, places.run, places.archives)
    for folder in kept:
        assert is_of_the_node(str(folder))
        assert is_of_the_node(str(folder / "below"))


@pytest.mark.parametrize("place", ["/home", "/opt", "/srv", "/var/lib/mysql", "/varied", "/cmb"])
def test_what_an_application_may_have_is_taken(place: str) -> None:
    assert planned(situation(here=mounted(mount_point=place))).added[0].mount_point == place


def test_a_local_disk_is_what_it_takes() -> None:
    here = lying_on(StorageKind.LOCAL, "")
    assert planned(situation(here=here)).added == planned(situation()).added


@pytest.mark.parametrize(("here", "there"), [(512, 512), (4096, 4096), (0, 4096), (4096, 0)])
def test_disks_that_are_alike_or_that_nothing_is_known_of_are_no_objection(
    here: int, there: int
) -> None:
    planned(situation(here=with_sectors(HERE, here), there=with_sectors(THERE, there)))


def test_an_empty_volume_of_the_right_size_on_the_peer_is_used() -> None:
    plan = planned(situation(there=holding(LogicalVolume("data", 256 * MIB))))
    works = [step.work for step in plan.steps]
    assert Work.CREATE_DATA_VOLUME not in works
    assert works.index(Work.BRING_UP) == works.index(Work.SEE_EMPTY) + 1
    assert Work.SEE_EMPTY not in {step.work for step in planned(situation()).steps}
    unseen = make_plan(situation(there=holding(LogicalVolume("data", 256 * MIB, UNSEEN))))
    assert isinstance(unseen, tuple)


def test_volumes_of_one_name_in_two_groups_have_names_of_their_own() -> None:
    plan = planned(two_groups())
    assert [v.resource for v in plan.added] == ["orders.data", "orders.vg_log.data"]
    assert loads(dumps(plan.built)) == plan.built


def test_a_resource_has_a_name_that_drbdadm_can_read() -> None:
    """LVM allows a plus sign, which drbdadm does not know outside of quotation marks."""
    plan = planned(two_groups(second_name="vg+log", volume="logs+x"))
    assert [v.resource for v in plan.added] == ["orders.data", "orders.logs_x"]
    assert plan.added[1].logical_volume == "logs+x"
    plan = planned(two_groups(second_name="vg+log"))
    assert [v.resource for v in plan.added] == ["orders.data", "orders.vg_log.data"]


def test_the_volume_of_another_at_the_place_of_the_meta_data_is_not_to_be_removed() -> None:
    problems = make_plan(situation(there=holding(LogicalVolume("data_drbdmeta", 4 * MIB, "xfs"))))
    assert isinstance(problems, tuple)
    assert "lvrename vg_orders/data_drbdmeta NAME" in problems[0].mend
    assert "lvremove" not in problems[0].mend


@given(names=st.lists(st.sampled_from(["a", "b", "a.b", "a+b", "b.a.b"]), min_size=2, max_size=2))
def test_whatever_volumes_are_called_a_plan_can_be_read_again(names: list[str]) -> None:
    """A job that cannot be read again could not be taken back."""
    group, volume = names
    wide = replace(BUILT, cluster=replace(BUILT.cluster, devices=9))
    first = planned(replace(two_groups(second_name=group, volume=volume), built=wide))
    assert loads(dumps(first.built)) == first.built
    more = two_groups(second_name=group, volume=f"{group}.{volume}", second_mount="/srv/more")
    second = planned(replace(more, built=first.built, here=replace(
        more.here, groups=(replace(HERE, mounts=()), more.here.groups[1]))))  # fmt: skip
    assert loads(dumps(second.built)) == second.built


def test_the_mount_is_touched_only_after_everything_else_has_worked() -> None:
    works = [step.work for step in planned(situation()).steps]
    unmount = works.index(Work.UNMOUNT_NATIVE)
    for earlier in (Work.CREATE_DATA_VOLUME, Work.CREATE_META_VOLUME, Work.WRITE_META_DATA):
        assert max(i for i, work in enumerate(works) if work is earlier) < unmount
    assert works[-2:] == [Work.INSTALL, Work.INSTALL]


def test_the_file_that_says_what_a_volume_is_for_comes_first_and_goes_last() -> None:
    """By it a build is taken back whose note cannot be read."""
    for node in ("node1", "node2"):
        mine = [step for step in planned(situation()).steps if step.node == node and step.undo]
        assert mine[0].work is Work.WRITE_RESOURCE
        assert mine[0].undone(mine[0].undo[0]) == f"{node}: {Work.REMOVE_RESOURCE} orders.data"
        assert {work for step in mine for work in step.undo} <= TAKES_BACK


def test_only_the_node_with_the_data_declares_its_copy_valid() -> None:
    sources = [s.node for s in planned(situation()).steps if s.work is Work.MAKE_SOURCE]
    assert sources == ["node1"]


def test_what_a_former_one_left_is_forgotten_before_anything_else() -> None:
    steps = planned(replace(situation(), remembered=True)).steps
    assert [(s.node, s.work) for s in steps[:2]] == [
        ("node1", Work.FORGET),
        ("node2", Work.FORGET),
    ]
    assert steps[2:] == planned(situation()).steps


def test_the_same_configuration_again_changes_nothing() -> None:
    built = planned(situation()).built
    again = planned(situation(built=built, here=replace(HERE, mounts=())))
    assert again.steps == ()
    assert again.built == built
    assert again.summary == ()


def test_a_configuration_that_changes_is_told() -> None:
    built = planned(situation()).built
    application = replace(ORDERS, failback=not ORDERS.failback)
    changed = planned(
        situation(built=built, here=replace(HERE, mounts=()), application=application)
    )
    assert changed.summary == ("the configuration of orders changes",)


def test_allocations_follow_the_first_free_device() -> None:
    (volume,) = planned(situation()).added
    assert (volume.minor, volume.port, volume.resource) == (10, 7701, "orders.data")
    other = replace(two_groups(), built=planned(situation()).built)
    mail = Application("mail", "node2", volume_groups=("vg_log",))
    (second,) = planned(replace(other, application=mail)).added
    assert (second.minor, second.resource) == (11, "mail.data")


def test_a_volume_of_another_application_is_refused_in_the_plan() -> None:
    built = planned(situation()).built
    mail = Application("mail", "node2", volume_groups=("vg_orders",))
    problems = make_plan(situation(built=built, application=mail))
    assert isinstance(problems, tuple)
    assert "volume /dev/vg_orders/data is allocated twice" in problems[0].what


@pytest.mark.parametrize(
    ("data_bytes", "sectors"), [(1, 80), (128 * MIB, 80), (129 * MIB, 88), (2**40, 65608)]
)
def test_meta_data_is_sized_by_drbds_formula(data_bytes: int, sectors: int) -> None:
    assert meta_data_bytes(data_bytes) == sectors * 512


@given(st.integers(1, 2**50))
def test_meta_data_holds_one_bit_for_each_four_kibibytes(data_bytes: int) -> None:
    assert meta_data_bytes(data_bytes) * 8 * 4096 >= data_bytes
