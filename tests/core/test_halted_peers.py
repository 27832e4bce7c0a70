"""A peer that was halted while it was cut off: its copies are down, and it may have written."""

from dataclasses import replace

import pytest

from hapair.core import explain
from hapair.core.words.effects import Act, Do, Publish, Store
from hapair.core.words.events import ConfirmCopy, ConfirmPeerDown, Ended, Form, Leave, Tick
from hapair.core.words.stored import Stored
from hapair.model import timing
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection
from hapair.model.outcome import Done
from hapair.model.status import Standing, Wanted
from tests.core.bench import NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_membership import MEMBER, SEPARATED


def left_by() -> Bench:
    """The peer owned it, was silent for a while, and says that it has been halted meanwhile."""
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.together()
    bench.peer_says(records=(record(PEER, Wanted.UP),))
    bench.disconnect()
    bench.wait(5.0, hearing=False)
    assert bench.stands(Standing.CUT)
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    assert bench.stands(Standing.ALONE)
    return bench


def found(bench: Bench) -> dict[str, str]:
    return {alarm.name: alarm.text for alarm in explain.alarms(bench.state) if alarm.application}


def test_what_is_named_is_to_form_it() -> None:
    bench = left_by()
    assert bench.state.stored.unproven == (RESOURCE,)
    assert found(bench).keys() == {"unproven-copy"}
    assert f"{PEER} is halted; type there: clform" in found(bench)["unproven-copy"]
    refused = bench.command(ConfirmPeerDown())
    assert refused is not None
    assert not refused.accepted
    assert "type there: clform" in refused.text


def test_a_person_says_that_what_it_wrote_does_not_matter() -> None:
    bench = left_by()
    said = bench.command(ConfirmCopy(NAME))
    assert said is not None
    assert said.accepted
    assert bench.state.stored.unproven == ()
    assert bench.record.owner != PEER
    assert "unproven-copy" not in found(bench)


def test_once_its_machine_is_off_that_is_said_of_the_peer() -> None:
    bench = left_by()
    bench.wait(5.0, hearing=False)
    assert found(bench).keys() == {"stale-data"}
    said = bench.command(ConfirmPeerDown())
    assert said is not None
    assert said.accepted


# --- A node that is halted because it booted ---------------------------------------------------


def says_that_it_left(bench: Bench) -> bool:
    return [e.state for e in bench.effects if isinstance(e, Publish)][-1].left


def test_who_booted_leaves_all_to_a_peer_that_waits_and_is_bound_by_it() -> None:
    bench = Bench(stored=replace(MEMBER, formed_boot_id="boot0"))
    assert bench.stands(Standing.HALTED)
    assert not says_that_it_left(bench)
    bench.hear(standing=Standing.CUT)
    assert not bench.state.stored.ceded
    bench.peer_says(standing=Standing.CUT)
    bench.hear(standing=Standing.CUT)
    assert says_that_it_left(bench)
    stores = [e for e in bench.effects if isinstance(e, Store)]
    assert stores[-1].stored.ceded


@pytest.mark.parametrize("peer", [Standing.ALONE, Standing.LEAVING])
def test_nobody_leaves_anything_to_a_peer_that_acts_alone_or_leaves(peer: Standing) -> None:
    """Of two that have left everything to each other, none would go on without a person."""
    bench = Bench(stored=replace(MEMBER, formed_boot_id="boot0"))
    bench.hear(standing=peer)
    bench.peer_says(standing=peer)
    assert not bench.state.stored.ceded
    assert not says_that_it_left(bench)


def test_who_holds_the_right_is_bound_to_nothing() -> None:
    bench = Bench(stored=replace(MEMBER, formed_boot_id="boot0", holds_right=True))
    bench.hear(standing=Standing.CUT)
    bench.peer_says(standing=Standing.CUT)
    assert not bench.state.stored.ceded
    assert says_that_it_left(bench)


def test_what_belongs_to_this_node_by_the_word_of_such_a_peer_too_is_not_doubted() -> None:
    mine = record()
    bench = Bench(stored=replace(MEMBER, records=(mine,)))
    bench.data(facts(connection=Connection.CONNECTING))
    bench.hear()
    bench.peer_says(left=True, standing=Standing.HALTED, epoch=30, records=(mine,))
    assert bench.stands(Standing.ALONE)
    assert not bench.state.stored.unproven


