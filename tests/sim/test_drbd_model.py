"""The model of DRBD behaves as the kernel does; the lab holds it against the real one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done, Refused
from tests.sim.drbd import Resource, Written

A, B = "node1", "node2"


def connected(*, primary: str = A) -> Resource:
    resource = Resource("orders.data0", (A, B))
    resource.bring_up(A)
    resource.bring_up(B)
    resource.connect()
    if primary:
        resource.promote(primary)
    return resource


def crash(resource: Resource, node: str) -> None:
    resource.crash(node)
    survivor = resource.other(node)
    if survivor.replicating:
        resource.lose(survivor.node)


def cut(resource: Resource) -> None:
    resource.lose(A)
    resource.lose(B)


def reconnect(resource: Resource) -> None:
    resource.bring_up(A)
    resource.bring_up(B)
    resource.connect()
    if resource.resyncing:
        resource.finish_resync()


def states(resource: Resource) -> tuple[str, str]:
    a, b = resource.side(A), resource.side(B)
    return f"{a.role}/{a.disk}/{a.connection}", f"{b.role}/{b.disk}/{b.connection}"


def test_two_fresh_sides_connect_without_a_resync() -> None:
    assert states(connected()) == ("Primary/UpToDate/Connected", "Secondary/UpToDate/Connected")


def test_every_write_of_a_connected_primary_is_on_both_sides() -> None:
    resource = connected()
    assert resource.write(A, 1, path_works=True) is Written.ACKNOWLEDGED
    assert resource.side(A).data == resource.side(B).data == {1}


def test_a_second_primary_is_refused_while_connected() -> None:
    assert isinstance(connected().promote(B), Refused)


def test_a_write_waits_until_the_loss_is_noticed_and_is_then_acknowledged_alone() -> None:
    resource = connected()
    assert resource.write(A, 1, path_works=False) is Written.PENDING
    assert resource.lose(A) == (1,)
    assert resource.side(B).data == set()


def test_a_write_that_waited_reaches_the_peer_when_the_path_returns_in_time() -> None:
    resource = connected()
    resource.write(A, 1, path_works=False)
    assert resource.resume_pending(A) == (1,)
    assert resource.side(B).data == {1}


def test_the_side_that_wrote_alone_is_the_source() -> None:
    resource = connected()
    cut(resource)
    resource.write(A, 1, path_works=False)
    resource.connect()
    assert resource.side(A).connection is Connection.SYNC_SOURCE
    assert resource.side(B).disk is Disk.INCONSISTENT
    resource.finish_resync()
    assert resource.side(B).data == {1}
    assert states(resource)[1] == "Secondary/UpToDate/Connected"


def test_after_a_take_over_the_crashed_primary_is_the_target() -> None:
    resource = connected()
    resource.write(A, 1, path_works=True)
    crash(resource, A)
    assert isinstance(resource.promote(B), Done)
    resource.write(B, 2, path_works=False)
    resource.bring_up(A)
    assert resource.side(A).disk is Disk.UP_TO_DATE, "dont-care: it does not know better"
    resource.connect()
    assert resource.side(A).connection is Connection.SYNC_TARGET
    resource.finish_resync()
    assert resource.side(A).data == {1, 2}


def test_an_interrupted_resync_leaves_an_inconsistent_target_that_cannot_be_promoted() -> None:
    resource = connected()
    cut(resource)
    resource.connect()
    assert resource.resyncing
    crash(resource, A)
    assert resource.side(B).disk is Disk.INCONSISTENT
    assert isinstance(resource.promote(B), Refused)
    reconnect(resource)
    assert states(resource)[1] == "Secondary/UpToDate/Connected"


def test_a_connected_sync_target_may_be_promoted_so_the_core_has_to_refuse() -> None:
    resource = connected(primary="")
    resource.promote(A)
    cut(resource)
    resource.connect()
    resource.demote(A)
    assert isinstance(resource.promote(B), Done)


def test_both_sides_written_apart_is_a_split_brain_and_stays_apart() -> None:
    resource = connected()
    cut(resource)
    resource.write(A, 1, path_works=False)
    resource.promote(B)
    resource.write(B, 2, path_works=False)
    resource.demote(B)
    resource.connect()
    assert all(s.connection is Connection.STAND_ALONE for s in resource.sides.values())
    assert resource.side(A).data == {1}
    assert resource.side(B).data == {2}


def test_two_primaries_never_connect() -> None:
    resource = connected()
    cut(resource)
    resource.promote(B)
    resource.connect()
    assert all(s.connection is Connection.STAND_ALONE for s in resource.sides.values())


def test_both_crash_while_connected_and_the_former_primary_is_the_source() -> None:
    resource = connected()
    resource.write(A, 1, path_works=False)  # Only on A's disk when the power goes.
    resource.crash(A)
    resource.crash(B)
    resource.bring_up(A)
    resource.bring_up(B)
    resource.connect()
    assert resource.side(A).connection is Connection.SYNC_SOURCE


def test_both_secondaries_that_lose_each_other_need_no_resync() -> None:
    resource = connected(primary="")
    cut(resource)
    resource.connect()
    assert not resource.resyncing


def test_a_diskless_primary_reads_and_writes_the_peers_copy() -> None:
    resource = connected()
    resource.write(A, 1, path_works=True)
    resource.detach(A)
    assert resource.write(A, 2, path_works=True) is Written.ACKNOWLEDGED
    assert resource.visible(A) == {1, 2}
    assert resource.side(A).data == {1}


def test_a_diskless_primary_without_peer_gets_errors() -> None:
    resource = connected()
    resource.detach(A)
    resource.lose(A)
    assert resource.write(A, 1, path_works=False) is Written.FAILED
    assert resource.visible(A) is None


def test_a_diskless_primary_does_not_attach_data_that_is_older_than_what_it_showed() -> None:
    resource = connected()
    resource.detach(A)
    resource.write(A, 1, path_works=True)
    cut(resource)
    assert isinstance(resource.attach(A), Refused)


def test_a_disk_that_was_away_is_completed_when_it_is_attached_again() -> None:
    resource = connected()
    resource.detach(A)
    resource.write(A, 1, path_works=True)
    resource.attach(A)
    assert resource.side(A).disk is Disk.NEGOTIATING
    resource.negotiate()
    assert resource.side(A).connection is Connection.SYNC_TARGET
    resource.finish_resync()
    assert resource.side(A).data == {1}


def test_after_a_reboot_the_formerly_diskless_node_calls_its_old_copy_current() -> None:
    """This is why a node must not trust its own disk before it has connected (runbook 14)."""
    resource = connected()
    resource.detach(A)
    resource.write(A, 1, path_works=True)
    crash(resource, A)
    resource.bring_up(A)
    assert resource.side(A).disk is Disk.UP_TO_DATE
    reconnect(resource)
    assert resource.side(A).data == {1}


def test_a_resource_that_goes_down_gives_its_role_up() -> None:
    resource = connected()
    assert isinstance(resource.take_down(A), Done)
    assert resource.facts(A) is None
    resource.lose(B)
    assert isinstance(resource.promote(B), Done)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["bring up", "take down", "promote", "demote", "crash", "cut", "meet", "write"]
        ),
        st.sampled_from([A, B]),
    ),
    max_size=40,
)


def apply(resource: Resource, operation: str, node: str, number: int) -> bool:
    """Do one operation; return whether it was a write that was acknowledged."""
    side = resource.side(node)
    match operation:
        case "bring up":
            resource.bring_up(node)
        case "take down":
            if isinstance(resource.take_down(node), Done) and resource.other(node).replicating:
                resource.lose(resource.other(node).node)
        case "promote":
            resource.promote(node)
        case "demote":
            resource.demote(node)
        case "crash":
            crash(resource, node)
        case "cut" if resource.linked:
            cut(resource)
        case "meet" if all(
            s.configured and s.connection is Connection.CONNECTING for s in resource.sides.values()
        ):
            resource.connect()
            if resource.resyncing:
                resource.finish_resync()
        case "write" if side.configured:
            written = resource.write(node, number, path_works=resource.linked)
            return written is Written.ACKNOWLEDGED
        case _:
            pass
    return False


@given(OPERATIONS)
def test_whatever_happens_a_connection_means_equal_data(
    operations: list[tuple[str, str]],
) -> None:
    resource = connected()
    for number, (operation, node) in enumerate(operations):
        apply(resource, operation, node, number)
        if all(s.connection is Connection.CONNECTED for s in resource.sides.values()):
            a, b = resource.side(A), resource.side(B)
            assert not resource.linked or a.data == b.data


@given(OPERATIONS)
def test_one_side_at_a_time_loses_no_acknowledged_write(operations: list[tuple[str, str]]) -> None:
    """While only node1 is ever Primary, DRBD never throws an acknowledged write away."""
    resource = connected()
    acknowledged: set[int] = set()
    for number, (operation, node) in enumerate(operations):
        if operation == "promote" and node == B:
            continue
        if apply(resource, operation, node, number):
            acknowledged.add(number)
        assert acknowledged <= resource.side(A).data


@pytest.mark.parametrize("first", [A, B])
def test_who_comes_back_first_makes_no_difference(first: str) -> None:
    resource = connected()
    crash(resource, A)
    resource.promote(B)
    resource.write(B, 1, path_works=False)
    resource.crash(B)
    resource.bring_up(first)
    resource.bring_up(resource.other(first).node)
    resource.connect()
    assert resource.side(B).connection is Connection.SYNC_SOURCE
    assert resource.side(A).role is Role.SECONDARY
