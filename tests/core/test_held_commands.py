"""Commands that would be refused now, but not in a moment: the peer's word is on its way."""

from typing import Final

import pytest

from hapair.core.words.events import Commanded, Configured, Halt, Introduce, Move, Run
from hapair.model import timing
from hapair.model.data import Disk, Role
from hapair.model.status import Phase, Wanted
from tests.core.bench import NAME, PEER, Bench, built, facts
from tests.sim.settings import application

NOT_YET: Final = [(Phase.STOPPED, False, "not UpToDate"), (Phase.STOPPING, True, "not stopped on")]


def held_back(phase: Phase, *, current: bool) -> Bench:
    """Type a move although the peer has not said yet what both kernels know: copies are equal."""
    bench = Bench()
    bench.running()
    bench.peer_has(phase, current=current)
    bench.forget_effects()
    before = bench.state.stored
    assert bench.command(Move(NAME)) is None
    bench.wait(3.0)
    assert bench.state.stored == before
    assert bench.replies() == []
    return bench


@pytest.mark.parametrize(("phase", "current", "text"), NOT_YET)
def test_a_command_waits_for_what_the_peer_has_not_said_yet(
    phase: Phase, *, current: bool, text: str
) -> None:
    bench = held_back(phase, current=current)
    bench.peer_has()
    bench.wait(1.0)
    assert bench.state.held == ()
    assert bench.record.owner == PEER
    assert text not in str(bench.replies())


@pytest.mark.parametrize(("phase", "current", "text"), NOT_YET)
def test_a_word_that_does_not_come_is_a_refusal_in_the_end(
    phase: Phase, *, current: bool, text: str
) -> None:
    bench = held_back(phase, current=current)
    bench.wait(timing.WORD_S)
    ((accepted, said),) = bench.replies()
    assert not accepted
    assert text in said


@pytest.mark.parametrize(("trouble", "text"), [("dies", "not UpToDate"), ("goes", "there is no")])
def test_what_is_held_back_is_refused_when_it_can_no_longer_be(trouble: str, text: str) -> None:
    bench = held_back(Phase.STOPPING, current=False)
    if trouble == "dies":
        bench.disconnect()
    else:
        bench.do(Configured(bench.now_s, built(application("web"), generation=2)))
    ((accepted, said),) = bench.replies()
    assert not accepted
    assert text in said
    assert bench.state.held == ()


def test_an_application_is_started_on_the_peer_once_that_has_spoken() -> None:
    bench = Bench()
    bench.running()
    bench.command(Halt(NAME))
    bench.peer_has(current=False)
    assert bench.command(Run(NAME, PEER)) is None
    bench.peer_has()
    bench.wait(1.0)
    assert bench.record.owner == PEER


@pytest.mark.parametrize("disk", [Disk.DISKLESS, Disk.INCONSISTENT])
def test_nothing_waits_for_a_peer_while_the_own_copy_is_no_good(disk: Disk) -> None:
    """Its word would change nothing: the copies are not equal."""
    bench = Bench()
    bench.running()
    bench.peer_has(current=False)
    bench.data(facts(role=Role.PRIMARY, disk=disk))
    reply = bench.command(Move(NAME))
    assert reply is not None
    assert not reply.accepted


def test_the_newest_command_counts() -> None:
    """A halt that was answered is not undone by what was typed before it."""
    bench = Bench()
    bench.running()
    bench.command(Halt(NAME))
    bench.peer_has(current=False)
    assert bench.command(Run(NAME, PEER)) is None
    bench.forget_effects()
    bench.do(Commanded(bench.now_s, 2, Halt(NAME)))
    bench.peer_says(records=bench.state.stored.records)
    assert bench.replies()[0] == (False, "another command was typed meanwhile")
    bench.peer_has()
    bench.wait(1.0)
    assert bench.record.wanted is Wanted.DOWN
    assert bench.state.held == ()


def test_a_command_about_another_application_ends_no_waiting() -> None:
    bench = Bench(built(application(NAME), application("web")))
    bench.running()
    bench.command(Introduce("web", Wanted.UP))
    bench.peer_has(Phase.STOPPING)
    assert bench.command(Move(NAME)) is None
    bench.do(Commanded(bench.now_s, 2, Halt("web")))
    assert [held.command for held in bench.state.held] == [Move(NAME)]
