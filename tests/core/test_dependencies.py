"""Applications that demand something of each other: order, the same node, another node."""

from dataclasses import replace
from typing import Any, Final

import pytest

from hapair.core.applications import dependencies as demanded
from hapair.core.applications.placement import view
from hapair.core.explain import why
from hapair.core.plan import demands
from hapair.core.words.effects import Act, Do
from hapair.core.words.events import Halt, Introduce, Move, PeerApplication, Run, Watched
from hapair.core.words.item import Is
from hapair.model.application import Application
from hapair.model.dependencies import circle, dependencies
from hapair.model.monitor import Finding, Monitors, Trouble
from hapair.model.outcome import Refused
from hapair.model.status import Phase, Record, Version, Wanted
from tests.core.bench import ME, PEER, Bench, built
from tests.core.situations import CAN_RUN, RUNNING, THERE, beside
from tests.sim.settings import application

A: Final = "aaa"
B: Final = "bbb"
NO_RESTART: Final = Monitors(restarts=0)


def app(name: str, **fields: Any) -> Application:  # noqa: ANN401 - the fields of Application
    """Return an application without data: what it demands is all that matters."""
    return replace(application(name, volumes=0), **fields)


def pair(*applications: Application, wanted: Wanted = Wanted.UP) -> Bench:
    bench = Bench(built(*applications))
    bench.together()
    bench.peer_has()
    bench.forget_effects()
    for each in applications:
        bench.command(Introduce(each.name, wanted))
    return bench


def started(bench: Bench) -> list[str]:
    acts = [each for each in bench.effects if isinstance(each, Act)]
    return [each.application for each in acts if each.do is Do.START_PROGRAM]


def runs(bench: Bench) -> set[str]:
    return {name for layer, name, _ in bench.up if layer == "program"}


def owner(bench: Bench, name: str) -> str:
    record = bench.state.record(name)
    assert record is not None
    return record.owner


def reasons(bench: Bench, name: str) -> dict[str, str]:
    found = why(bench.state, bench.built.application(name).application)
    return {each.table: each.text if each.table == "dependencies" else each.rule for each in found}


def peer_runs(bench: Bench, name: str, phase: Phase = Phase.RUNNING) -> None:
    bench.peer_says(
        applications=tuple(
            PeerApplication(each, phase if each == name else Phase.STOPPED, data_current=True)
            for each in bench.built.by_name
        )
    )


def belongs_there(name: str, version: int = 50) -> Record:
    return Record(name, PEER, Version(0, version), Wanted.UP)


# --- What the configuration means ------------------------------------------------------------


def test_who_demands_nothing_is_in_no_list_and_turns_go_by_priority() -> None:
    found = dependencies([app(A), app(B, priority=5)])
    assert (found.after, found.together, found.apart) == ({}, {}, {})
    assert found.order == (B, A)


def test_the_same_node_joins_groups_and_the_highest_priority_leads() -> None:
    found = dependencies(
        [app("c", with_=(A,)), app(A, with_=("c", "nobody")), app(B, with_=("c",), priority=1)]
    )
    assert found.together == dict.fromkeys((A, B, "c"), (B, A, "c"))


def test_keeping_apart_is_mutual_and_names_that_are_not_built_demand_nothing() -> None:
    found = dependencies([app(A, apart_from=(B, "nobody")), app(B, after=("nobody",))])
    assert found.apart == {A: (B,), B: (A,)}
    assert found.after == {}


def test_a_circle_is_found_and_never_waited_for() -> None:
    ring = [app(A, after=(B,)), app(B, after=("c",)), app("c", after=(A,))]
    assert circle(ring) == (A, B)
    assert circle(ring[:2]) == ()
    assert dependencies(ring).after == {A: (B,), B: ("c",)}
    bench = pair(*ring)
    assert runs(bench) == {A, B, "c"}


