"""Layer by layer up and down, and what happens when an action fails."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hapair.core import node
from hapair.core.applications.items import ORDER, items_of
from hapair.core.applications.ladder import LADDER, resistance
from hapair.core.applications.layers import START
from hapair.core.explain import report
from hapair.core.words.effects import Act, Do, Layer, Look, ResetNode
from hapair.core.words.events import Command, DataChanged, Ended, Halt, Introduce, Looked, Move, Run
from hapair.core.words.item import Is, Item, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model import timing
from hapair.model.application import TimeLimits
from hapair.model.data import Connection, Disk, Role
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Phase, Standing, Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_membership import MEMBER
from tests.sim.settings import application

PROGRAM = Item(NAME, Layer.PROGRAM)
MOUNTED = Item(NAME, Layer.MOUNTED, RESOURCE)
ATTACHED = Item(NAME, Layer.ATTACHED, RESOURCE)


def said_phase(state: NodeState) -> Phase:
    return report(state, state.now_s).applications[0].phase


def test_a_start_goes_from_the_lowest_layer_to_the_highest() -> None:
    bench = Bench()
    bench.running()
    assert bench.acts() == [START[layer] for layer in ORDER]
    assert bench.notes()[-4:] == ["promoted", "mounted", "addresses", "started"]
    assert said_phase(bench.state) is Phase.RUNNING


def test_a_stop_goes_from_the_highest_layer_to_the_lowest() -> None:
    bench = Bench()
    bench.running()
    bench.forget_effects()
    bench.command(Halt(NAME))
    assert bench.acts() == [LADDER[layer][0] for layer in reversed(ORDER[1:])]
    assert bench.notes() == ["stopped"]
    assert said_phase(bench.state) is Phase.STOPPED


def test_only_the_data_is_brought_up_where_only_the_data_is_wanted() -> None:
    bench = Bench(stored=Stored(records=(record(wanted=Wanted.DATA),)))
    bench.together()
    assert bench.up == {("mounted", NAME, RESOURCE)}
    assert said_phase(bench.state) is Phase.RUNNING


def begun(stored: Stored) -> tuple[NodeState, dict[Item, int]]:
    """Start a daemon on a node where nothing was looked at yet; return its looks by item."""
    state, effects = node.begin(ME, "boot1", 2, built(), stored, 100.0)
    looks = [e for e in effects if isinstance(e, Look)]
    return state, {Item(e.application, e.layer, e.resource): e.effect_id for e in looks}


def test_a_daemon_that_starts_anew_looks_and_adopts_what_runs() -> None:
    state, looks = begun(replace(MEMBER, holds_right=True, records=(record(),)))
    assert tuple(item.layer for item in looks) == ORDER[2:]
    assert said_phase(state) is Phase.UNKNOWN
    running = facts(role=Role.PRIMARY, connection=Connection.CONNECTING)
    state, effects = node.step(state, DataChanged(100.0, (running,)))
    for effect_id in looks.values():
        state, more = node.step(state, Looked(100.0, effect_id, up=True))
        effects += more
    assert not any(isinstance(e, Act | Look) for e in effects)
    assert said_phase(state) is Phase.RUNNING


def test_nothing_is_concluded_before_the_kernel_has_spoken() -> None:
    """A halted node stops the program that it finds; what is below may still be up."""
    state, looks = begun(Stored())
    state, effects = node.step(state, Looked(100.0, looks[PROGRAM], up=True))
    (stop,) = (e for e in effects if isinstance(e, Act))
    state, effects = node.step(state, Ended(100.0, stop.effect_id, Done()))
    assert state.items_of(NAME)[PROGRAM].known is Is.DOWN
    assert state.items_of(NAME)[ATTACHED].known is Is.UNKNOWN
    for layer in (Layer.ADDRESSED, Layer.MOUNTED):
        (look,) = (e for e in effects if isinstance(e, Act | Look))
        assert isinstance(look, Look)
        assert look.layer is layer
        state, effects = node.step(state, Looked(100.0, look.effect_id, up=False))
    assert not any(isinstance(e, Act | Look) for e in effects)
    assert state.published is not None
    assert not state.published.left


def test_a_program_that_is_up_in_part_gets_the_time_of_a_start_and_is_then_killed() -> None:
    """A script of the former daemon may still be at work; nobody starts beside it."""
    bench = Bench(built(application(NAME, limits=TimeLimits(start_s=3.0, stop_s=5.0))))
    bench.running()
    program = {PROGRAM: ItemState()}  # As if the daemon had been started anew.
    items = {NAME: {**bench.state.items_of(NAME), **program}}
    bench.state = replace(bench.state, items=items)
    bench.in_part = {("program", NAME, "")}
    bench.forget_effects()
    bench.wait(2.0)
    assert bench.acts() == []
    bench.wait(2.0)
    assert bench.acts() == [Do.KILL_PROGRAM, Do.START_PROGRAM]


# --- Actions that fail -----------------------------------------------------------------------


def test_a_program_that_does_not_start_is_stopped_and_given_to_the_peer() -> None:
    bench = Bench()
    bench.outcomes[Do.START_PROGRAM] = Unknown("no answer within 20 s")
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    assert Do.STOP_PROGRAM in bench.acts()
    assert bench.record.owner == PEER
    assert bench.record.failed_on == (ME,)
    assert [name for name in bench.notes() if name in ("start-failed", "failed-here")][:2] == [
        "start-failed",
        "failed-here",
    ]


def test_a_mount_is_tried_three_times_before_it_has_failed() -> None:
    bench = Bench()
    bench.outcomes[Do.MOUNT] = Refused("wrong file system")
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(4.0)
    assert bench.acts().count(Do.MOUNT) == 3
    assert bench.notes().count("start-failed") == 1
    assert bench.record.owner == PEER


def test_a_mount_that_may_have_happened_is_looked_at_before_it_is_tried_again() -> None:
    bench = Bench()
    bench.outcomes[Do.MOUNT] = Unknown("no answer")
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    looks = [e for e in bench.effects if isinstance(e, Look) and e.layer is Layer.MOUNTED]
    assert looks
    assert bench.state.items_of(NAME)[MOUNTED].known is Is.DOWN


def test_a_replication_that_does_not_come_up_is_tried_for_ever() -> None:
    bench = Bench()
    bench.outcomes[Do.BRING_UP] = Refused("no such device")
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(10.0)
    assert bench.acts().count(Do.BRING_UP) > 5
    assert bench.record.failed_on == ()
    assert bench.record.owner == ME
    bench.wait(600.0)
    assert bench.acts().count(Do.BRING_UP) < 40  # A storm would fill the history.


def test_what_was_given_away_meanwhile_is_not_marked_as_failed() -> None:
    bench = Bench()
    bench.deaf = {Do.START_PROGRAM}
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    start = next(e for e in bench.effects if isinstance(e, Act) and e.do is Do.START_PROGRAM)
    theirs = replace(bench.record, owner=PEER, version=Version(0, 9))
    bench.deaf = {Do.START_PROGRAM, Do.KILL_PROGRAM}
    bench.peer_says(records=(theirs,))
    assert Do.KILL_PROGRAM in bench.acts()  # Nobody waits for a start that is not wanted any more.
    kill = next(e for e in bench.effects if isinstance(e, Act) and e.do is Do.KILL_PROGRAM)
    bench.do(Ended(bench.now_s, start.effect_id, Refused("killed")))  # It was overtaken: ignored.
    assert bench.state.items_of(NAME)[PROGRAM].busy == kill.effect_id
    bench.deaf = set()
    bench.do(Ended(bench.now_s, kill.effect_id, Done()))
    assert not bench.up
    assert bench.record == theirs


def test_a_failed_start_of_a_record_that_was_lost_meanwhile_is_forgotten() -> None:
    bench = Bench()
    bench.deaf = {Do.MOUNT}
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    mount = next(e for e in bench.effects if isinstance(e, Act) and e.do is Do.MOUNT)
    for _ in range(3):
        bench.peer_says(records=(replace(bench.record, owner=PEER, version=Version(0, 9)),))
    items = dict(bench.state.items_of(NAME))
    items[MOUNTED] = replace(items[MOUNTED], tries=2)
    bench.state = replace(bench.state, items={NAME: items})
    bench.do(Ended(bench.now_s, mount.effect_id, Refused("busy")))
    assert bench.record.failed_on == ()


def test_the_stop_ladder_is_climbed_rung_by_rung_and_then_calls_a_person() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.UNMOUNT] = Refused("target is busy")
    bench.outcomes[Do.END_HOLDERS] = Done("ended: bash (4711)")
    bench.forget_effects()
    bench.command(Halt(NAME))
    ladder = list(LADDER[Layer.MOUNTED])
    assert [do for do in bench.acts() if do in ladder] == ladder
    assert bench.notes().count("holders-ended") == 2
    assert "stuck" in bench.notes()
    assert said_phase(bench.state) is Phase.STUCK
    assert "stuck" in [alarm.name for alarm in report(bench.state, bench.now_s).alarms]
    bench.outcomes = {Do.END_HOLDERS: Done()}
    bench.wait(12.0)
    assert said_phase(bench.state) is Phase.STOPPED


def test_a_stop_that_may_have_happened_is_looked_at_before_the_next_rung() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.STOP_PROGRAM] = Unknown("no answer within 10 s")
    bench.forget_effects()
    bench.command(Halt(NAME))
    program = [e for e in bench.effects if isinstance(e, Act | Look) and not e.resource]
    assert [type(e) for e in program[:3]] == [Act, Look, Act]
    assert bench.acts()[:2] == [Do.STOP_PROGRAM, Do.KILL_PROGRAM]


def test_a_demotion_without_an_answer_waits_for_the_kernel() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = Unknown("no answer")
    bench.command(Halt(NAME))
    assert bench.acts().count(Do.DEMOTE) == LADDER[Layer.PROMOTED].count(Do.DEMOTE)
    assert said_phase(bench.state) is Phase.STUCK


@pytest.mark.parametrize("outcome", [Refused("they are not ours"), Done()])
def test_a_mount_that_stays_busy_is_stuck(outcome: Outcome) -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.UNMOUNT] = Refused("target is busy")
    bench.outcomes[Do.END_HOLDERS] = outcome
    bench.command(Halt(NAME))
    assert "stuck" in bench.notes()


HELD = Refused("Device is held open by someone; /dev/drbd0 is held by the mount on /export")


def test_a_move_that_a_second_holder_stops_half_way_ends_where_it_began() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.DEMOTE] = HELD
    bench.forget_effects()
    bench.command(Move(NAME))
    assert said_phase(bench.state) is Phase.RUNNING
    assert bench.record.owner == ME
    accepted, text = bench.replies()[-1]
    assert not accepted
    assert "orders runs on node1 again: it cannot be stopped" in text
    assert "the mount on /export" in text
    ladder = list(LADDER[Layer.PROMOTED])
    assert [do for do in bench.acts() if do in ladder] == ladder
    assert bench.notes()[-5:].count("cannot-stop") == 1
    bench.wait(60.0)  # Nothing moves it again by itself.
    assert bench.notes().count("cannot-stop") == 1
    bench.outcomes.clear()
    bench.command(Move(NAME))
    assert bench.record.owner == PEER


def test_what_resisted_once_does_not_fall_back_again_and_again() -> None:
    bench = Bench(built(application(NAME, preferred=PEER, failback=True)))
    bench.together()
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.wait(20.0)
    bench.outcomes[Do.DEMOTE] = HELD
    bench.peer_has()
    bench.wait(60.0)
    assert bench.notes().count("failback") == 1
    assert said_phase(bench.state) is Phase.RUNNING


def failed_and_held() -> Bench:
    """Its start failed here, and something else keeps the device from the peer."""
    bench = Bench()
    bench.together()
    bench.outcomes = {Do.DEMOTE: HELD, Do.START_PROGRAM: Refused("no licence")}
    bench.command(Introduce(NAME, Wanted.UP))
    assert bench.record.failed_on == (ME,)
    assert said_phase(bench.state) is Phase.STUCK
    return bench


def test_a_start_that_failed_is_tried_here_again_while_the_peer_cannot_have_it() -> None:
    bench = failed_and_held()
    alarms = {alarm.name: alarm.text for alarm in report(bench.state, bench.now_s).alarms}
    assert "the mount on /export" in alarms["stuck"]
    bench.wait(600.0)
    tried = bench.acts().count(Do.START_PROGRAM)
    assert 4 <= tried <= 10  # Ever more slowly.
    assert bench.notes().count("held-here") == tried - 1
    del bench.outcomes[Do.START_PROGRAM]
    bench.wait(200.0)
    assert said_phase(bench.state) is Phase.RUNNING
    assert bench.record.failed_on == ()


def test_what_failed_here_goes_to_the_peer_once_its_holder_has_gone() -> None:
    bench = failed_and_held()
    bench.wait(40.0)
    del bench.outcomes[Do.DEMOTE]
    bench.wait(100.0)
    assert bench.record.owner == PEER


def test_a_mount_that_is_found_gone_is_no_longer_called_stuck() -> None:
    bench = Bench()
    bench.running()
    bench.outcomes[Do.UNMOUNT] = Unknown("no answer")
    bench.command(Halt(NAME))
    assert said_phase(bench.state) is Phase.STUCK
    bench.up.discard(("mounted", NAME, RESOURCE))
    bench.wait(30.0)
    assert said_phase(bench.state) is Phase.STOPPED
    assert not resistance(bench.state, NAME)


def halted_and_stuck(*, resets_node: bool, command: Command) -> Bench:
    bench = Bench(built(application(NAME, resets_node=resets_node)))
    bench.running()
    bench.outcomes[Do.UNMOUNT] = Refused("target is busy")
    bench.command(command)
    assert "stuck" in bench.notes()
    return bench


def test_a_node_is_reset_for_what_the_other_node_waits_for() -> None:
    bench = halted_and_stuck(resets_node=True, command=Move(NAME))
    assert [e for e in bench.effects if isinstance(e, ResetNode)] == [ResetNode(NAME)]
    assert bench.notes()[-1] == "reset"
    (reason,) = (r for r in report(bench.state, bench.now_s).applications[0].reasons
                 if r.table == "last-rung")  # fmt: skip
    assert reason.rule == "moving"
    bench.wait(12.0)  # The ladder is climbed again: the reset did not happen.
    assert bench.notes().count("reset") == 2


def test_what_may_have_stopped_is_looked_at_before_a_node_is_reset_for_it() -> None:
    bench = Bench(built(application(NAME, resets_node=True)))
    bench.running()
    bench.outcomes[Do.UNMOUNT] = Unknown("no answer within 60 s")
    bench.command(Move(NAME))
    looked = [index for index, e in enumerate(bench.effects) if isinstance(e, Look)]
    reset = [index for index, e in enumerate(bench.effects) if isinstance(e, ResetNode)]
    assert len(reset) == 1
    assert looked[-1] < reset[0]


@pytest.mark.parametrize(
    ("resets_node", "command"), [(False, Move(NAME)), (True, Halt(NAME))], ids=["forbidden", "idle"]
)
def test_nothing_is_reset_unasked_or_for_nobody(*, resets_node: bool, command: Command) -> None:
    bench = halted_and_stuck(resets_node=resets_node, command=command)
    assert not any(isinstance(e, ResetNode) for e in bench.effects)


def test_several_volumes_of_one_layer_are_worked_on_at_once() -> None:
    bench = Bench(built(application(NAME, volumes=2)))
    bench.deaf = {Do.PROMOTE, Do.MOUNT}
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    assert bench.acts().count(Do.PROMOTE) == 2
    assert Do.MOUNT not in bench.acts()
    assert said_phase(bench.state) is Phase.STARTING


def test_every_action_is_bounded() -> None:
    limits = TimeLimits(start_s=33.0, stop_s=44.0, mount_s=900.0)
    bench = Bench(built(application(NAME, limits=limits)))
    bench.running()
    bench.command(Halt(NAME))
    bound = {e.do: e.timeout_s for e in bench.effects if isinstance(e, Act)}
    assert bound[Do.START_PROGRAM] == 33.0
    assert bound[Do.STOP_PROGRAM] == 44.0
    assert bound[Do.MOUNT] == 900.0
    assert bound[Do.UNMOUNT] == timing.MOUNT_S
    assert all(timeout_s > 0 for timeout_s in bound.values())


def test_an_application_without_program_addresses_and_volumes_has_no_items() -> None:
    bare = replace(application(NAME, volumes=0), program=None, addresses=())
    assert items_of(built(bare).applications[0]) == ()


@pytest.mark.parametrize("do", [Do.UNMOUNT, Do.DEMOTE])
def test_what_was_stuck_and_is_wanted_again_is_running(do: Do) -> None:
    bench = Bench()
    bench.running()
    bench.outcomes = {do: Refused("busy"), Do.END_HOLDERS: Refused("no")}
    bench.command(Halt(NAME))
    assert said_phase(bench.state) is Phase.STUCK
    bench.command(Run(NAME))
    assert said_phase(bench.state) is Phase.RUNNING
    assert bench.replies()[-1] == (True, "orders runs on node1")


OUTCOMES = st.one_of(
    st.just(Done()), st.just(Refused("no")), st.just(Unknown("silence")), st.none()
)


@settings(deadline=None, max_examples=50)
@example({Do.START_PROGRAM: None, Do.KILL_PROGRAM: Refused("no")}, [Halt, Run, Halt])
@given(st.dictionaries(st.sampled_from(Do), OUTCOMES), st.lists(st.sampled_from([Run, Halt])))
def test_whatever_fails_and_then_works_again_the_application_runs_in_the_end(
    outcomes: dict[Do, Outcome | None], commands: list[type[Run | Halt]]
) -> None:
    """A chain may be interrupted anywhere; the next look goes on from what it finds."""
    bench = Bench()
    bench.together()
    bench.command(Introduce(NAME, Wanted.UP))
    bench.peer_has(current=False)  # It cannot take what fails here.
    bench.outcomes = {do: outcome for do, outcome in outcomes.items() if outcome is not None}
    bench.deaf = {do for do, outcome in outcomes.items() if outcome is None}
    for command in commands:
        bench.command(command(NAME))
    bench.wait(2.0)
    bench.outcomes, bench.deaf = {}, set()
    busy = [s.busy for _, s in bench.state.every_item() if s.busy]
    bench.do(*(Ended(bench.now_s, effect_id, Unknown("time-out")) for effect_id in busy))
    bench.wait(1.0)
    bench.command(Run(NAME))
    bench.wait(15.0)
    assert ("program", NAME, "") in bench.up
    assert said_phase(bench.state) is Phase.RUNNING


def test_a_disk_that_drops_out_marks_the_copy_as_behind_until_it_is_connected_again() -> None:
    bench = Bench()
    bench.running()
    bench.data(facts(role=Role.PRIMARY, disk=Disk.DISKLESS))
    assert bench.state.stored.behind == (RESOURCE,)
    bench.data(facts(role=Role.PRIMARY, disk=Disk.UP_TO_DATE))
    assert not bench.state.stored.behind


def test_a_peer_that_writes_alone_leaves_this_copy_behind() -> None:
    bench = Bench()
    bench.together()
    bench.disconnect()
    bench.hear(unprotected=(RESOURCE,))
    bench.wait(0.1, hearing=False)
    assert bench.state.stored.behind == (RESOURCE,)


def test_after_a_heal_the_neighbours_are_told_where_the_addresses_are() -> None:
    bench = Bench()
    bench.running()
    bench.wait(3.0, hearing=False)
    bench.forget_effects()
    bench.hear()
    bench.peer_says(accepted=bench.state.incarnation, epoch=bench.state.stored.epoch)
    bench.wait(1.0)
    assert bench.stands(Standing.TOGETHER)
    assert bench.acts() == [Do.ANNOUNCE_ADDRESSES]
