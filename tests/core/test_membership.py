"""Together, cut, alone: who may act, and what is stored before that."""

from dataclasses import replace

import pytest

from hapair.core import explain
from hapair.core.right import hearing
from hapair.core.words.effects import Do, Note, ProbeReferences, Publish, SetBeat, Severity, Store
from hapair.core.words.events import (
    Commanded,
    ConfirmPeerDown,
    Form,
    Leave,
    LinkChanged,
    ReferencesProbed,
    Start,
    Tick,
)
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.status import Phase, Standing, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.sim.settings import application

SEPARATED = facts(connection=Connection.CONNECTING)
MEMBER = Stored(formed=True, formed_boot_id="boot1", joined_boot_id="boot1", epoch=3)


def test_after_a_boot_a_node_is_halted_and_forgets_that_it_was_formed() -> None:
    bench = Bench(stored=replace(MEMBER, formed_boot_id="boot0"))
    assert bench.stands(Standing.HALTED)
    assert not bench.state.stored.formed


@pytest.mark.parametrize(
    ("stored", "standing"),
    [
        (MEMBER, Standing.CUT),
        (replace(MEMBER, holds_right=True), Standing.ALONE),
        (replace(MEMBER, joined_boot_id=""), Standing.FORMING),
    ],
)
def test_after_a_crash_of_the_daemon_the_node_goes_on_where_it_was(
    stored: Stored, standing: Standing
) -> None:
    assert Bench(stored=stored).stands(standing)


def test_the_nodes_are_together_when_each_has_accepted_the_other() -> None:
    bench = Bench()
    bench.command(Form())
    bench.hear()
    bench.peer_says(standing=Standing.FORMING)
    assert bench.stands(Standing.FORMING)
    assert bench.state.accepted == bench.peer.incarnation
    bench.peer_says(accepted=1)
    assert bench.stands(Standing.TOGETHER)
    assert "together" in bench.notes()


def test_the_right_is_given_up_on_disk_before_the_peer_reads_that_it_was_accepted() -> None:
    bench = Bench(stored=replace(MEMBER, holds_right=True))
    bench.hear()
    bench.forget_effects()
    bench.peer_says(accepted=1, epoch=3)
    given = [type(e) for e in bench.effects if isinstance(e, Store | Publish)]
    assert given[:2] == [Store, Publish]
    assert bench.stands(Standing.TOGETHER)
    assert not bench.state.stored.holds_right


def test_the_side_with_the_right_accepts_last() -> None:
    bench = Bench(stored=replace(MEMBER, holds_right=True))
    bench.hear()
    bench.peer_says(epoch=3)
    assert bench.stands(Standing.ALONE)
    assert bench.state.accepted == 0


@pytest.mark.parametrize(("epoch", "accepts"), [(3, False), (4, True)])
def test_of_two_rights_the_newer_one_is_kept(*, epoch: int, accepts: bool) -> None:
    """With equal epochs, which only two grants at once can bring, the first node keeps it."""
    bench = Bench(stored=replace(MEMBER, holds_right=True))
    bench.hear()
    bench.peer_says(epoch=epoch, holds_right=True, standing=Standing.ALONE)
    assert (bench.state.accepted == 7) is accepts
    assert bench.stands(Standing.ALONE) or accepts


def test_a_peer_that_still_holds_its_right_is_accepted_but_not_yet_together() -> None:
    bench = Bench(stored=MEMBER)
    bench.hear()
    bench.peer_says(epoch=5, holds_right=True, accepted=1, standing=Standing.ALONE)
    assert bench.stands(Standing.CUT)
    bench.peer_says(holds_right=False)
    assert bench.stands(Standing.TOGETHER)
    assert bench.state.stored.epoch == 5


def test_copies_are_doubted_when_the_peer_acted_alone_meanwhile() -> None:
    bench = Bench(stored=MEMBER)
    bench.data(facts(connection=Connection.CONNECTING))
    bench.hear()
    bench.peer_says(epoch=5, accepted=1)
    assert bench.state.stored.unproven == (RESOURCE,)
    bench.data(facts())
    assert not bench.state.stored.unproven


def test_an_older_incarnation_of_the_peer_is_not_listened_to() -> None:
    bench = Bench()
    bench.together()
    known = bench.state.peer
    bench.hear(incarnation=6)
    old = replace(bench.peer, incarnation=6, epoch=9)
    bench.peer, newest = old, bench.peer
    bench.peer_says()
    assert bench.state.peer == known
    assert newest == known.state


def test_a_new_daemon_of_the_peer_is_agreed_with_anew() -> None:
    bench = Bench()
    bench.together()
    bench.hear(incarnation=8)
    bench.wait(0.5, hearing=False)
    assert bench.stands(Standing.CUT)
    assert "peer-restarted" in bench.notes()
    bench.peer_says(incarnation=9, accepted=1)
    bench.hear()
    assert bench.stands(Standing.TOGETHER)