@pytest.mark.parametrize(
    ("wanted", "field", "mend"),
    [
        (app(A, after=(A,)), "after", f"leave {A} out"),
        (app(A, with_=(A,)), "with", f"leave {A} out"),
        (app(A, after=(B,)), "after", "leave one of these demands out"),
        (app(A, with_=(B,), apart_from=(B,)), "apart-from", f"leave {B} out, here or in with"),
    ],
)
def test_what_cannot_be_had_is_refused_with_its_field(
    wanted: Application, field: str, mend: str
) -> None:
    (problem,) = demands.refused(wanted, (app(A), app(B, after=(A,))), "appconf.xml")
    assert (problem.field, problem.mend) == (field, mend)


def test_what_can_be_had_is_not_refused() -> None:
    wanted = app(A, with_=(B,), after=(B,), apart_from=("c", "nobody"))
    assert list(demands.refused(wanted, (app(B), app("c")), "appconf.xml")) == []


# --- Order -----------------------------------------------------------------------------------


def test_it_starts_after_what_is_on_its_way_up() -> None:
    bench = Bench(built(app(A, after=(B,)), app(B)))
    bench.together()
    bench.peer_has()
    bench.command(Introduce(B, Wanted.UP))
    bench.command(Halt(B))
    bench.command(Introduce(A, Wanted.UP))
    assert runs(bench) == {A}, "what is halted is not waited for"
    bench.command(Halt(A))
    bench.deaf = {Do.START_PROGRAM}
    bench.command(Run(B))
    bench.command(Run(A))
    assert started(bench)[-1] == B
    assert reasons(bench, A)["goal"] == "after"
    assert reasons(bench, A)["dependencies"] == f"it starts after {B}, which is on its way up"


def test_what_failed_is_not_waited_for() -> None:
    bench = Bench(built(app(A, after=(B,)), app(B)))
    bench.together()
    bench.outcomes = {Do.START_PROGRAM: Refused("no licence")}
    bench.peer_has(Phase.STOPPED, current=False)
    bench.command(Introduce(B, Wanted.UP))
    bench.outcomes = {}
    bench.command(Introduce(A, Wanted.UP))
    assert runs(bench) == {A}


def test_what_comes_up_on_the_peer_is_waited_for_as_well() -> None:
    bench = Bench(built(app(A, after=(B,)), app(B)))
    bench.together()
    bench.peer_says(records=(belongs_there(B),))
    peer_runs(bench, B, Phase.STARTING)
    bench.command(Introduce(A, Wanted.UP))
    assert runs(bench) == set()
    peer_runs(bench, B)
    assert runs(bench) == {A}


# --- The same node ---------------------------------------------------------------------------


def test_those_of_the_same_node_are_moved_together() -> None:
    bench = pair(app(A, with_=(B,)), app(B))
    bench.command(Move(B))
    assert (owner(bench, A), owner(bench, B)) == (PEER, PEER)


def test_those_of_the_same_node_go_together_when_one_fails_too_often() -> None:
    bench = pair(app(A, with_=(B,)), app(B, monitors=NO_RESTART))
    run = bench.state.watched[B]
    finding = Finding("process", Trouble.PROGRAM, "it exited")
    bench.do(Watched(bench.now_s, B, run, (finding,)))
    assert (owner(bench, A), owner(bench, B)) == (PEER, PEER)


def test_a_follower_goes_where_its_leader_runs() -> None:
    bench = pair(app(A), app(B, with_=(A,)))
    bench.peer_says(records=(belongs_there(A),))
    peer_runs(bench, A)
    assert owner(bench, B) == PEER


def test_a_group_moves_only_as_a_whole() -> None:
    bench = pair(app(A, with_=(B,)), app(B))
    bench.peer_says(
        applications=(
            PeerApplication(A, Phase.STOPPED, data_current=False),
            PeerApplication(B, Phase.STOPPED, data_current=True),
        )
    )
    bench.command(Move(B))
    bench.wait(20.0)
    assert runs(bench) == {A, B}
    assert bench.replies()[-1][1].startswith(f"{A} runs on its node: ")


