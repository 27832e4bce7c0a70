"""What the peer's copy misses because it had no disk is told to the peer, and believed of it."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Publish
from hapair.core.words.events import Configured
from hapair.model.backing import ForeignWrites
from hapair.model.data import Connection, Disk, Role
from tests.core.bench import RESOURCE, Bench, built, facts
from tests.core.test_membership import MEMBER


@pytest.fixture
def bench() -> Bench:
    """The peer has lost its disk, and this node has seen it."""
    made = Bench()
    made.together()
    made.data(facts(peer_disk=Disk.DISKLESS, peer_role=Role.PRIMARY))
    return made


def told(bench: Bench) -> tuple[str, ...]:
    assert bench.state.published is not None
    return bench.state.published.you_miss


def test_it_is_stored_and_told_until_the_copies_have_met(bench: Bench) -> None:
    assert bench.state.stored.peer_misses == told(bench) == (RESOURCE,)
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    assert told(bench) == (RESOURCE,)
    bench.data(facts(connection=Connection.SYNC_SOURCE, peer_disk=Disk.INCONSISTENT))
    assert told(bench) == (RESOURCE,)
    bench.data(facts())
    assert bench.state.stored.peer_misses == told(bench) == ()


def test_a_new_daemon_tells_it_before_its_copy_is_attached() -> None:
    apart = facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN)
    bench = Bench(stored=replace(MEMBER, peer_misses=(RESOURCE,)), attached=apart)
    assert {each.state.you_miss for each in bench.effects if isinstance(each, Publish)} == {
        (RESOURCE,)
    }


def test_who_has_no_good_copy_itself_tells_nothing(bench: Bench) -> None:
    bench.data(facts(disk=Disk.DISKLESS, peer_disk=Disk.DISKLESS))
    assert told(bench) == ()
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    foreign = (ForeignWrites(RESOURCE, "it was mounted"),)
    bench.state = replace(bench.state, stored=replace(bench.state.stored, foreign=foreign))
    bench.wait(1.0)
    assert told(bench) == ()


def test_what_is_no_longer_built_is_forgotten(bench: Bench) -> None:
    nothing = replace(built(generation=2), applications=())
    bench.do(Configured(bench.now_s, nothing))
    assert bench.state.stored.peer_misses == ()


def test_a_copy_that_the_peer_says_to_miss_writes_is_not_trusted() -> None:
    bench = Bench(attached=facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    bench.together()
    bench.peer_says(you_miss=(RESOURCE,))
    assert bench.state.stored.unproven == (RESOURCE,)
    bench.data(facts())
    assert not bench.state.stored.unproven, "DRBD has compared them"


def test_what_was_said_before_the_connection_ended_says_nothing() -> None:
    bench = Bench()
    bench.together()
    bench.data(facts())
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    bench.peer_says(you_miss=(RESOURCE,), seen_losses=bench.state.losses - 1)
    assert bench.state.stored.unproven == ()


def test_a_copy_that_is_written_here_is_trusted() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    bench.peer_says(you_miss=(RESOURCE,))
    assert bench.state.stored.unproven == ()