def test_a_heartbeat_says_whether_the_peer_is_heard_just_now() -> None:
    bench = Bench()
    bench.together()
    assert bench.state.beaten is not None
    assert bench.state.beaten.echo == bench.peer.incarnation
    bench.wait(2.5, hearing=False)
    assert bench.state.beaten.echo == 0


def test_a_peer_that_no_longer_hears_this_node_is_not_heard_but_believed_about_itself() -> None:
    bench = Bench()
    bench.together()
    for _ in range(6):
        bench.wait(0.5, hearing=False)
        bench.hear(echo=0, standing=Standing.ALONE, epoch=5)
    assert bench.stands(Standing.CUT)
    assert hearing.peer_alive(bench.state)
    assert hearing.superseded(bench.state)


def test_a_beat_that_does_not_echo_this_node_proves_only_that_the_peer_lives() -> None:
    bench = Bench()
    bench.together()
    for _ in range(6):
        bench.wait(0.5, hearing=False)
        bench.hear(echo=0)
    assert bench.stands(Standing.CUT)
    assert bench.state.reasons["arbitration"] == "peer-alive"


def test_a_peer_that_withdraws_its_agreement_is_cut() -> None:
    bench = Bench()
    bench.together()
    bench.peer_says(accepted=0, standing=Standing.CUT)
    assert bench.stands(Standing.CUT)
    assert "peer-withdrew" in bench.notes()


def test_references_are_asked_before_the_detection_time_is_over() -> None:
    bench = Bench()
    bench.together()
    bench.forget_effects()
    bench.wait(1.6, hearing=False)
    assert bench.stands(Standing.TOGETHER)
    assert sum(isinstance(e, ProbeReferences) for e in bench.effects) == 1


def test_without_reference_addresses_nobody_is_asked() -> None:
    what = built()
    public, private = what.cluster.networks
    networks = (replace(public, reference=None), private)
    bench = Bench(replace(what, cluster=replace(what.cluster, networks=networks)))
    bench.together()
    bench.wait(1.6, hearing=False)
    assert not any(isinstance(e, ProbeReferences) for e in bench.effects)


def test_silence_on_all_paths_grants_a_new_epoch_that_is_stored_first() -> None:
    bench = Bench()
    bench.running()
    bench.forget_effects()
    bench.alone()
    assert bench.state.stored.epoch == 1
    first = next(e for e in bench.effects if isinstance(e, Store) and e.stored.holds_right)
    beat = next(e for e in bench.effects if isinstance(e, SetBeat) and e.beat.epoch == 1)
    assert bench.effects.index(first) < bench.effects.index(beat)
    assert bench.notes()[:3] == ["detected", "paths-agree", "granted"]


