"""The model of DRBD with "resource-and-stonith": what freezes, and what each answer does."""

import pytest

from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done, Refused, Unknown
from tests.sim.drbd import Resource, Written
from tests.sim.fence import NEEDS_FENCE, PROMOTION_TRIES, Answered, LetGo
from tests.sim.sides import Asked, Fencing

A, B = "node1", "node2"
FENCED, OUTDATED, UNREACHABLE, INCONSISTENT, ACTIVE, NO_VERDICT = 7, 4, 5, 3, 6, 1


def connected(*, primary: str = A) -> Resource:
    resource = Resource("orders.data0", (A, B), Fencing.RESOURCE_AND_STONITH)
    resource.bring_up(A)
    resource.bring_up(B)
    resource.connect()
    if primary:
        resource.promote(primary)
    return resource


def cut(resource: Resource) -> None:
    resource.lose(A)
    resource.lose(B)


def frozen() -> Resource:
    """A is Primary and alone; write 1 waits for the peer, write 2 came after the freeze."""
    resource = connected()
    resource.write(A, 1, path_works=False)
    cut(resource)
    resource.write(A, 2, path_works=False)
    return resource


def test_a_primary_that_loses_its_peer_freezes_and_asks() -> None:
    resource = connected()
    asked: list[str] = []
    resource.on_fence = asked.append
    resource.write(A, 1, path_works=False)
    before = resource.side(A).meta.current
    assert resource.lose(A) == ()
    assert resource.write(A, 2, path_works=True) is Written.PENDING
    facts = resource.facts(A)
    assert facts is not None
    assert facts.suspended
    assert asked == [A]
    assert resource.side(A).meta.current == before
    assert resource.side(A).data == {1}, "what comes while frozen is not even on the own disk"


def test_a_secondary_that_loses_its_peer_asks_nobody() -> None:
    resource = connected()
    cut(resource)
    assert resource.side(B).asked is None
    assert not resource.side(B).suspended


@pytest.mark.parametrize(
    ("code", "peer_disk"),
    [
        (FENCED, Disk.OUTDATED),
        (OUTDATED, Disk.OUTDATED),
        (UNREACHABLE, Disk.OUTDATED),
        (INCONSISTENT, Disk.INCONSISTENT),
    ],
)
def test_an_answer_about_the_peer_lets_the_writes_go(code: int, peer_disk: Disk) -> None:
    resource = frozen()
    before = resource.side(A).meta.current
    assert resource.fenced(A, code) == Answered(LetGo(acknowledged=(1, 2)))
    side = resource.side(A)
    assert (side.suspended, side.peer_disk, side.data) == (False, peer_disk, {1, 2})
    assert side.meta.bitmap == before
    assert resource.write(A, 3, path_works=False) is Written.ACKNOWLEDGED


@pytest.mark.parametrize("code", [NO_VERDICT, ACTIVE, 137])
def test_without_a_verdict_everything_stays_as_it_is(code: int) -> None:
    resource = frozen()
    assert resource.fenced(A, code) == Answered()
    side = resource.side(A)
    assert (side.suspended, side.disk, side.peer_disk) == (True, Disk.UP_TO_DATE, Disk.UNKNOWN)
    assert side.asked is None


@pytest.mark.parametrize("code", [None, NO_VERDICT])
def test_a_command_lets_the_writes_go_and_marks_nothing(code: int | None) -> None:
    resource = frozen()
    if code is not None:
        resource.fenced(A, code)
    assert resource.resume(A) == LetGo(acknowledged=(1, 2))
    side = resource.side(A)
    assert (side.suspended, side.peer_disk) == (False, Disk.UNKNOWN)
    assert side.meta.bitmap
    assert resource.resume(A) == LetGo()


def test_a_connection_that_comes_back_ends_the_freeze_and_the_peer_gets_the_writes() -> None:
    resource = frozen()
    assert resource.resume_pending(A) == ()
    resource.connect()
    assert resource.resume_pending(A) == (1, 2)
    assert resource.side(B).data == {1, 2}
    assert resource.fenced(A, FENCED) == Answered()
    assert resource.side(A).peer_disk is Disk.UP_TO_DATE, "an answer that came late is ignored"


def test_the_loser_ends_its_writes_with_errors_and_comes_back_as_target() -> None:
    resource = frozen()
    resource.fenced(A, NO_VERDICT)
    assert resource.promote(B) is NEEDS_FENCE
    assert isinstance(resource.fenced(B, FENCED).promoted, Done)
    resource.write(B, 3, path_works=False)
    resource.detach(A)
    assert resource.resume(A) == LetGo(failed=(1, 2))
    resource.demote(A)
    resource.take_down(A)
    resource.bring_up(A)
    assert resource.side(A).disk is Disk.CONSISTENT
    resource.connect()
    assert resource.side(A).connection is Connection.SYNC_TARGET
    resource.finish_resync()
    assert resource.side(A).data == {3}


