"""An application leaves the cluster from where its data is, while both nodes agree."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from hapair.core.plan.release import is_remembered, make_release, objection
from hapair.core.plan.steps import TAKES_BACK, WITHOUT_VOLUME, Work
from hapair.core.words.events import Configured, Forget, Introduce, Want
from hapair.model.application import OcfAgent, Program, Script, ServiceAddress, Unit
from hapair.model.built import Built
from hapair.model.data import Connection, Disk
from hapair.model.status import Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record


def running() -> Bench:
    bench = Bench()
    bench.running()
    return bench


def cut_off(bench: Bench) -> None:
    bench.disconnect()
    bench.wait(5.0, hearing=False)


def sees(bench: Bench, **changes: object) -> None:
    """See this of the copy here, at the moment in which nothing follows from it yet."""
    bench.state = replace(bench.state, facts={RESOURCE: facts(**changes)})


OBJECTIONS: dict[str, tuple[Callable[[Bench], object], str, str]] = {
    "the peer is away": (cut_off, "node1 and node2 are not together", "bring node2 back"),
    "the peer has another configuration": (
        lambda bench: bench.peer_says(generation=7),
        "node1 and node2 have different configurations",
        "in seconds",
    ),
    "it is at the peer": (
        lambda bench: bench.peer_says(records=(record(PEER, version=Version(0, 9)),)),
        "orders belongs to node2: its data is current there",
        "clmoveapp orders",
    ),
    "the copy here is completed from the peer's": (
        lambda bench: sees(bench, disk=Disk.INCONSISTENT, connection=Connection.SYNC_TARGET),
        "the copy of orders.data0 on node1 is not current",
        "clstat",
    ),
    "the disk here is lost": (
        lambda bench: sees(bench, disk=Disk.DISKLESS),
        "the copy of orders.data0 on node1 is not current",
        "mend its disk",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OBJECTIONS)
def test_what_is_in_the_way_is_said_in_one_sentence(case: str) -> None:
    befalls, what, mend = OBJECTIONS[case]
    bench = running()
    assert objection(bench.state, NAME) is None
    befalls(bench)
    found = objection(bench.state, NAME)
    assert found is not None
    assert what in found.what
    assert mend in found.mend


def test_nobody_releases_what_is_under_way_to_the_peer_or_known_to_nobody() -> None:
    bench = running()
    found = objection(replace(bench.state, moving=(NAME,)), NAME)
    assert found is not None
    assert found.what == "orders is being moved to node2"
    bench = Bench()
    bench.together()
    found = objection(bench.state, NAME)
    assert found is not None
    assert found.mend == "type first: clbuildapp orders"


def test_an_old_copy_of_the_peer_is_no_obstacle() -> None:
    bench = running()
    bench.data(facts(peer_disk=Disk.INCONSISTENT, connection=Connection.SYNC_SOURCE))
    bench.peer_has(current=False)
    assert objection(bench.state, NAME) is None
    told = make_release(bench.state, NAME, (), ()).told
    assert any("node2: " in line and "misses something" in line for line in told)
    bench.peer_has(current=True)
    assert "misses something" not in str(make_release(bench.state, NAME, (), ()).told)


def test_neither_node_has_a_right_to_it_before_its_data_is_mounted() -> None:
    release = make_release(running().state, NAME, (RESOURCE,), (RESOURCE,))
    assert [(step.node, step.work, step.undo) for step in release.leaving] == [
        (ME, Work.HALT, (Work.RUN_AGAIN,)),
        (ME, Work.INSTALL, (Work.INSTALL_FORMER,)),
        (PEER, Work.INSTALL, (Work.INSTALL_FORMER,)),
    ]
    assert release.built.applications == ()
    assert release.built.generation == 2
    assert all(step.volume for step in release.giving_back)
    assert {step.work for step in release.leaving} <= WITHOUT_VOLUME
    works = [(s.node, work) for s in reversed(release.giving_back) for work in s.undo]
    assert {work for _, work in works} <= TAKES_BACK
    assert works[0] == (PEER, Work.RETIRE_FSTAB)
    here, there = ([work for node, work in works if node == each] for each in (ME, PEER))
    assert here.index(Work.TAKE_DOWN) < here.index(Work.MOUNT_NATIVE)
    assert here[-1] is there[-1] is Work.REMOVE_RESOURCE
    assert Work.REMOVE_DATA_VOLUME not in here + there
    assert release.texts[0] == "node1: stop the application"
    assert release.texts[-1] == f"node2: remove the DRBD resource file {RESOURCE}"
    assert not {Work.MOUNT_NATIVE, Work.RESTORE_FSTAB} & set(there)


@pytest.mark.parametrize(
    ("wanted", "again"), [(Wanted.DATA, (Work.MOUNT_AGAIN,)), (Wanted.DOWN, ())]
)
def test_taken_back_it_is_as_it_was(wanted: Wanted, again: tuple[Work, ...]) -> None:
    bench = Bench()
    bench.together()
    bench.command(Introduce(NAME, wanted))
    assert make_release(bench.state, NAME, (), ()).leaving[0].undo == again


def with_two_volumes() -> Built:
    what = built()
    (entry,) = what.applications
    (volume,) = entry.volumes
    inner = replace(volume, resource="inner", mount_point=f"{volume.mount_point}/in ner")
    return replace(what, applications=(replace(entry, volumes=(inner, volume)),))


def test_the_outer_of_two_mounts_comes_first() -> None:
    bench = Bench(with_two_volumes())
    bench.together()
    bench.command(Introduce(NAME, Wanted.DOWN))
    release = make_release(bench.state, NAME, (), ())
    mounted = [
        step.volume[0].resource
        for step in reversed(release.giving_back)
        if Work.MOUNT_NATIVE in step.undo
    ]
    assert mounted == [RESOURCE, "inner"]
    assert any("in\\040ner ext4 defaults 0 2" in told for told in release.told)


@pytest.mark.parametrize(
    ("program", "start"),
    [
        (Script("/opt/run"), "/opt/run start"),
        (Unit("orders.service"), "systemctl start orders.service"),
        (OcfAgent("heartbeat", "pgsql"), ""),
        (None, ""),
    ],
)
def test_what_nobody_does_any_more_is_told(program: Program | None, start: str) -> None:
    what = built()
    (entry,) = what.applications
    addresses = (ServiceAddress("public", ip_interface("10.0.1.50/24")),)
    alone = replace(
        entry, application=replace(entry.application, program=program, addresses=addresses)
    )
    bench = Bench(replace(what, applications=(alone,)))
    bench.together()
    release = make_release(bench.state, NAME, (RESOURCE,), ())
    assert release.start_again == start
    told = " ".join(release.told)
    assert "node1: its addresses are on no node any more: 10.0.1.50" in told
    assert release.told[-1].endswith(start)
    assert ("start its program again" in told) is (program is not None)
    assert ("the agent ocf:heartbeat:pgsql" in told) is isinstance(program, OcfAgent)
    assert "/etc/fstab" not in told
    bare = replace(alone, application=replace(alone.application, program=None, addresses=()))
    bench.do(Configured(bench.now_s, replace(what, applications=(bare,))))
    assert "program" not in " ".join(make_release(bench.state, NAME, (), ()).told)


def test_the_last_word_is_what_starts_a_unit_as_before_the_cluster() -> None:
    what = built()
    (entry,) = what.applications
    unit = replace(entry.application, program=Unit("orders.service"))
    bench = Bench(replace(what, applications=(replace(entry, application=unit),)))
    bench.together()
    again = "systemctl enable --now orders.socket orders.service"
    release = make_release(bench.state, NAME, (RESOURCE,), (), again)
    assert release.start_again == again
    assert release.told[-1] == f"node1: start its program again, as without the cluster: {again}"


# --- Whose it is ----------------------------------------------------------------------------------


def test_one_that_is_built_anew_is_none_of_the_former_ones() -> None:
    bench = Bench()
    bench.together()
    bench.peer_says(records=(record(PEER, Wanted.DOWN, version=Version(0, 9)),))
    bench.command(Introduce(NAME, Wanted.DATA, anew=True))
    assert (bench.record.owner, bench.record.wanted) == (ME, Wanted.DATA)
    assert bench.record.version == Version(0, 10)


def test_a_release_that_is_taken_back_restores_what_was_wanted() -> None:
    bench = running()
    bench.command(Want(NAME, Wanted.DOWN))
    bench.command(Want(NAME, Wanted.UP))
    assert bench.record.wanted is Wanted.UP
    bench.peer_says(records=(record(PEER, Wanted.DOWN, version=Version(0, 9)),))
    bench.command(Want(NAME, Wanted.UP))
    assert (bench.record.owner, bench.record.wanted) == (PEER, Wanted.DOWN), "it is the peer's"
    assert bench.command(Want("web", Wanted.UP)) is not None


def released() -> Bench:
    """Return a node that has released what ran here, on both nodes."""
    bench = running()
    bench.do(Configured(bench.now_s, replace(bench.built, generation=2, applications=())))
    bench.peer_says(generation=2)
    return bench


def test_what_is_not_built_is_remembered_as_long_as_a_node_has_a_record_of_it() -> None:
    bench = running()
    assert not is_remembered(bench.state, NAME)
    released = replace(bench.state, built=replace(bench.state.built, applications=()))
    assert is_remembered(released, NAME)
    forgotten = replace(released, stored=replace(released.stored, records=()))
    assert not is_remembered(forgotten, NAME)
    silent = replace(forgotten, peer=replace(forgotten.peer, state=None))
    assert not is_remembered(silent, NAME)
    bench.peer_says(records=(record(PEER, version=Version(0, 9)),))
    assert is_remembered(replace(forgotten, peer=bench.state.peer), NAME)


def test_only_what_is_not_built_is_forgotten() -> None:
    bench = running()
    reply = bench.command(Forget(NAME, RESOURCE))
    assert reply is not None
    assert not reply.accepted
    assert bench.record.owner == ME
    bench = released()
    stored = replace(bench.state.stored, behind=(RESOURCE, "web"), away=(RESOURCE,))
    bench.state = replace(bench.state, stored=stored)
    reply = bench.command(Forget(NAME, RESOURCE))
    assert reply is not None
    assert reply.accepted
    assert (bench.state.stored.behind, bench.state.stored.away) == (("web",), ())
    assert bench.state.record(NAME) is None


def test_a_peer_that_has_not_forgotten_it_yet_does_not_bring_it_back() -> None:
    """Built anew from the other node, it would be stopped there as the former owner's."""
    bench = released()
    bench.command(Forget(NAME, RESOURCE))
    bench.peer_says(records=(record(ME, Wanted.DOWN, version=Version(0, 9)),))
    assert bench.state.record(NAME) is None
    bench.peer_says(generation=3)
    assert bench.state.record(NAME) is not None, "the peer has built it anew"
