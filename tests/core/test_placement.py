"""Who owns an application, and when it changes hands."""

from dataclasses import replace

import pytest

from hapair.core.applications.hands import HANDS
from hapair.core.applications.placement import CONNECTION_WAIT_S, View
from hapair.core.words.effects import Do, Layer
from hapair.core.words.events import Form, Introduce, Leave, Move
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.rules import first_match
from hapair.core.words.state import NodeState
from hapair.model.data import Connection, Disk, VolumeFacts
from hapair.model.status import Phase, Standing, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.situations import CAN_RUN
from tests.core.test_membership import MEMBER
from tests.core.test_transcripts import end_what_is_under_way
from tests.sim.settings import application


def cold_start(bench: Bench, *, autostart: bool = True, current: bool = True) -> None:
    """Form with the peer, on both nodes nothing runs."""
    bench.command(Form(autostart=autostart))
    bench.hear()
    bench.peer_has(current=current)
    bench.peer_says(accepted=1, standing=Standing.FORMING)
    bench.peer_says(standing=Standing.TOGETHER, epoch=bench.state.stored.epoch)


def test_failback_moves_to_the_preferred_node_when_its_copy_is_current() -> None:
    bench = Bench(built(application(NAME, preferred=PEER, failback=True)))
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(20.0)
    assert ("program", NAME, "") in bench.up
    bench.peer_has()
    assert bench.record.owner == PEER
    assert not bench.up
    assert "failback" in bench.notes()


def test_nothing_falls_back_where_it_is_not_configured() -> None:
    bench = Bench(built(application(NAME, preferred=PEER)))
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(20.0)
    bench.peer_has()
    assert ("program", NAME, "") in bench.up


def test_what_is_not_to_start_by_itself_stays_down_after_a_cold_start() -> None:
    bench = Bench(stored=replace(MEMBER, formed_boot_id="boot0", records=(record(),)))
    cold_start(bench, autostart=False)
    assert bench.record.wanted is Wanted.DOWN
    assert "let-lie" in bench.notes()
    assert not bench.up


def test_a_cold_start_gives_an_application_to_its_preferred_node() -> None:
    what = built(application(NAME, preferred=PEER))
    bench = Bench(what, stored=replace(MEMBER, formed_boot_id="boot0", records=(record(),)))
    cold_start(bench)
    assert bench.record.owner == PEER
    assert Do.PROMOTE not in bench.acts()


def test_a_cold_start_waits_a_while_for_the_copy_of_the_preferred_node() -> None:
    what = built(application(NAME, preferred=PEER))
    bench = Bench(what, stored=replace(MEMBER, formed_boot_id="boot0", records=(record(),)))
    cold_start(bench, current=False)
    bench.wait(10.0)
    assert bench.state.reasons[f"{NAME}/goal"] == "preferred-elsewhere"
    bench.wait(10.0)
    assert ("program", NAME, "") in bench.up


def test_what_stops_on_the_peer_is_waited_for() -> None:
    bench = Bench()
    bench.together()
    bench.peer_has(Phase.STOPPING)
    bench.command(Introduce(NAME, Wanted.UP))
    assert bench.state.reasons[f"{NAME}/goal"] == "peer-runs"
    bench.peer_has(Phase.STOPPED)
    assert ("program", NAME, "") in bench.up


def test_an_old_copy_gives_the_application_to_the_peer() -> None:
    bench = Bench(attached=facts(connection=Connection.SYNC_TARGET))
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    assert bench.record.owner == ME
    assert "stale-data" in bench.notes()
    bench.peer_has()
    assert bench.record.owner == PEER


def test_a_move_whose_replication_breaks_is_given_up() -> None:
    """The peer said that its copy is current before this node wrote on without it."""
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Move(NAME))
    bench.disconnect()
    assert "cannot-move" in bench.notes()
    bench.deaf = set()
    end_what_is_under_way(bench)
    assert bench.record.owner == ME
    assert ("program", NAME, "") in bench.up
    reply = bench.command(Move(NAME))
    assert reply is not None
    assert "not UpToDate" in reply.text


def test_a_handover_waits_until_the_peer_can_take_it() -> None:
    bench = Bench()
    bench.running()
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Leave(handover=True))
    assert bench.record.owner == ME


ATTACHED = Item(NAME, Layer.ATTACHED, RESOURCE)
APART = facts(connection=Connection.CONNECTING, disk=Disk.CONSISTENT)


@pytest.mark.parametrize(
    ("known", "item", "gives"),
    [
        (APART, ItemState(Is.UP), False),
        (None, ItemState(Is.UP), False),  # Attached, and the kernel has not told of it yet.
        (None, ItemState(Is.DOWN, busy=7, doing=Do.BRING_UP), False),
        (None, ItemState(Is.DOWN), True),
        (replace(APART, disk=Disk.DISKLESS), ItemState(Is.UP), True),
        (facts(connection=Connection.SYNC_TARGET), ItemState(Is.UP), True),
    ],
)
def test_after_a_start_nothing_is_given_away_before_the_kernels_compared_the_copies(
    known: VolumeFacts | None, item: ItemState, *, gives: bool
) -> None:
    """What each node knew of the copies may not have reached its disk."""
    state = replace(
        CAN_RUN.state,
        facts={RESOURCE: known} if known is not None else {},
        joined_from_s={},
        stored=replace(CAN_RUN.state.stored, unproven=(RESOURCE,)),
        items={NAME: {**CAN_RUN.state.items[NAME], ATTACHED: item}},
        fresh=(NAME,),
    )
    young = replace(state, together_since_s=state.now_s - 1.0)
    assert first_match(HANDS, view(young)).name == ("stale-here" if gives else "stay")
    late = replace(state, together_since_s=state.now_s - CONNECTION_WAIT_S)
    assert first_match(HANDS, view(late)).name == "stale-here"


def view(state: NodeState) -> View:
    return replace(CAN_RUN, state=state)
