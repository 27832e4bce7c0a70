"""A copy that was written behind DRBD: found, never used as it is, made one with the peer's."""

from dataclasses import replace

import pytest

from hapair.core import explain
from hapair.core.copies import doubts
from hapair.core.words.effects import Do, Reply, Store
from hapair.core.words.events import ConfirmCopy, Form, Leave
from hapair.core.words.stored import Stored
from hapair.model.backing import ForeignWrites, Trust
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Foreign, Refused, Unknown
from tests.core.bench import HEALTHY, NAME, PEER, RESOURCE, Bench, facts

WHAT = "vg/data: it was written since DRBD let it go"
FOUND = Stored(foreign=(ForeignWrites(RESOURCE, WHAT),))


def written() -> Bench:
    """Return a halted node whose volume was written behind DRBD, which nobody knows yet."""
    bench = Bench()
    bench.outcomes[Do.BRING_UP] = Foreign(WHAT)
    return bench


def alarm(bench: Bench, name: str = "written-behind") -> str:
    found = [a for a in explain.alarms(bench.state) if a.name == name]
    return found[0].text if found else ""


def trust(bench: Bench) -> Trust | None:
    found = bench.state.stored.foreign_to.get(RESOURCE)
    return found.trust if found is not None else None


def test_it_is_stored_before_anything_is_done_about_it_and_told_once() -> None:
    bench = written()
    bench.command(Form())
    stores = [e.stored.foreign for e in bench.effects if isinstance(e, Store)]
    assert stores[-1] == FOUND.foreign
    assert bench.notes().count("written-behind") == 1
    assert WHAT in alarm(bench)
    assert RESOURCE in doubts.never_promoted(bench.state)
    assert not doubts.is_current(bench.state, RESOURCE)
    assert bench.peer_hears_behind() == (RESOURCE,)


def test_it_waits_for_a_current_copy_of_the_peer_which_then_replaces_all_of_it() -> None:
    bench = written()
    bench.attached = facts(disk=Disk.INCONSISTENT, connection=Connection.SYNC_TARGET)
    bench.together_with(current=False)
    bench.wait(20.0)
    assert Do.BRING_UP_ANEW not in bench.acts()
    bench.peer_has(current=True)
    bench.wait(20.0)
    assert bench.acts().count(Do.BRING_UP_ANEW) == 1
    assert trust(bench) is Trust.ANEW
    assert f"all of it comes from {PEER}" in alarm(bench)
    assert RESOURCE not in doubts.never_promoted(bench.state)
    bench.data(HEALTHY)
    assert trust(bench) is None
    assert alarm(bench) == ""
    assert doubts.is_current(bench.state, RESOURCE)


def test_one_volume_is_replaced_although_another_one_of_the_peer_is_not_current() -> None:
    """Copies of different volumes were written on both nodes: each has what the other one lacks."""
    bench = written()
    bench.attached = facts(disk=Disk.INCONSISTENT, connection=Connection.SYNC_TARGET)
    bench.together_with(current=False)
    bench.wait(20.0)
    assert Do.BRING_UP_ANEW not in bench.acts()
    bench.outcomes[Do.BRING_UP_ANEW] = Refused("the mount on /mnt has it")
    bench.peer_says(partly_current=(RESOURCE,))
    bench.wait(20.0)
    assert Do.BRING_UP_ANEW in bench.acts()
    refused = confirmed(bench)
    assert not refused.accepted
    assert "is completed from it by itself" in refused.text


def made_anew(*seen: VolumeFacts) -> Bench:
    """Return a node whose copy was made anew, as its kernel told of it so far."""
    bench = Bench(stored=Stored(foreign=(ForeignWrites(RESOURCE, WHAT, Trust.ANEW),)))
    bench.attached = seen[0]
    bench.command(Form())
    for each in seen:
        bench.data(each)
    return bench


TARGET = facts(disk=Disk.INCONSISTENT, connection=Connection.SYNC_TARGET)
COMPLETED = facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN)


