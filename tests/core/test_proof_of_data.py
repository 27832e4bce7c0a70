"""When a connection of DRBD proves that a copy has every write, and when not yet."""

from dataclasses import replace

import pytest

from hapair.core import node
from hapair.core.applications.items import is_stopped
from hapair.core.copies import doubts
from hapair.core.words.effects import Do, Look
from hapair.core.words.events import (
    Commanded,
    DataChanged,
    Ended,
    Form,
    Halt,
    Leave,
    Move,
    Start,
)
from hapair.core.words.item import Is
from hapair.core.words.stored import Stored
from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done, Refused
from hapair.model.status import Standing
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts
from tests.core.test_membership import MEMBER

LOST = facts(
    role=Role.PRIMARY,
    peer_role=Role.UNKNOWN,
    peer_disk=Disk.UNKNOWN,
    connection=Connection.CONNECTING,
)


def behind(bench: Bench) -> bool:
    return RESOURCE in bench.state.stored.behind


def unproven(bench: Bench) -> bool:
    return RESOURCE in (*bench.state.stored.unproven, *bench.state.stored.away)


def standby() -> Bench:
    bench = Bench()
    bench.together()
    assert doubts.is_current(bench.state, RESOURCE)
    return bench


def test_a_peer_that_writes_alone_is_believed_before_the_own_kernel_notices() -> None:
    bench = standby()
    bench.hear(unprotected=(RESOURCE,))
    assert behind(bench)
    # It gave the role up, while the kernel here still believes in the connection.
    bench.hear()
    bench.wait(1.0)
    assert behind(bench)
    bench.wait(3.0)
    assert not behind(bench), "the kernel would have noticed the loss by now"


def test_a_new_connection_proves_the_copy_at_once() -> None:
    bench = standby()
    bench.hear(unprotected=(RESOURCE,))
    bench.disconnect()
    bench.hear()
    assert behind(bench)
    bench.data(facts())
    assert not behind(bench)


def test_after_a_pause_a_connection_proves_nothing_until_it_has_lasted() -> None:
    bench = standby()
    assert not unproven(bench)
    bench.do(DataChanged(bench.now_s + 10.0, (facts(),)))
    assert bench.stands(Standing.CUT)
    assert unproven(bench)
    bench.hear()
    bench.wait(3.5)
    assert not unproven(bench)


@pytest.mark.parametrize(("holds_right", "doubted"), [(False, True), (True, False)])
def test_a_new_daemon_doubts_a_copy_that_lost_its_disk(*, holds_right: bool, doubted: bool) -> None:
    """What was written meanwhile may lie on the peer's disk alone, unless this node was alone."""
    bench = Bench(stored=replace(MEMBER, holds_right=holds_right))
    bench.state = replace(bench.state, facts_read=False)
    bench.deaf.add(Do.TAKE_DOWN)  # It is about to be attached anew.
    bench.data(replace(LOST, disk=Disk.DISKLESS))
    assert unproven(bench) is doubted


def test_the_peers_old_state_is_no_agreement_when_its_beats_say_otherwise() -> None:
    bench = standby()
    bench.do(DataChanged(bench.now_s + 10.0, (facts(),)))
    bench.hear(standing=Standing.HALTED)
    assert bench.stands(Standing.CUT)
    bench.hear()
    assert bench.stands(Standing.CUT), "it was said before this node stood still"
    bench.peer_says(accepted=bench.state.incarnation)
    assert bench.stands(Standing.TOGETHER)


def test_what_was_said_to_a_former_incarnation_is_not_heard_after_a_pause() -> None:
    bench = standby()
    before = bench.state.incarnation
    bench.do(DataChanged(bench.now_s + 10.0, (facts(),)))
    bench.hear(echo=before)
    assert not bench.state.peer_heard
    assert bench.state.stored.incarnation == bench.state.incarnation == before + 1


def test_a_demoted_device_is_not_given_away_before_the_kernel_says_so() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.DEMOTE}
    bench.command(Move(NAME))
    (demoting,) = [s.busy for _, s in bench.state.every_item() if s.busy]
    bench.do(Ended(bench.now_s, demoting, Done()))
    assert not is_stopped(bench.state, NAME)
    assert bench.record.owner == "node1"
    bench.data(facts())
    assert is_stopped(bench.state, NAME)
    assert bench.record.owner == PEER


