"""What lies on or between the volumes of a group is told by its true name."""

from dataclasses import replace

import pytest

from hapair.core.plan.application import Plan, Situation, make_plan
from hapair.core.plan.features import OPTIONAL, SINCE
from hapair.core.plan.layers import REFUSED, STAYS
from hapair.core.plan.steps import Work
from hapair.model.problem import Problem
from hapair.model.storage import (
    UNSEEN,
    GroupStorage,
    LogicalVolume,
    Release,
    UseKind,
    VolumeUse,
)
from tests.jobs.material import DATA, HERE, MIB, MOUNT, THERE, mounted, situation

OLD = LogicalVolume("old", 3072 * MIB, "ext4")
BUSY = LogicalVolume("busy", 64 * MIB, in_use=True)
EMPTY = replace(DATA, content="", in_use=False, made_wall_s=1000.0)


def beside(*volumes: LogicalVolume, uses: tuple[VolumeUse, ...] = ()) -> GroupStorage:
    """Return the group of node1 with more volumes than the mounted one."""
    return replace(HERE, volumes=(DATA, *volumes), uses=uses)


def use(kind: UseKind, name: str = "cx", *mount_points: str) -> GroupStorage:
    return beside(BUSY, uses=(VolumeUse("busy", kind, name, mount_points),))


def there(volume: LogicalVolume, *others: LogicalVolume) -> GroupStorage:
    return replace(THERE, volumes=(volume, *others))


def problems_of(given: Situation) -> tuple[Problem, ...]:
    problems = make_plan(given)
    assert isinstance(problems, tuple), problems.summary
    assert all(problem.mend for problem in problems)
    return problems


def planned(given: Situation) -> Plan:
    plan = make_plan(given)
    assert isinstance(plan, Plan), [str(problem) for problem in plan]
    return plan


SENTENCES = {
    UseKind.LUKS: "vg_orders/busy holds LUKS, opened as cx and mounted on /srv/x: encryption betwe",
    UseKind.CRYPT: "vg_orders/busy is encrypted, opened as cx and mounted on /srv/x: encryption",
    UseKind.INTEGRITY: "vg_orders/busy is used by dm-integrity as cx and mounted on /srv/x",
    UseKind.VERITY: "vg_orders/busy is used by dm-verity as cx and mounted on /srv/x",
    UseKind.PARTITION: "vg_orders/busy has partitions, one of them cx and mounted on /srv/x",
    UseKind.PHYSICAL_VOLUME: "vg_orders/busy is a disk of another volume group, which has cx",
    UseKind.MAP: "vg_orders/busy is used by the device-mapper map cx and mounted on /srv/x",
    UseKind.BCACHE: "vg_orders/busy is used by cx and mounted on /srv/x: bcache between",
    UseKind.MD: "vg_orders/busy is a disk of cx and mounted on /srv/x: RAID between",
    UseKind.DRBD: "vg_orders/busy is the disk of cx and mounted on /srv/x, which is none of this",
    UseKind.LOOP: "vg_orders/busy is used by the loop device cx and mounted on /srv/x",
    UseKind.FILE_SYSTEM: "vg_orders/busy holds cx, mounted on /srv/x, which is not supported",
    UseKind.SPACE: "vg_orders/busy is mounted on /srv/x in the mount name space of cx only",
    UseKind.EXPORT: "vg_orders/busy is exported as cx: raw volumes are not supported",
    UseKind.PROCESS: "vg_orders/busy can be written by cx: raw volumes are not supported",
    UseKind.OTHER: "vg_orders/busy is used by cx and mounted on /srv/x: a device between",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_layer_is_refused_by_its_name(kind: UseKind) -> None:
    """FAIL: "make the file systems, mount them", which would destroy the data."""
    for group in (use(kind, "cx", "/srv/x"), replace(use(kind, "cx", "/srv/x"), mounts=())):
        told = [each for each in problems_of(situation(here=group)) if "busy" in each.what]
        assert SENTENCES[kind] in told[0].what
        assert "mkfs" not in told[0].mend
        assert "{" not in str(told[0])


def test_every_kind_of_use_is_judged() -> None:
    assert {*REFUSED, *STAYS} == set(UseKind)
    assert UseKind.of_newer() in REFUSED


def test_a_layer_that_is_not_mounted_is_refused_as_well() -> None:
    (problem,) = problems_of(situation(here=use(UseKind.LUKS)))
    assert "opened as cx: encryption" in problem.what


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (UseKind.SWAP, "vg_orders/busy (swap, swap space, 64.0 MiB)"),
        (UseKind.PART, "vg_orders/busy (swap, part of another file system, mounted on /mnt, 64.0"),
    ],
)
def test_what_nobody_misses_on_the_other_node_stays(kind: UseKind, says: str) -> None:
    points = ("/mnt",) if kind is UseKind.PART else ()
    busy = replace(BUSY, content="swap")
    group = beside(busy, uses=(VolumeUse("busy", kind, "", points),))
    (line,) = [each for each in planned(situation(here=group)).summary if "busy" in each]
    assert line.startswith(says)
    assert line.endswith("is not mounted and stays as it is")