@pytest.mark.parametrize("standing", [Standing.FORMING, Standing.HALTED])
@pytest.mark.parametrize(
    "leave", [Leave(handover=True, shutdown=True), Leave(handover=False, last=True)]
)
@pytest.mark.parametrize("kind", list(ArbitrationKind))
def test_who_leaves_waits_for_nobody_that_was_started_anew(
    kind: ArbitrationKind, leave: Leave, standing: Standing
) -> None:
    """A reboot that met one of the other node hung for twice the limit of a stop and a minute."""
    bench = Bench(built(kind=kind))
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(leave)
    (stop,) = [e for e in bench.effects if isinstance(e, Act) and e.do is Do.STOP_PROGRAM]
    bench.peer_says(incarnation=bench.peer.incarnation + 1, accepted=0, standing=standing)
    bench.wait(5.0)
    assert bench.stands(Standing.LEAVING), "its program is being stopped"
    bench.do(Ended(bench.now_s, stop.effect_id, Done()))
    bench.wait(1.0)
    assert bench.stands(Standing.HALTED)


def test_who_leaves_gives_a_peer_that_has_just_agreed_its_time() -> None:
    bench = Bench()
    bench.command(Form())
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation, standing=Standing.FORMING)
    assert bench.stands(Standing.TOGETHER)
    bench.command(Leave(handover=True))
    bench.wait(5.0)
    assert bench.stands(Standing.LEAVING), "it is about to take over"


def test_who_leaves_gives_its_peer_half_a_minute_whatever_the_limit_of_a_stop_is() -> None:
    """One that stood still is not a member any more, and takes nothing over."""
    bench = Bench()
    bench.running()
    bench.command(Leave(handover=True))
    bench.wait(timing.TAKE_OVER_S - 1.0)
    assert bench.stands(Standing.LEAVING)
    bench.wait(2.0)
    assert bench.stands(Standing.HALTED)


@pytest.mark.parametrize("holds_right", [False, True])
def test_after_a_crash_amid_forming_a_node_that_was_a_member_before_it_left_forms_anew(
    *, holds_right: bool
) -> None:
    """What it knew as a member is of no use: the peer may have gone on without it since."""
    bench = Bench(stored=replace(MEMBER, formed=False, holds_right=holds_right))
    bench.command(Form())
    assert bench.stands(Standing.FORMING)
    anew = Bench(stored=bench.state.stored)
    anew.data(SEPARATED)
    anew.wait(60.0, hearing=False)
    assert anew.stands(Standing.FORMING), "silent networks and answers of references prove nothing"


@pytest.mark.parametrize("kind", list(ArbitrationKind))
def test_who_stood_still_while_its_peer_left_calls_a_person(kind: ArbitrationKind) -> None:
    """It is no member any more, so it takes nothing over, and the peer does nothing by itself."""
    bench = Bench(built(kind=kind))
    bench.together()
    bench.do(Tick(bench.now_s + 100.0))
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    bench.wait(2.0)
    assert bench.stands(Standing.CUT)
    assert "peer-halted" in {alarm.name for alarm in explain.alarms(bench.state)}
    bench.peer_says(standing=Standing.FORMING, left=False, accepted=bench.state.incarnation)
    assert bench.stands(Standing.TOGETHER), "it was formed"


# --- What ends with a leave ---------------------------------------------------------------------


def test_what_was_agreed_while_forming_ends_with_a_leave() -> None:
    bench = Bench()
    bench.command(Form())
    bench.hear()
    bench.peer_says(standing=Standing.FORMING)
    assert bench.state.accepted == bench.peer.incarnation
    bench.command(Leave(handover=True))
    assert bench.stands(Standing.HALTED)
    assert bench.state.accepted == 0


@pytest.mark.parametrize("kind", list(ArbitrationKind))
def test_nobody_acts_together_with_a_peer_that_is_halted(kind: ArbitrationKind) -> None:
    """It may have been halted at once, in the moment in which both agreed."""
    bench = Bench(built(kind=kind), stored=Stored(records=(record(PEER),)))
    bench.together()
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED)
    assert bench.stands(Standing.CUT), "so the peer leaves everything to this node"


def test_a_confirmation_ends_with_a_leave_and_with_a_pause() -> None:
    for ends in (Leave(handover=True), None):
        bench = Bench(built(kind=ArbitrationKind.OPERATOR), stored=MEMBER)
        bench.data(SEPARATED)
        bench.command(ConfirmPeerDown())
        assert bench.state.confirmed
        if ends is None:
            bench.do(Tick(bench.now_s + 3600.0))
        else:
            bench.command(ends)
            bench.wait(40.0, hearing=False)
        assert not bench.state.confirmed