def test_what_was_written_without_the_peer_is_not_given_to_it() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.UNMOUNT}
    bench.command(Move(NAME))
    bench.data(LOST)
    assert "cannot-move" in bench.notes()
    assert bench.record.owner == "node1"


def test_a_node_that_leaves_with_unprotected_writes_keeps_its_application() -> None:
    bench = Bench()
    bench.running()
    bench.data(LOST)
    bench.command(Leave(handover=True))
    bench.data(replace(LOST, role=Role.SECONDARY))
    bench.wait(1.0)
    assert bench.record.owner == "node1"


def test_a_refusal_before_the_kernel_has_spoken_concludes_nothing() -> None:
    state, _ = node.begin("node1", "boot1", 1, built(), Stored(), 0.0)
    state, _ = node.step(state, Ended(0.1, 99, Refused("no")))
    assert all(item_state.known is Is.UNKNOWN for _, item_state in state.every_item())


def test_a_move_is_refused_while_the_copies_are_not_joined() -> None:
    bench = Bench()
    bench.running()
    bench.data(LOST)
    reply = bench.command(Move(NAME))
    assert reply is not None
    assert not reply.accepted
    bench.command(Halt(NAME))
    assert bench.record.owner == "node1"


def published_losses(bench: Bench) -> int:
    assert bench.state.published is not None
    return bench.state.published.seen_losses


def test_as_long_as_the_list_of_lone_writes_is_on_its_way_no_connection_proves_anything() -> None:
    bench = standby()
    bench.hear(unprotected=(RESOURCE,))
    bench.disconnect()
    bench.hear(unprotected=None)
    bench.data(facts())
    assert behind(bench), "the new connection may be on the list"
    for _ in range(10):
        bench.wait(0.5, hearing=False)
        bench.hear(unprotected=None)
    assert behind(bench)
    bench.hear()
    bench.wait(3.5)
    assert not behind(bench)


def test_a_list_on_its_way_makes_no_copy_old() -> None:
    bench = standby()
    bench.hear(unprotected=None)
    assert not behind(bench)
    assert not unproven(bench)


def test_a_loss_counts_as_heard_of_only_with_the_list_that_belongs_to_it() -> None:
    bench = standby()
    bench.hear(losses=1)
    bench.hear(losses=2, unprotected=None)
    assert published_losses(bench) == 1
    bench.hear(losses=2, unprotected=(RESOURCE,))
    assert published_losses(bench) == 2


def test_what_a_former_daemon_of_the_peer_had_lost_is_not_what_the_new_one_has() -> None:
    bench = standby()
    bench.hear(losses=5)
    bench.hear(incarnation=bench.peer.incarnation + 1, losses=5, unprotected=None)
    assert published_losses(bench) == 0


def test_where_this_node_is_the_owner_a_list_on_its_way_doubts_nothing() -> None:
    bench = Bench()
    bench.running()
    bench.hear(unprotected=None)
    assert bench.state.joined_from_s[RESOURCE] <= bench.now_s


def test_a_connection_that_a_new_daemon_finds_was_not_made_while_the_peer_was_silent() -> None:
    bench = Bench()
    state, _ = node.begin(ME, "boot1", 1, bench.built, bench.state.stored, 100.0)
    state, _ = node.step(state, DataChanged(100.0, (facts(),)))
    assert not state.relinked


def test_a_cold_start_compares_the_copies_also_where_looks_are_slow() -> None:
    """Else a copy that misses writes, of which a full disk kept no note, is promoted."""
    bench = Bench()
    bench.running()
    stored = replace(bench.state.stored, formed=False, joined_boot_id="boot1")
    state, looks = node.begin(ME, "boot2", 9, built(), stored, 50.0)
    assert [each for each in looks if isinstance(each, Look)], "they are not answered yet"
    state, _ = node.step(state, Commanded(51.0, 1, Form(start=Start.BY_BOOT)))
    assert state.standing is Standing.FORMING
    assert state.fresh == (NAME,)