def test_what_uses_a_volume_unseen_is_told_as_that() -> None:
    """A ZFS has its disks without a word to anybody."""
    busy = replace(BUSY, content="zfs_member")
    (problem,) = problems_of(situation(here=beside(busy)))
    assert "vg_orders/busy (zfs_member, 64.0 MiB) is in use, and by what is not f" in problem.what
    (problem,) = problems_of(situation(here=beside(BUSY)))
    assert "vg_orders/busy (64.0 MiB) is in use" in problem.what


@pytest.mark.parametrize(
    ("volume", "says"),
    [
        (OLD, "(ext4, 3.0 GiB)"),
        (replace(OLD, content="crypto_LUKS"), "(crypto_LUKS, 3.0 GiB)"),
        (replace(OLD, content=""), "(empty, 3.0 GiB)"),
        (replace(OLD, content="", nameless=True), "(data of a kind that is not recognised, 3.0 G"),
        (replace(OLD, content=UNSEEN, inactive=True), "(inactive, 3.0 GiB)"),
        (replace(OLD, origin="data", in_use=True), "(snapshot of data, 3.0 GiB)"),
        (replace(OLD, objection="is a thin pool", in_use=True), "(a thin pool, 3.0 GiB)"),
    ],
)
def test_a_volume_that_is_not_mounted_is_named_with_what_it_holds(
    volume: LogicalVolume, says: str
) -> None:
    line = f"vg_orders/old {says}"
    summary = planned(situation(here=beside(volume))).summary
    assert any(each.startswith(line) for each in summary), summary
    none = problems_of(situation(here=replace(HERE, mounts=(), volumes=(volume,))))
    assert line in none[0].what
    assert "mkfs only on empty ones" in none[0].mend


def test_a_former_copy_is_not_to_be_mounted_while_the_other_node_has_the_data() -> None:
    """FAIL: "mount what the application needs", of what a release left here."""
    here = replace(HERE, mounts=(), volumes=(OLD,))
    there = replace(THERE, mounts=(MOUNT,))
    (problem,) = problems_of(situation(here=here, there=there))
    assert problem.what.endswith("; /srv/orders is mounted on node2")
    assert problem.mend == "type there: clbuildapp orders"


def test_volumes_of_ours_and_of_other_applications_are_no_news() -> None:
    first = planned(situation())
    volumes = (DATA, replace(BUSY, name="data_drbdmeta"), replace(OLD, ours=True))
    group = replace(HERE, mounts=(), volumes=volumes)
    again = planned(situation(built=first.built, here=group))
    assert again.steps == ()
    assert again.summary == ()
    group = replace(group, volumes=(*volumes, OLD))
    assert planned(situation(built=first.built, here=group)).summary == ()


def test_nothing_to_mount_at_all_is_told_shortly() -> None:
    (problem,) = problems_of(situation(here=replace(HERE, mounts=(), volumes=())))
    assert problem.what == "no file system of its volume groups is mounted on this node"
    assert problem.mend.startswith("make the file systems")


def test_a_volume_that_is_not_in_order_is_not_built_on() -> None:
    sick = replace(DATA, objection='is not in order: LVM says "partial"')
    (problem,) = problems_of(situation(here=replace(HERE, volumes=(sick,))))
    assert 'vg_orders/data on /srv/orders is not in order: LVM says "partial"' in problem.what


def test_the_device_of_a_log_is_named_once() -> None:
    """It is an option as well, but that it gets lost is not what is wrong."""
    options = ("logdev=/dev/vg_x/log", "novelty")
    group = mounted(elsewhere=("log",), lost_options=options)
    elsewhere, lost = (problem.what for problem in problems_of(situation(here=group)))
    assert elsewhere == (
        "vg_orders/data on /srv/orders has its log on another device (/dev/vg_x/log),"
        " which would not be replicated"
    )
    assert lost.endswith("is mounted with novelty")
    (alone,) = problems_of(situation(here=mounted(lost_options=options)))
    assert "logdev=/dev/vg_x/log" in alone.what


def on_the_peer(group: GroupStorage) -> Situation:
    given = situation(there=group)
    return replace(given, peer=replace(given.peer, wall_s=1000.0 + 3 * 86400))


@pytest.mark.parametrize(
    ("group", "says"),
    [
        (
            there(replace(EMPTY, content="ext4")),
            "vg_orders/data exists and holds ext4 (256.0 MiB, made 3 days ago)",
        ),
        (
            replace(
                there(replace(EMPTY, in_use=True)),
                uses=(
                    VolumeUse("data", UseKind.LUKS, "cx", ("/a", "/b")),
                    VolumeUse("old", UseKind.MD, "md0"),
                    VolumeUse("data", UseKind.SWAP, ""),
                ),
            ),
            "exists and is in use (LUKS cx, mounted on /a, /b; swap space) (256.0 MiB, made",
        ),
        (
            replace(there(replace(EMPTY, in_use=True)), mounts=(MOUNT,)),
            "exists and is in use (mounted on /srv/orders) (256.0 MiB",
        ),
        (there(replace(EMPTY, objection="is a thin pool")), "exists and is a thin pool"),
        (there(replace(EMPTY, origin="x")), "exists and is a snapshot of x"),
        (
            there(EMPTY, LogicalVolume("kept", MIB, origin="data")),
            "vg_orders/data exists and has the snapshot kept",
        ),
        (
            replace(THERE, taken_names=("data",)),
            "vg_orders/data is a name that LVM keeps for a hidden or a removed volume",
        ),
        (replace(THERE, taken_names=("data_drbdmeta",)), "vg_orders/data_drbdmeta is a name that"),
    ],
)
def test_what_the_peer_has_is_named_with_its_size_and_age(group: GroupStorage, says: str) -> None:
    (problem,) = problems_of(on_the_peer(group))
    assert says in problem.what
    assert problem.where == "node2"