def test_who_hears_neither_peer_nor_reference_stops_what_runs() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    bench.references_answer = lambda: ReferencesProbed(bench.now_s, ())  # type: ignore[method-assign]
    bench.wait(12.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.isolated
    assert not bench.up
    bench.references_answer = lambda: ReferencesProbed(bench.now_s, ("public",))  # type: ignore[method-assign]
    bench.wait(2.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert ("program", NAME, "") in bench.up


def test_an_own_card_without_link_grants_nothing_but_calls_a_person() -> None:
    bench = Bench()
    bench.together()
    bench.data(facts(connection=Connection.CONNECTING))
    bench.do(LinkChanged(bench.now_s, "public", up=False))
    bench.wait(4.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.reasons["arbitration"] == "own-link-down"
    alarms = [e for e in bench.effects if isinstance(e, Note) and e.severity is Severity.ALARM]
    assert "own-link-down" in [alarm.name for alarm in alarms]


class Cutoff(Bench):
    """Its reference addresses stop answering when a test says so."""

    answering: tuple[str, ...] = ("public",)

    def references_answer(self) -> ReferencesProbed:
        return ReferencesProbed(self.now_s, self.answering)


def test_what_a_reference_answered_long_ago_grants_nothing_when_a_link_comes_back() -> None:
    bench = Cutoff()
    bench.together()
    bench.data(facts(connection=Connection.CONNECTING))
    bench.do(LinkChanged(bench.now_s, "public", up=False))
    bench.wait(60.0, hearing=False)
    assert bench.state.reasons["arbitration"] == "own-link-down"
    assert bench.notes().count("own-link-down") == 1
    bench.answering = ()
    bench.wait(20.0, hearing=False)
    bench.do(LinkChanged(bench.now_s, "public", up=True))
    bench.wait(20.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.isolated


def test_what_a_reference_answered_long_ago_grants_nothing_when_the_kernel_falls_silent() -> None:
    bench = Cutoff()
    bench.running()
    bench.wait(60.0, hearing=False)
    assert bench.state.reasons["arbitration"] == "kernel-answers"
    bench.answering = ()
    bench.wait(20.0, hearing=False)
    bench.disconnect()
    bench.wait(20.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.isolated


def test_a_confirmation_does_not_outlive_a_sign_of_life() -> None:
    bench = Bench(stored=MEMBER, attached=SEPARATED)
    bench.do(Commanded(bench.now_s, 1, ConfirmPeerDown()))
    assert bench.state.confirmed
    bench.hear("public", echo=0)
    assert not bench.state.confirmed


def test_a_lonely_node_calls_a_person_when_its_copy_is_too_old_to_go_on() -> None:
    stored = replace(MEMBER, holds_right=True, behind=(RESOURCE,), records=(record(PEER),))
    bench = Bench(stored=stored, attached=SEPARATED)
    bench.wait(1.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    found = {alarm.name: alarm for alarm in explain.alarms(bench.state)}
    assert "misses writes" in found["stale-data"].text
    assert found["stale-data"].application == NAME


def test_a_daemon_that_stood_still_asks_its_peer_before_it_acts() -> None:
    bench = Bench()
    bench.running()
    bench.do(Tick(bench.now_s + 60.0))
    assert bench.stands(Standing.CUT)
    assert "paused" in bench.notes()
    bench.disconnect()
    bench.wait(5.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert bench.state.reasons["arbitration"] == "never-joined"
    assert bench.state.reasons[f"{NAME}/goal"] == "not-agreed"


def test_a_pause_changes_nothing_on_a_node_that_is_halted_or_alone() -> None:
    halted = Bench()
    halted.do(Tick(halted.now_s + 60.0))
    assert halted.stands(Standing.HALTED)
    alone = Bench(stored=replace(MEMBER, holds_right=True))
    alone.do(Tick(alone.now_s + 60.0))
    assert alone.stands(Standing.ALONE)
    assert alone.state.stored.joined_boot_id == "boot1"


def test_a_peer_that_left_in_order_leaves_the_right() -> None:
    bench = Bench()
    bench.running()
    bench.peer_says(left=True, standing=Standing.LEAVING, epoch=2)
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.holds_right
    assert bench.state.stored.epoch == 3
    assert not bench.state.stored.unproven


def test_a_right_is_inherited_once() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.peer_says(left=True, standing=Standing.LEAVING)
    bench.command(Leave(handover=True))
    bench.wait(1.0)
    assert bench.stands(Standing.LEAVING)
    assert bench.state.stored.epoch == 1


def test_the_right_of_a_peer_that_was_out_of_sight_comes_with_doubts() -> None:
    bench = Bench(stored=MEMBER)
    bench.data(facts(connection=Connection.CONNECTING))
    bench.hear()
    bench.peer_says(left=True, standing=Standing.HALTED, epoch=30)
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.unproven == (RESOURCE,)


def test_a_peer_that_left_in_no_newer_epoch_wrote_nothing_alone() -> None:
    bench = Bench(stored=MEMBER)
    bench.data(facts(connection=Connection.CONNECTING))
    bench.hear()
    bench.peer_says(left=True, standing=Standing.HALTED)
    assert bench.stands(Standing.ALONE)
    assert not bench.state.stored.unproven


def test_a_right_that_the_leaving_peer_holds_itself_is_not_inherited() -> None:
    bench = Bench(stored=MEMBER)
    bench.hear()
    bench.peer_says(left=True, standing=Standing.LEAVING, holds_right=True)
    assert bench.stands(Standing.CUT)


def test_the_last_of_two_leaving_nodes_takes_the_right_with_it() -> None:
    bench = Bench()
    bench.together()
    bench.command(Leave(handover=False, last=True))
    assert bench.stands(Standing.LEAVING)
    bench.peer_says(left=True, standing=Standing.LEAVING)
    bench.wait(0.5)
    assert bench.stands(Standing.HALTED)
    assert bench.state.stored.holds_right


def test_a_leaving_node_takes_no_right_from_a_peer_that_was_started_anew() -> None:
    """That one left nothing behind: it may ask the witness, which knows of no epoch of ours."""
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Leave(handover=False, last=True))
    anew = bench.state.accepted + 1
    bench.hear(incarnation=anew)
    bench.peer_says(incarnation=anew, left=True, standing=Standing.HALTED, accepted=0)
    assert bench.stands(Standing.LEAVING)
    assert not bench.state.stored.holds_right


def test_forming_alone_needs_a_right_or_a_person() -> None:
    bench = Bench(attached=SEPARATED)
    bench.command(Form(timeout_s=5.0))
    bench.wait(6.0, hearing=False)
    assert bench.stands(Standing.FORMING)
    assert bench.replies()[-1][0] is False
    bench.command(ConfirmPeerDown())
    assert bench.stands(Standing.ALONE)
    assert not bench.state.stored.unproven


def test_forming_alone_with_the_right_of_last_time_needs_nobody() -> None:
    bench = Bench(stored=Stored(holds_right=True, epoch=5), attached=SEPARATED)
    bench.command(Form(timeout_s=5.0))
    bench.wait(6.0, hearing=False)
    assert bench.stands(Standing.ALONE)
    assert bench.state.stored.epoch == 6
    assert bench.replies() == [(True, "node1 is alone")]


def test_a_boot_does_not_join_a_running_cluster_when_it_is_told_not_to() -> None:
    bench = Bench()
    bench.command(Form(start=Start.BY_BOOT, join_existing_cluster=False))
    bench.peer_says(standing=Standing.ALONE, epoch=2)
    assert bench.stands(Standing.HALTED)
    assert "not-joining" in bench.notes()


def test_two_owners_are_told_once_and_the_first_node_goes_on() -> None:
    bench = Bench()
    bench.running()
    theirs = replace(bench.record, owner=PEER)
    bench.peer_says(records=(theirs,))
    bench.peer_says(records=(theirs,), epoch=0)
    assert bench.record.owner == ME
    assert bench.notes().count("two-owners") == 1
    assert "two-owners" in [alarm.name for alarm in explain.alarms(bench.state)]
    bench.peer_says(records=(bench.record,))
    assert "two-owners" not in [alarm.name for alarm in explain.alarms(bench.state)]
    assert bench.notes().count("one-owner") == 1


def test_of_two_owners_the_second_node_gives_way() -> None:
    what = built()
    swapped = replace(what, cluster=replace(what.cluster, nodes=(PEER, ME)))
    bench = Bench(swapped, stored=replace(MEMBER, records=(record(ME),)))
    bench.peer_says(records=(record(PEER),))
    assert bench.record.owner == PEER


def test_the_record_with_the_higher_version_wins() -> None:
    bench = Bench(stored=replace(MEMBER, records=(record(ME),)))
    newer = replace(record(PEER), version=replace(record().version, serial=2))
    bench.peer_says(records=(newer,))
    assert bench.record == newer
    bench.peer_says(records=(record(ME),))
    assert bench.record == newer


def test_a_peer_alone_in_a_newer_epoch_stops_what_runs_here() -> None:
    bench = Bench()
    bench.running()
    bench.hear(standing=Standing.ALONE, epoch=9)
    assert ("program", NAME, "") not in bench.up
    assert "superseded" in bench.notes()


def test_a_survivor_takes_over_what_the_peer_ran() -> None:
    bench = Bench(built(application(NAME), application("web", volumes=0)))
    bench.together()
    theirs = record(PEER)
    bench.peer_says(records=(theirs, replace(theirs, application="web", wanted=Wanted.DOWN)))
    bench.peer_has(Phase.RUNNING)
    bench.alone()
    assert bench.record.owner == ME
    assert bench.record.version.epoch == bench.state.stored.epoch
    assert ("program", NAME, "") in bench.up
    assert ("program", "web", "") not in bench.up
    assert "decided" in bench.notes()


@pytest.mark.parametrize(
    "attached",
    [
        pytest.param(facts(disk=Disk.OUTDATED), id="an old copy"),
        pytest.param(facts(peer_role=Role.PRIMARY), id="a Primary peer"),
    ],
)
def test_what_cannot_be_run_safely_is_not_taken_over(attached: VolumeFacts) -> None:
    stored = replace(MEMBER, holds_right=True, records=(record(PEER),))
    bench = Bench(stored=stored, attached=attached)
    bench.wait(2.0, hearing=False)
    assert bench.record.owner == PEER
    assert Do.PROMOTE not in bench.acts()


def test_an_operator_cluster_waits_for_the_operator() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.running()
    bench.disconnect()
    bench.wait(30.0, hearing=False)
    assert bench.stands(Standing.CUT)
    assert ("program", NAME, "") in bench.up
    bench.command(ConfirmPeerDown())
    assert bench.stands(Standing.ALONE)


def test_what_was_said_before_a_node_stood_still_does_not_last() -> None:
    """The peer acts alone in a newer epoch; an old state of it was read first."""
    bench = Bench()
    bench.running()
    bench.peer_says(epoch=2, accepted=0)
    assert bench.stands(Standing.CUT)
    assert bench.state.stored.epoch == 2
    bench.peer_says(accepted=bench.state.incarnation)
    assert bench.stands(Standing.TOGETHER)