def test_a_silence_after_a_leave_is_told_anew() -> None:
    bench = Bench(built(kind=ArbitrationKind.OPERATOR))
    bench.running()
    bench.disconnect()
    bench.wait(5.0, hearing=False)
    assert "ask-operator" in bench.notes()
    bench.command(Leave(handover=True))
    bench.wait(100.0, hearing=False)
    assert bench.stands(Standing.HALTED)
    assert "arbitration" not in bench.state.reasons


# --- A node that forms beside a halted peer -----------------------------------------------------


@pytest.mark.parametrize("kind", list(ArbitrationKind))
def test_who_holds_the_right_goes_on_without_a_halted_peer(kind: ArbitrationKind) -> None:
    bench = Bench(built(kind=kind), stored=replace(MEMBER, formed=False, holds_right=True))
    bench.command(Form(timeout_s=10.0, allow_single_node=True))
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    assert bench.stands(Standing.FORMING), "it may be formed in a moment"
    for _ in range(22):
        bench.wait(0.5)
        bench.hear(standing=Standing.HALTED)
    assert bench.stands(Standing.ALONE)


@pytest.mark.parametrize("changes", [{"epoch": 9}, {"holds_right": True}, {}])
def test_beside_a_halted_peer_that_may_be_ahead_a_person_is_called(
    changes: dict[str, object],
) -> None:
    holds = bool(changes)
    bench = Bench(stored=replace(MEMBER, formed=False, holds_right=holds))
    bench.command(Form(timeout_s=1.0, allow_single_node=True))
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True, **changes)
    for _ in range(6):
        bench.wait(0.5)
        bench.hear(standing=Standing.HALTED)
    assert bench.stands(Standing.FORMING)
    assert "type there: clform" in bench.replies()[-1][1]


def test_a_peer_that_booted_and_is_not_formed_is_named_too() -> None:
    """It has left nothing to anybody: both machines booted, and only this one was formed."""
    bench = Bench(stored=replace(MEMBER, formed=False))
    bench.command(Form(timeout_s=1.0, allow_single_node=True))
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED)
    for _ in range(6):
        bench.wait(0.5)
    assert bench.stands(Standing.FORMING)
    assert "peer-halted" in {alarm.name for alarm in explain.alarms(bench.state)}


# --- A peer that acts alone, of which a daemon heard that is no more ----------------------------


@pytest.mark.parametrize("echo", [0, 1])
def test_that_the_peer_acts_alone_is_known_to_the_next_daemon_too(echo: int) -> None:
    bench = Bench(stored=replace(MEMBER, records=(record(PEER, Wanted.UP),)))
    bench.data(SEPARATED)
    bench.hear(standing=Standing.ALONE, epoch=MEMBER.epoch + 1, echo=echo)
    assert bench.state.stored.unproven == (RESOURCE,)
    anew = Bench(stored=bench.state.stored)
    anew.data(SEPARATED)
    anew.wait(60.0, hearing=False)
    assert anew.stands(Standing.CUT)
    assert anew.state.reasons["arbitration"] == "peer-ahead"
    anew.command(ConfirmPeerDown())
    anew.wait(1.0, hearing=False)
    assert anew.stands(Standing.ALONE)
    assert anew.state.stored.epoch > MEMBER.epoch + 1


def test_who_acts_together_knows_of_nobody_ahead() -> None:
    """The peer may have lost what it had stored: both go on from what they agree on."""
    bench = Bench(stored=replace(MEMBER, ahead=MEMBER.epoch + 5))
    bench.together()
    assert bench.state.stored.ahead == 0
    bench.data(SEPARATED)
    bench.wait(20.0, hearing=False)
    assert bench.stands(Standing.ALONE)


def test_a_right_of_before_the_peer_acted_alone_is_not_enough_beside_a_halted_peer() -> None:
    stored = replace(MEMBER, formed=False, holds_right=True, ahead=MEMBER.epoch + 5)
    bench = Bench(stored=stored)
    bench.command(Form(timeout_s=1.0, allow_single_node=True))
    bench.hear(standing=Standing.HALTED)
    bench.peer_says(standing=Standing.HALTED, left=True)
    for _ in range(6):
        bench.wait(0.5)
        bench.hear(standing=Standing.HALTED)
    assert bench.stands(Standing.FORMING)
    assert "type there: clform" in bench.replies()[-1][1]