def test_a_hidden_name_matters_on_the_node_with_the_data_for_the_meta_data_only() -> None:
    (problem,) = problems_of(situation(here=replace(HERE, taken_names=("data_drbdmeta",))))
    assert problem.where == "node1"
    planned(situation(here=replace(HERE, taken_names=("data",))))


def test_what_is_taken_is_named_with_its_size_and_age() -> None:
    plan = planned(on_the_peer(there(EMPTY)))
    assert (
        "vg_orders/data on node2 (256.0 MiB, made 3 days ago) is empty and is overwritten"
        in plan.summary
    )
    young = planned(situation(there=there(replace(EMPTY, made_wall_s=None))))
    assert "vg_orders/data on node2 (256.0 MiB) is empty and is overwritten" in young.summary


def test_a_volume_that_was_there_before_is_left_to_its_owner_again() -> None:
    """The guard goes when a later step fails."""
    (step,) = [s for s in planned(on_the_peer(there(EMPTY))).steps if s.work is Work.SEE_EMPTY]
    assert step.undo == (Work.LEAVE_DATA_VOLUME,)


def test_a_pool_that_may_run_full_is_told() -> None:
    thin = replace(DATA, pool="pool")
    plan = planned(on_the_peer(there(replace(EMPTY, pool="tp"))))
    assert any("data on node2 has its blocks from the pool vg_orders/tp" in s for s in plan.summary)
    plan = planned(situation(here=replace(HERE, volumes=(thin,))))
    assert any("data on node1 has its blocks from the pool" in line for line in plan.summary)


def of_age(
    features: tuple[str, ...],
    *,
    kernels: tuple[str, str] = ("6.12.9-amd64", "6.1.0-13-amd64"),
    tools: tuple[str, str] = ("1.47.2", "1.46.2"),
    options: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    file_system: str = "ext4",
) -> Situation:
    given = situation(here=replace(HERE, mounts=(replace(MOUNT, features=features),)))
    tool = "e2fsck" if file_system == "ext4" else "xfs_repair"
    here, peer = (
        replace(
            storage,
            releases=(Release("Linux", kernels[n]), Release(tool, tools[n])),
            kernel_options=options[n],
        )
        for n, storage in enumerate((given.here, given.peer))
    )
    return replace(given, here=here, peer=peer)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            of_age(("orphan_file",)),
            "vg_orders/data on /srv/orders has the feature orphan_file, which e2fsck 1.46.2 does",
        ),
        (of_age(("incompat 0x400000",)), "incompat 0x400000, which Linux 6.1.0-13-amd64 does not"),
        (
            of_age(("verity",), options=(("verity",), ("casefold",))),
            "has the feature verity, without which the kernel there is built",
        ),
    ],
)
def test_a_feature_that_the_peer_is_too_old_for_is_refused(given: Situation, says: str) -> None:
    problem = problems_of(given)[0]
    assert says in problem.what
    assert problem.where == "node2"


@pytest.mark.parametrize("feature", [*SINCE, "incompat 0x400000"])
@pytest.mark.parametrize(
    ("kernels", "tools"),
    [
        (("5.14.0-570.el9", "5.14.0-570.el9"), ("1.46.5", "1.46.5")),
        (("5.14.0-570.el9", "6.12.1"), ("1.46.5", "1.47.0")),
        (("6.12.1", ""), ("1.47.0", "")),
        (("", "6.1.0"), ("", "1.46.5")),
        (("6.12.1", "unknown"), ("1.47.0", "unknown")),
    ],
)
def test_a_peer_that_is_no_older_knows_what_this_node_knows(
    feature: str, kernels: tuple[str, str], tools: tuple[str, str]
) -> None:
    """Kernels of distributions are given features of later ones."""
    planned(of_age((feature,), kernels=kernels, tools=tools))


@pytest.mark.parametrize("feature", OPTIONAL)
@pytest.mark.parametrize(
    "options", [(("casefold", "encrypt", "verity"),) * 2, ((), ("x",)), (("verity",), ())]
)
def test_a_kernel_that_does_not_say_how_it_was_built_refuses_nothing(
    feature: str, options: tuple[tuple[str, ...], tuple[str, ...]]
) -> None:
    planned(of_age((feature,), tools=("1.47.0", "1.47.0"), options=options))