def test_a_resync_that_was_seen_to_end_makes_it_good_although_the_connection_ended_first() -> None:
    assert made_anew(TARGET, COMPLETED).state.stored.foreign == ()
    unseen = made_anew(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    assert trust(unseen) is Trust.ANEW, "nobody saw that it was incomplete: the word may be old"
    gone = made_anew(TARGET, replace(COMPLETED, disk=Disk.DISKLESS))
    assert trust(gone) is Trust.ANEW


def test_a_person_can_say_so_where_nobody_saw_the_end_of_the_resync() -> None:
    """Otherwise the mark would stay, with nothing to be confirmed and nothing that runs."""
    bench = made_anew(replace(COMPLETED, disk=Disk.CONSISTENT))
    assert confirmed(bench).accepted
    assert bench.state.stored.foreign == ()
    incomplete = made_anew(TARGET)
    assert not confirmed(incomplete).accepted
    assert trust(incomplete) is Trust.ANEW


def test_what_counts_as_empty_is_attached_as_usual() -> None:
    bench = Bench(stored=Stored(foreign=(ForeignWrites(RESOURCE, WHAT, Trust.ANEW),)))
    bench.attached = facts(disk=Disk.INCONSISTENT, connection=Connection.CONNECTING)
    bench.command(Form())
    assert Do.BRING_UP in bench.acts()
    assert trust(bench) is Trust.ANEW


def test_what_is_written_again_while_it_counts_as_empty_is_told_again() -> None:
    bench = Bench(stored=Stored(foreign=(ForeignWrites(RESOURCE, "before", Trust.ANEW),)))
    bench.outcomes[Do.BRING_UP] = Foreign(WHAT)
    bench.command(Form())
    assert bench.state.stored.foreign == FOUND.foreign
    assert "written-behind" in bench.notes()


@pytest.mark.parametrize("outcome", [Refused("the mount on /mnt has it"), Unknown("no answer")])
def test_a_copy_that_cannot_be_made_anew_is_tried_again(outcome: Refused | Unknown) -> None:
    bench = Bench(stored=FOUND)
    bench.outcomes[Do.BRING_UP_ANEW] = outcome
    bench.together()
    bench.wait(20.0)
    assert bench.acts().count(Do.BRING_UP_ANEW) > 2
    assert trust(bench) is Trust.NOBODY_KNOWS
    assert Do.BRING_UP not in bench.acts()
    del bench.outcomes[Do.BRING_UP_ANEW]
    bench.wait(40.0)
    assert trust(bench) is None


def test_what_was_attached_by_hand_is_taken_down_first() -> None:
    bench = Bench(stored=FOUND)
    bench.together_with(current=False)
    assert Do.TAKE_DOWN not in bench.acts()
    bench.data(facts(connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN))
    assert Do.TAKE_DOWN in bench.acts()
    assert RESOURCE not in bench.kernel
    assert trust(bench) is Trust.NOBODY_KNOWS


def test_what_runs_from_it_is_left_alone() -> None:
    bench = Bench()
    bench.running()
    bench.state = replace(bench.state, stored=replace(bench.state.stored, foreign=FOUND.foreign))
    bench.wait(5.0)
    assert Do.TAKE_DOWN not in bench.acts()
    assert bench.state.facts[RESOURCE].role is Role.PRIMARY
    assert trust(bench) is Trust.NOBODY_KNOWS, "that the copies are connected proves nothing"


def confirmed(bench: Bench, application: str = NAME) -> Reply:
    reply = bench.command(ConfirmCopy(application))
    assert reply is not None
    return reply


def test_a_person_says_that_it_is_good() -> None:
    bench = Bench(stored=FOUND)
    bench.attached = facts(
        disk=Disk.CONSISTENT, connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN
    )
    bench.deaf = {Do.BRING_UP_AS_IT_IS}
    bench.together_with(current=False)
    assert confirmed(bench).accepted
    assert trust(bench) is Trust.AS_IT_IS
    assert "a person said that it is good" in alarm(bench)
    assert bench.acts().count(Do.BRING_UP_AS_IT_IS) == 1
    refused = confirmed(bench)
    assert not refused.accepted
    assert "is known to have been written" in refused.text


def unprovable(stored: Stored, *, waited_s: float = 12.0) -> Bench:
    """Return a node whose copy may miss writes, together with one whose copy was written."""
    bench = Bench(stored=replace(stored, unproven=(RESOURCE, "mail.data")))
    bench.attached = facts(
        disk=Disk.CONSISTENT, connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN
    )
    bench.deaf = {Do.BRING_UP_AS_IT_IS}
    bench.together_with(current=False)
    bench.peer_says(behind=(RESOURCE,))
    bench.wait(waited_s)
    return bench


@pytest.mark.parametrize("stored", [Stored(), FOUND], ids=["untouched", "written as well"])
def test_a_person_says_that_a_copy_misses_nothing_that_no_connection_will_prove(
    stored: Stored,
) -> None:
    """After a loss of power of both: without an end nothing would run ever again."""
    bench = unprovable(stored)
    assert (alarm(bench, "unproven-copy") != "") is (not stored.foreign)
    assert confirmed(bench).accepted
    assert bench.state.stored.unproven == ("mail.data",)
    assert alarm(bench, "unproven-copy") == ""


def test_a_copy_that_may_meet_the_peers_is_not_decided_about() -> None:
    early = unprovable(Stored(), waited_s=1.0)
    assert not confirmed(early).accepted
    assert alarm(early, "unproven-copy") == ""
    silent = Bench(stored=replace(FOUND, unproven=(RESOURCE,)))
    silent.deaf = {Do.BRING_UP_AS_IT_IS}
    silent.command(Form())
    assert confirmed(silent).accepted
    assert silent.state.stored.unproven == (RESOURCE,)
    proven = unprovable(Stored())
    proven.data(HEALTHY)
    assert not confirmed(proven).accepted


def test_what_a_person_said_is_void_when_the_peer_comes_with_a_current_copy_before() -> None:
    """Something held the volume when it was said; the peer ran meanwhile, or was never behind."""
    bench = Bench(stored=FOUND)
    bench.attached = facts(disk=Disk.INCONSISTENT, connection=Connection.SYNC_TARGET)
    bench.outcomes[Do.BRING_UP_AS_IT_IS] = Refused("the mount on /mnt has it")
    bench.together_with(current=False)
    assert confirmed(bench).accepted
    bench.peer_has(current=True)
    bench.wait(40.0)
    assert trust(bench) is Trust.ANEW
    assert bench.acts()[-1] is not Do.BRING_UP_AS_IT_IS


def test_it_is_as_good_as_any_other_when_it_is_attached_as_it_is() -> None:
    bench = Bench(stored=FOUND)
    bench.attached = facts(
        disk=Disk.CONSISTENT, connection=Connection.CONNECTING, peer_disk=Disk.UNKNOWN
    )
    bench.together_with(current=False)
    assert confirmed(bench).accepted
    assert Do.BRING_UP_AS_IT_IS in bench.acts()
    assert bench.state.stored.foreign == ()


def test_nobody_need_decide_while_the_peer_has_a_current_copy() -> None:
    bench = Bench(stored=FOUND)
    bench.deaf = {Do.BRING_UP_ANEW}
    bench.together()
    refused = confirmed(bench)
    assert not refused.accepted
    assert "by itself" in refused.text
    assert not confirmed(bench, "unknown").accepted


def test_the_lack_is_told_where_the_application_is_lost() -> None:
    bench = Bench()
    bench.together()
    bench.peer_says(records=())
    bench.command(Leave(handover=True))
    assert explain._lack(replace(bench.state, stored=FOUND), NAME) == "was written behind DRBD"  # noqa: SLF001
