"""Maintenance: what an administrator works on is left alone, but safety is not."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.applications import maintenance
from hapair.core.applications.goals import GOALS
from hapair.core.explain import alarms, why
from hapair.core.words.effects import Do, Publish
from hapair.core.words.events import Forget, Form, Halt, Introduce, Leave, Maintain, Move, Run
from hapair.core.words.protocol import OURS, Speaks
from hapair.model.maintenance import Maintenance, Scope, place
from hapair.model.monitor import Finding, Trouble
from hapair.model.outcome import Refused
from hapair.model.status import Standing, Version, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built
from tests.sim.settings import application

EXITED: Final = Finding("process", Trouble.PROGRAM, "it exited")
OF_NODE: Final = Maintain(Scope.NODE, ME)
OF_PEER: Final = Maintain(Scope.NODE, PEER)
OF_CLUSTER: Final = Maintain(Scope.CLUSTER)
OF_APPLICATION: Final = Maintain(Scope.APPLICATION, NAME)
EACH: Final = (OF_NODE, OF_CLUSTER, OF_APPLICATION)


def running(command: Maintain = OF_NODE, *, failback: bool = False) -> Bench:
    bench = Bench(built(application(NAME, preferred=PEER if failback else ME, failback=failback)))
    bench.together_with(current=not failback)
    bench.peer_says(speaks=OURS)
    bench.command(Introduce(NAME, Wanted.UP))
    bench.command(command)
    bench.forget_effects()
    return bench


def off(command: Maintain) -> Maintain:
    return replace(command, on=False)


def reasons(bench: Bench) -> dict[str, str]:
    return {
        each.table: each.rule for each in why(bench.state, bench.built.applications[0].application)
    }


@pytest.mark.parametrize("command", EACH)
def test_what_fails_is_shown_and_not_restarted_until_the_maintenance_is_over(
    command: Maintain,
) -> None:
    bench = running(command)
    bench.finds(EXITED)
    assert bench.acts() == []
    assert bench.watches() == [], "it is watched as before"
    assert reasons(bench)["goal"] == "maintenance"
    assert reasons(bench)["health"] == "maintenance"
    assert reasons(bench)["maintenance"] == place(command.scope, command.name)
    bench.command(off(command))
    assert bench.acts() == [Do.STOP_PROGRAM, Do.START_PROGRAM]


def test_a_node_in_maintenance_takes_nothing_over_and_does_so_afterwards() -> None:
    bench = Bench()
    bench.together()
    bench.peer_has()
    bench.command(Introduce(NAME, Wanted.UP))
    bench.peer_says(records=(replace(bench.record, owner=PEER, version=Version(0, 9)),))
    bench.command(OF_NODE)
    bench.alone()
    assert bench.record.owner == PEER
    assert {"held-back"} <= {each.name for each in alarms(bench.state)}
    bench.command(off(OF_NODE))
    assert bench.record.owner == ME
    assert ("program", NAME, "") in bench.up


@pytest.mark.parametrize("command", [OF_PEER, OF_CLUSTER, OF_APPLICATION])
def test_nothing_goes_to_a_node_in_maintenance(command: Maintain) -> None:
    bench = running(command)
    bench.command(Move(NAME))
    accepted, text = bench.replies()[-1]
    assert not accepted
    assert "is in maintenance, so nothing is started; type: clmaintain off" in text


def test_nothing_falls_back_in_maintenance() -> None:
    bench = running(failback=True)
    bench.peer_says(records=(replace(bench.record, owner=ME, version=Version(0, 9)),))
    bench.peer_has()
    assert bench.record.owner == ME
    assert bench.state.moving == ()


def test_a_start_that_fails_is_not_tried_elsewhere_in_maintenance() -> None:
    bench = running()
    bench.command(Halt(NAME))
    bench.command(off(OF_NODE))
    bench.outcomes = {Do.START_PROGRAM: Refused("no licence")}
    bench.deaf = {Do.START_PROGRAM}
    bench.command(Run(NAME))
    bench.command(OF_NODE)
    bench.deaf = set()
    bench.wait(20.0)
    assert bench.record.owner == ME


def test_a_person_may_halt_and_leave_but_nothing_is_started() -> None:
    bench = running()
    bench.command(Halt(NAME))
    assert not bench.up
    bench.command(Run(NAME))
    assert not bench.up
    assert bench.replies()[-1][1].startswith(f"node {ME} is in maintenance, so nothing is started")
    bench.command(off(OF_NODE))
    bench.command(Run(NAME))
    bench.command(OF_NODE)
    bench.command(Run(NAME))
    assert "is in maintenance" not in bench.replies()[-1][1], "it runs already"
    bench.command(Leave(handover=True))
    bench.peer_says(stored_for=bench.state.trial.number)
    assert bench.record.owner == PEER, "the node is emptied by a person"


def test_a_move_that_was_begun_is_not_held_up_half_way() -> None:
    bench = running()
    bench.command(off(OF_NODE))
    bench.deaf = {Do.STOP_PROGRAM}
    bench.command(Move(NAME))
    for command in EACH:
        bench.command(command)
        assert bench.replies()[-1][0] is False
        assert "is being moved" in bench.replies()[-1][1]


def test_who_loses_the_right_stops_in_maintenance_too() -> None:
    names = [row.name for row in GOALS]
    for row in ("halted", "superseded", "isolated", "lost", "overtaken"):
        assert names.index(row) < names.index("maintenance")
    bench = running()
    bench.peer_says(records=(replace(bench.record, owner=PEER, version=Version(1, 0)),))
    assert not bench.up


def test_a_build_goes_on_in_maintenance() -> None:
    bench = Bench()
    bench.together()
    bench.command(OF_CLUSTER)
    bench.command(Introduce(NAME, Wanted.DATA))
    assert ("mounted", NAME, RESOURCE) in bench.up


def test_it_ends_by_itself_and_a_new_daemon_counts_anew() -> None:
    bench = running(replace(OF_NODE, for_s=100.0, reason="new disks"))
    text = next(
        each.text for each in why(bench.state, application(NAME)) if each.table == "maintenance"
    )
    assert text == f"node {ME} is in maintenance (new disks), for 100 s more"
    bench.wait(60.0)
    bench.starts_daemon_anew()
    bench.wait(60.0)
    assert maintenance.holds(bench.state, NAME) is not None
    bench.wait(41.0)
    assert maintenance.holds(bench.state, NAME) is None
    assert bench.notes().count("maintenance") == 1


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (Maintain(Scope.NODE, "node9"), "there is no node node9"),
        (Maintain(Scope.APPLICATION, "nobody"), "there is no application nobody"),
        (Maintain(Scope.CLUSTER, ME), f"there is no cluster {ME}"),
    ],
)
def test_what_does_not_exist_is_refused(command: Maintain, wrong: str) -> None:
    bench = running()
    bench.command(command)
    assert bench.replies()[-1] == (False, f"{wrong}; see: clstat")
    assert len(bench.state.stored.maintenance) == 1


# --- The two nodes ---------------------------------------------------------------------------


def said(bench: Bench) -> tuple[Maintenance, ...]:
    return [each.state for each in bench.effects if isinstance(each, Publish)][-1].maintenance


def test_the_peer_is_told_and_the_higher_version_wins() -> None:
    bench = Bench()
    bench.together()
    bench.peer_says(speaks=OURS)
    bench.command(replace(OF_NODE, reason="new disks", wall_s=1_795_000_000.5))
    ours = Maintenance(f"node {ME}", Version(0, 1), reason="new disks", wall_s=1_795_000_000)
    assert said(bench) == (ours,)
    assert bench.replies()[-1] == (True, f"node {ME} is in maintenance")
    bench.peer_says(maintenance=(replace(ours, version=Version(0, 3), on=False),))
    assert maintenance.holds(bench.state, NAME) is None
    bench.peer_says(maintenance=(replace(ours, version=Version(0, 2)),))
    assert maintenance.holds(bench.state, NAME) is None
    bench.command(OF_NODE)
    assert said(bench)[0].version == Version(0, 4)


def test_of_two_equal_versions_that_is_on_wins_on_both_nodes() -> None:
    bench = running(off(OF_NODE))
    ours = bench.state.stored.maintenance[0]
    bench.peer_says(maintenance=(replace(ours, on=True),))
    assert bench.state.stored.maintenance[0].on


@pytest.mark.parametrize(
    ("speaks", "why_not"), [(None, "does not answer"), (Speaks(2, 1), "has a version without")]
)
def test_a_peer_that_does_not_know_of_it_is_named(speaks: Speaks | None, why_not: str) -> None:
    bench = Bench()
    if speaks is not None:
        bench.command(Form())
        bench.hear()
        bench.peer_says(speaks=speaks)
    bench.command(OF_CLUSTER)
    assert why_not in bench.replies()[-1][1]


def test_it_is_forgotten_with_its_application() -> None:
    bench = Bench(replace(built(), applications=()))
    bench.together()
    held = Maintenance(f"application {NAME}", Version(0, 1))
    bench.peer_says(maintenance=(held,))
    bench.command(Forget(NAME, RESOURCE))
    assert bench.state.stored.maintenance == ()


def test_a_halted_node_remembers_it() -> None:
    bench = Bench()
    bench.command(OF_CLUSTER)
    assert bench.stands(Standing.HALTED)
    left_s = maintenance.left_s(bench.state, bench.state.stored.maintenance[0], bench.now_s)
    assert left_s is None
    assert "maintenance" in bench.notes()