def test_a_frozen_primary_whose_peer_took_over_stays_apart_and_frozen() -> None:
    resource = frozen()
    resource.fenced(A, NO_VERDICT)
    resource.promote(B)
    resource.fenced(B, FENCED)
    resource.connect()
    side = resource.side(A)
    assert (side.connection, side.suspended) == (Connection.STAND_ALONE, True)
    assert side.asked is Asked.LOSS, "the end of every attempt asks again"
    assert resource.side(B).peer_disk is Disk.OUTDATED
    assert resource.side(B).asked is None


@pytest.mark.parametrize(
    ("code", "after"), [(FENCED, Disk.UP_TO_DATE), (NO_VERDICT, Disk.CONSISTENT)]
)
def test_after_a_power_cut_only_who_had_the_answer_trusts_its_copy(code: int, after: Disk) -> None:
    resource = frozen()
    resource.fenced(A, code)
    resource.crash(A)
    assert resource.fenced(A, FENCED) == Answered()
    resource.bring_up(A)
    assert resource.side(A).disk is after
    assert (resource.promote(A) is NEEDS_FENCE) is (after is Disk.CONSISTENT)


def test_writes_that_went_by_command_leave_a_copy_that_asks_after_a_power_cut() -> None:
    resource = frozen()
    resource.resume(A)
    resource.crash(A)
    resource.bring_up(A)
    assert resource.side(A).disk is Disk.CONSISTENT
    assert resource.promote(A) is NEEDS_FENCE
    assert isinstance(resource.fenced(A, FENCED).promoted, Done)
    assert resource.visible(A) == {1, 2}


@pytest.mark.parametrize("code", [FENCED, OUTDATED, UNREACHABLE])
def test_a_copy_without_its_peer_is_promoted_once_the_handler_is_sure(code: int) -> None:
    resource = connected(primary="")
    cut(resource)
    assert resource.promote(B) is NEEDS_FENCE
    assert isinstance(resource.promote(B), Unknown)
    assert isinstance(resource.fenced(B, code).promoted, Done)
    side = resource.side(B)
    assert (side.role, side.peer_disk) == (Role.PRIMARY, Disk.OUTDATED)


def test_a_promotion_without_a_verdict_asks_several_times_and_is_refused() -> None:
    resource = connected(primary="")
    cut(resource)
    asked: list[str] = []
    resource.on_fence = asked.append
    resource.promote(B)
    answers = [resource.fenced(B, NO_VERDICT).promoted for _ in range(PROMOTION_TRIES)]
    assert answers[:-1] == [None] * (PROMOTION_TRIES - 1)
    assert isinstance(answers[-1], Refused)
    assert asked == [B] * PROMOTION_TRIES
    assert resource.side(B).role is Role.SECONDARY


def test_an_active_peer_outdates_the_copy_that_wanted_to_be_promoted() -> None:
    resource = connected()
    cut(resource)
    resource.promote(B)
    assert isinstance(resource.fenced(B, ACTIVE).promoted, Refused)
    assert resource.side(B).disk is Disk.OUTDATED
    assert isinstance(resource.promote(B), Refused), "nobody is asked any more"


def test_a_peer_that_may_be_down_is_not_enough_for_a_copy_of_unknown_age() -> None:
    resource = frozen()
    resource.crash(A)
    resource.bring_up(A)
    resource.promote(A)
    assert resource.fenced(A, UNREACHABLE).promoted is None
    assert resource.side(A).asked is Asked.PROMOTION


def test_no_connection_is_made_while_a_promotion_waits() -> None:
    resource = connected(primary="")
    cut(resource)
    resource.promote(B)
    resource.connect()
    assert not resource.linked
    for _ in range(PROMOTION_TRIES):
        resource.fenced(B, NO_VERDICT)
    resource.connect()
    assert resource.linked


def test_a_diskless_primary_does_not_freeze() -> None:
    resource = connected()
    resource.detach(A)
    cut(resource)
    assert not resource.side(A).suspended
    assert resource.write(A, 1, path_works=False) is Written.FAILED


def test_a_peer_that_is_known_to_be_behind_freezes_nothing() -> None:
    resource = frozen()
    resource.fenced(A, FENCED)
    resource.connect()
    assert resource.side(A).connection is Connection.SYNC_SOURCE
    cut(resource)
    assert not resource.side(A).suspended
    assert resource.write(A, 3, path_works=False) is Written.ACKNOWLEDGED


def test_a_resource_that_goes_down_forgets_what_waited() -> None:
    resource = frozen()
    resource.take_down(A)
    resource.bring_up(A)
    assert not resource.side(A).suspended
    assert resource.fenced(A, FENCED) == Answered()
