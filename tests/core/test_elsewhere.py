"""What runs on both nodes at once is seen where it does not belong, and stopped there."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.applications.elsewhere import APART_S, LOOK_S
from hapair.core.applications.items import is_free
from hapair.core.words.effects import Do, Effect, Layer, Look, Note, Severity
from hapair.core.words.events import Maintain, PeerStated
from hapair.core.words.item import Is, Item, ItemState
from hapair.model.application import OcfAgent, Program, Script, Unit
from hapair.model.maintenance import Scope
from hapair.model.status import Phase
from tests.core.bench import ME, NAME, PEER, Bench, built, record
from tests.sim.settings import application

PROGRAM: Final = ("program", NAME, "")
UNIT: Final = Unit("orders.service")


def passive(program: Program | None = UNIT, *names: str) -> Bench:
    """Return a node whose peer runs what there is."""
    ours = [replace(application(name), program=program) for name in names or (NAME,)]
    bench = Bench(built(*ours))
    bench.together()
    records = tuple(replace(record(owner=PEER), application=each.name) for each in ours)
    bench.peer_says(records=records)
    bench.peer_has(Phase.RUNNING)
    bench.forget_effects()
    return bench


def looks(bench: Bench) -> list[str]:
    return [e.application for e in bench.effects if isinstance(e, Look) and e.layer == "program"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (UNIT, "See what started it: clbuildapp orders --plan; systemctl status orders.service"),
        (OcfAgent("heartbeat", "nginx"), "journalctl -b; crontab -l; systemctl list-timers"),
    ],
)
def test_what_somebody_starts_beside_the_cluster_is_stopped_and_an_alarm(
    program: Program, words: str
) -> None:
    """FAIL: a client reaches an empty database, and nobody is told."""
    bench = passive(program)
    bench.up.add(PROGRAM)
    bench.wait(LOOK_S + 1)
    assert PROGRAM not in bench.up
    assert bench.acts() == [Do.KILL_PROGRAM]
    (note,) = (e for e in bench.effects if isinstance(e, Note) and e.name == "runs-here-too")
    assert note.severity is Severity.ALARM
    assert "although node2 runs it; it is stopped here" in note.text
    assert note.text.endswith(words)


def test_each_time_that_it_comes_back_it_is_stopped_again() -> None:
    bench = passive()
    for _ in range(3):
        bench.up.add(PROGRAM)
        bench.wait(LOOK_S + 1)
        assert PROGRAM not in bench.up
    assert bench.notes().count("runs-here-too") == 3


def test_one_after_the_other_is_looked_at_in_its_time() -> None:
    bench = passive(UNIT, "a", "b", "c")
    bench.wait(3 * LOOK_S)
    seen = looks(bench)
    assert seen[:4] in (["a", "b", "c", "a"], ["b", "c", "a", "b"], ["c", "a", "b", "c"])
    assert len(seen) == 7, "each once a minute, after the first minute"


def test_many_are_looked_at_more_rarely_each() -> None:
    names = [f"a{number:02}" for number in range(40)]
    bench = passive(UNIT, *names)
    bench.wait(10 * APART_S)
    assert len(looks(bench)) <= 11


@pytest.mark.parametrize("program", [Script("/run"), None])
def test_what_only_the_cluster_can_start_is_not_looked_at(program: Program | None) -> None:
    bench = passive(program)
    bench.wait(2 * LOOK_S)
    assert looks(bench) == []


@pytest.mark.parametrize("phase", [Phase.STOPPED, Phase.STARTING, Phase.STOPPING])
def test_nothing_is_looked_at_that_the_peer_does_not_run(phase: Phase) -> None:
    """A person may work with it there."""
    bench = passive()
    bench.peer_has(phase)
    bench.up.add(PROGRAM)
    bench.wait(2 * LOOK_S)
    assert looks(bench) == []
    assert bench.acts() == []


def test_what_runs_where_it_belongs_is_not_looked_at() -> None:
    bench = Bench(built(replace(application(NAME), program=UNIT)))
    bench.running()
    bench.forget_effects()
    bench.wait(2 * LOOK_S)
    assert looks(bench) == []


def test_a_node_without_its_peer_looks_at_nothing() -> None:
    bench = passive()
    bench.wait(0.5 * LOOK_S, hearing=False)
    assert looks(bench) == []


@pytest.mark.parametrize("trouble", ["", "systemd gave no answer"])
def test_what_cannot_be_told_stays_as_it_was(trouble: str) -> None:
    """An agent has lost its configuration with the data; systemd may be busy."""
    bench = passive()
    if trouble:
        bench.up.add(PROGRAM)
        bench.troubles[PROGRAM] = trouble
    else:
        bench.in_part.add(PROGRAM)
    bench.wait(2 * LOOK_S)
    assert looks(bench)
    assert bench.acts() == []
    assert bench.state.items_of(NAME)[Item(NAME, Layer.PROGRAM)].known is Is.DOWN


def test_an_answer_that_comes_when_the_peer_has_stopped_it_counts_for_nothing() -> None:
    bench = passive()
    bench.up.add(PROGRAM)
    said = tuple(replace(each, phase=Phase.STOPPING) for each in bench.peer.applications)

    def overtake(effect: Effect) -> None:
        if isinstance(effect, Look):
            bench.events.append(PeerStated(bench.now_s, replace(bench.peer, applications=said)))

    bench.on_effect = overtake
    bench.wait(LOOK_S + 1)
    assert looks(bench)
    assert bench.acts() == []


@pytest.mark.parametrize(
    ("item_state", "free"),
    [
        (ItemState(Is.DOWN), True),
        (ItemState(Is.DOWN, busy=1), True),
        (ItemState(Is.DOWN, busy=1, doing=Do.STOP_PROGRAM), False),
        (ItemState(Is.UNKNOWN, busy=1), False),
    ],
)
def test_a_start_waits_for_no_look_at_what_is_down(item_state: ItemState, *, free: bool) -> None:
    assert is_free(item_state) is free


@pytest.mark.parametrize(
    ("scope", "name"), [(Scope.APPLICATION, NAME), (Scope.NODE, ME), (Scope.CLUSTER, "")]
)
def test_what_somebody_tries_in_a_maintenance_is_told_and_left_alone(
    scope: Scope, name: str
) -> None:
    bench = passive()
    bench.command(Maintain(scope, name))
    bench.forget_effects()
    bench.up.add(PROGRAM)
    bench.wait(LOOK_S + 1)
    assert bench.acts() == []
    assert "runs-here-too" in bench.notes()
    bench.command(Maintain(scope, name, on=False))
    bench.wait(LOOK_S + 1)
    assert PROGRAM not in bench.up