def test_a_follower_that_prefers_the_other_node_does_not_take_its_group_there() -> None:
    """Leader and follower would take each other to and fro."""
    bench = pair(app(A), app(B, with_=(A,), preferred=PEER, failback=True))
    bench.wait(30.0)
    assert (owner(bench, A), owner(bench, B)) == (ME, ME)


@pytest.mark.parametrize(
    ("record", "phase", "returns"),
    [
        (belongs_there(B), Phase.RUNNING, True),  # It cannot follow, or was moved by hand.
        (belongs_there(B), Phase.STOPPING, False),  # On its way here: it would take A along.
        (replace(belongs_there(B), failed_on=(PEER,)), Phase.RUNNING, False),
        (replace(belongs_there(B), owner=ME), Phase.STOPPED, True),
    ],
)
def test_a_group_falls_back_when_it_is_here_and_none_of_it_failed_there(
    record: Record,
    phase: Phase,
    returns: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    bench = pair(app(A), app(B, with_=(A,)))
    peer_runs(bench, B, phase)
    bench.peer_says(records=(record,))
    seen = view(bench.state, bench.built.application(A).application)
    assert demanded.may_return(seen) is returns


# --- Another node ----------------------------------------------------------------------------


def test_who_keeps_apart_goes_to_the_other_node() -> None:
    bench = pair(app(A), app(B, apart_from=(A,)))
    assert (owner(bench, A), owner(bench, B)) == (ME, PEER)
    bench.peer_says(records=bench.state.stored.records)
    peer_runs(bench, B)
    bench.command(Move(A))
    assert bench.replies()[-1][1].startswith(f"{B} is on {PEER}, and the two have to keep apart")


def test_on_the_last_node_the_one_with_the_first_turn_runs_and_says_why_the_other_does_not() -> (
    None
):
    bench = Bench(built(app(A), app(B, apart_from=(A,), priority=1)))
    bench.together()
    bench.peer_says(records=(belongs_there(A), belongs_there(B)))
    bench.alone()
    bench.wait(20.0, hearing=False)
    assert runs(bench) == {B}
    assert reasons(bench, A)["goal"] == "apart"
    assert reasons(bench, A)["dependencies"].startswith(f"it must not be on one node with {B}")


@pytest.mark.parametrize("priority", [0, 1])
def test_of_two_that_run_on_one_node_the_one_with_the_later_turn_leaves(priority: int) -> None:
    seen = beside(
        replace(CAN_RUN, state=RUNNING), apart_from=("web",), web_is=Is.UP, priority=priority
    )
    assert bool(demanded.keeps_apart(seen)) is (priority == 1)


@pytest.mark.parametrize(("priority", "moves"), [(0, False), (1, True)])
@pytest.mark.parametrize("there", [True, False])
def test_what_is_more_important_and_could_be_on_neither_node_gets_one(
    priority: int,
    moves: bool,  # noqa: FBT001 - a parameter of the test
    there: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """There: something on the other node keeps apart from it as well."""
    important = app("x", apart_from=(A, B) if there else (A,), priority=priority)
    bench = pair(app(A), app(B), important)
    bench.command(Halt("x"))
    bench.peer_says(records=(belongs_there(B), replace(belongs_there("x"), owner=ME)))
    peer_runs(bench, B)
    bench.peer_says(records=(replace(belongs_there("x", 60), owner=ME),))
    if there:
        assert (owner(bench, A) == PEER) is moves
        assert ("x" in runs(bench)) is moves
    else:
        assert (owner(bench, A), owner(bench, "x")) == (ME, PEER)


def test_where_its_leader_runs_is_told() -> None:
    seen = beside(with_=("web",), web=THERE, web_there=Phase.RUNNING, priority=1)
    assert demanded.unmet(seen) == f"it belongs on the node of web, which is {PEER}"
    seen = beside(with_=("web",), web=THERE, web_there=Phase.STOPPED, priority=1)
    assert demanded.unmet(seen) == ""
    assert demanded.unmet(view(seen.state, seen.state.built.application("web").application)) == ""
