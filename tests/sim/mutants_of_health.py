"""Cores that are broken on purpose in what they do about findings, maintenance and demands."""

from dataclasses import replace
from typing import Any, Final

from hapair.core.applications import dependencies, failures, health, maintenance
from hapair.core.applications.placement import View
from hapair.core.copies import replication
from hapair.core.words.effects import Do
from hapair.core.words.events import Event, Halt, Maintain, Run, Unwatched, Watched
from hapair.core.words.state import NodeState
from hapair.model.application import Application
from hapair.model.maintenance import Scope
from hapair.model.monitor import Finding, Monitors, Trouble
from tests.checkers.rules import BrokenRuleError
from tests.sim.distortions import Broken
from tests.sim.machine import Core
from tests.sim.mutants import Mutant
from tests.sim.settings import NODES, Shape, application
from tests.sim.sickness import LemsSilent, ProgramFails, Sickens
from tests.sim.stage import LONG_S, ORDERS, WEB, WITNESS, Stage

ONCE: Final = Monitors(restarts=1, period_s=60.0)


def shape(*others: Application, **fields: Any) -> Shape:  # noqa: ANN401 - the fields of Application
    orders = replace(application(ORDERS), monitors=ONCE, **fields)
    return Shape(WITNESS, (orders, *others))


def web(**fields: Any) -> Application:  # noqa: ANN401 - the fields of Application
    return replace(application(WEB, volumes=0), **fields)


def demand(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise BrokenRuleError(what)


def starts(stage: Stage) -> list[str]:
    return [node for node, do in stage.acts if do is Do.START_PROGRAM]


def fails_on(*nodes: str, every_s: float = 2.0) -> ProgramFails:
    return ProgramFails(ORDERS, every_s, LONG_S, nodes)


def a_word_about_a_former_run_restarts_nothing(core: Core) -> None:
    """It is chance whether such a word comes late."""
    for seed in "abcdef":
        stage = Stage(shape(), seed, core).begin()
        stage.suffers(ProgramFails(ORDERS, 60.0, 1.0, NODES))
        stage.run_for(10.0)
        demand(starts(stage) == ["node1"], "R9: restarted for what a former run did")


def after_its_restarts_it_leaves(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.suffers(fails_on("node1"))
    stage.run_for(20.0)
    demand(stage.served_by() == "node2", "R9: it is restarted here without an end")
    demand(starts(stage) == ["node1", "node2"], "R9: restarted here more than once")


def on_both_nodes_it_rests(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.suffers(fails_on(*NODES))
    stage.run_for(50.0)
    demand(len(starts(stage)) == 3, f"R9: ping-pong: {starts(stage)}")
    stage.run_for(60.0)
    demand(len(starts(stage)) > 3, "R8: after the period it is tried once more")
    demand(len(starts(stage)) <= 7, f"R9: ping-pong: {starts(stage)}")


def it_does_not_fall_back_to_where_it_failed(core: Core) -> None:
    stage = Stage(shape(failback=True), core=core).begin()
    stage.suffers(fails_on("node1"))
    stage.run_for(200.0)
    demand(starts(stage).count("node1") == 1, "R9: it falls back to where it fails")
    demand(stage.served_by() == "node2", "R8: nobody serves it")


def a_full_disk_moves_nothing(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.suffers(Sickens(ORDERS, NODES, Trouble.DATA, LONG_S))
    stage.run_for(20.0)
    demand(not stage.acts, "R7: something is done about a full file system")
    demand("travels" in stage.alarms("node1"), "R8: nobody is told of a full file system")


def storage_that_hangs_is_left(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.suffers(Sickens(ORDERS, ("node1",), Trouble.STORAGE, LONG_S))
    stage.run_for(20.0)
    demand(starts(stage) == ["node2"], "R8: it stays on storage that hangs")


def silence_stops_nothing(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.suffers(LemsSilent("node1", ORDERS, 100.0))
    stage.run_for(90.0)
    demand(not stage.acts, "R7: the silence of Lems stops something")
    demand("unwatched-for-long" in stage.alarms("node1"), "R8: nobody is told of the silence")


def maintenance_holds_it_back(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.types("node2", Maintain(Scope.NODE, "node2", for_s=60.0))
    stage.dies("node1")
    stage.run_for(40.0)
    demand(not starts(stage), "R7: a node in maintenance takes something over")
    stage.run_for(40.0)
    demand(stage.served_by() == "node2", "R8: what a maintenance held back is never taken over")


def both_nodes_know_of_maintenance(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    stage.types("node2", Maintain(Scope.APPLICATION, ORDERS))
    stage.run_for(0.5)
    stage.suffers(fails_on("node1"))
    stage.run_for(10.0)
    demand(not stage.acts, "R7: what is in maintenance is restarted")
    stage.types("node2", Maintain(Scope.APPLICATION, ORDERS, on=False))
    stage.run_for(3.0)
    demand(bool(starts(stage)), "R8: what failed in maintenance is not restarted after it")


def with_held_writes(core: Core) -> Stage:
    stage = Stage(shape(), core=core).begin()
    stage.dies("node2")

    def held() -> bool:
        state = stage.world.state("node1")
        return state is not None and health.is_held(state, ORDERS)

    stage.waits_for(held, 10.0)
    return stage


def what_waits_for_a_write_is_not_sick(core: Core) -> None:
    stage = with_held_writes(core)
    stage.suffers(Sickens(ORDERS, NODES, Trouble.STORAGE, 10.0))
    stage.run_for(9.0)
    demand(not stage.acts, "R7: it is stopped because a write of it waited for the peer's loss")


def what_waits_for_the_peers_disk_is_not_sick(core: Core) -> None:
    stage = Stage(shape(), core=core).begin()
    resource = stage.world.resources[f"{ORDERS}.data0"]
    resource.side("node1").overdue = True
    resource.on_change("node1")
    stage.run_for(1.0)
    stage.suffers(Sickens(ORDERS, NODES, Trouble.STORAGE, 10.0))
    stage.run_for(9.0)
    demand(not stage.acts, "R7: it is stopped because a write of it waited for the peer's disk")


def what_ended_while_writes_waited_is_started(core: Core) -> None:
    stage = with_held_writes(core)
    stage.suffers(ProgramFails(ORDERS, 60.0, 1.0, NODES))
    stage.run_for(20.0)
    demand(stage.served_by() == "node1", "R8: what ended while writes waited is not started again")


def a_follower_takes_nobody_along(core: Core) -> None:
    follower = web(with_=(ORDERS,), preferred="node2", failback=True)
    stage = Stage(shape(follower, failback=True), core=core).begin()
    stage.run_for(60.0)
    demand(not stage.acts, "R9: a group goes to and fro")


def who_keeps_apart_keeps_apart(core: Core) -> None:
    stage = Stage(shape(web(apart_from=(ORDERS,)), priority=1), core=core).begin()
    stage.run_for(10.0)
    stage.dies("node2")
    stage.run_for(30.0)
    up = stage.world.machines["node1"].programs
    demand(not (up.get(ORDERS) and up.get(WEB)), "R7: two that keep apart run on one node")


def what_is_shut_out_gets_a_node(core: Core) -> None:
    important = replace(application("xxx", volumes=0), priority=9, apart_from=(ORDERS, WEB))
    beside = web(preferred="node2", failback=True)
    stage = Stage(shape(beside, important, failback=True), core=core).begin()
    owner = stage.world.owner("xxx")
    demand(owner is not None, "R8: nobody has it")
    stage.types(str(owner), Halt("xxx"))
    stage.run_for(60.0)
    apart = {stage.served_by(ORDERS), stage.served_by(WEB)} == set(NODES)
    demand(apart, "the two fall back, each to its node")
    stage.world.command(str(stage.world.owner("xxx")), Run("xxx"))
    stage.run_for(30.0)
    demand(bool(stage.served_by("xxx")), "R8: what is most important is shut out for ever")


def hears_every_word(state: NodeState, event: Event) -> Event:
    if isinstance(event, Watched):
        return replace(event, run=state.watched.get(event.application, 0))
    return event


def takes_data_for_program(_state: NodeState, event: Event) -> Event:
    if isinstance(event, Watched):
        found = tuple(replace(each, trouble=Trouble.PROGRAM) for each in event.findings)
        return replace(event, findings=found)
    return event


def takes_silence_for_death(state: NodeState, event: Event) -> Event:
    if isinstance(event, Unwatched):
        name, found = event.application, Finding("lems", Trouble.PROGRAM, event.why)
        return Watched(event.at_s, name, state.watched.get(name, 0), (found,))
    return event


def says_what_may_only_wait(_state: NodeState, event: Event) -> Event:
    if isinstance(event, Watched):
        found = tuple(replace(each, certain=False) for each in event.findings)
        return replace(event, findings=found)
    return event


NO: Final = property(lambda _: False)
MUTANTS_OF_HEALTH: Final = (
    Mutant(
        "a word about another run counts",
        "R6/R7",
        Broken(told=hears_every_word),
        story=a_word_about_a_former_run_restarts_nothing,
    ),
    Mutant(
        "restarts are not counted",
        "R9",
        story=after_its_restarts_it_leaves,
        values=((failures, "runs_here", lambda *_: 0),),
    ),
    Mutant(
        "what failed on both nodes does not rest",
        "R9",
        story=on_both_nodes_it_rests,
        values=((failures, "gave_up", lambda *_: False),),
    ),
    Mutant(
        "it goes where it failed",
        "R9",
        story=on_both_nodes_it_rests,
        values=((View, "failed_there", NO), (View, "worn_there", NO)),
    ),
    Mutant(
        "it falls back to where it failed",
        "R9",
        story=it_does_not_fall_back_to_where_it_failed,
        values=((View, "left_there", NO),),
    ),
    Mutant(
        "a full file system counts as a failed program",
        "R7",
        Broken(told=takes_data_for_program),
        story=a_full_disk_moves_nothing,
    ),
    Mutant(
        "storage that hangs counts as a failed program",
        "R8",
        Broken(told=takes_data_for_program),
        story=storage_that_hangs_is_left,
    ),
    Mutant(
        "silence counts as death",
        "R7",
        Broken(told=takes_silence_for_death),
        story=silence_stops_nothing,
    ),
    Mutant(
        "a node in maintenance takes over",
        "R7",
        story=maintenance_holds_it_back,
        values=((maintenance, "holds", lambda *_: None),),
    ),
    Mutant(
        "the peer's word about maintenance is not heard",
        "R7",
        story=both_nodes_know_of_maintenance,
        values=((maintenance, "absorb", lambda *_: None),),
    ),
    Mutant(
        "what waits for a write that is held back counts",
        "R7",
        story=what_waits_for_a_write_is_not_sick,
        values=((health, "HELD_S", 0.0),),
    ),
    Mutant(
        "what waits for the peer's disk counts",
        "R7",
        story=what_waits_for_the_peers_disk_is_not_sick,
        values=((replication, "overdue", lambda *_: ()),),
    ),
    Mutant(
        "the end of a program may be a write that waits",
        "R8",
        Broken(told=says_what_may_only_wait),
        story=what_ended_while_writes_waited_is_started,
    ),
    Mutant(
        "a follower takes its group where it prefers to be",
        "R9",
        story=a_follower_takes_nobody_along,
        values=((dependencies, "leads", lambda _: True),),
    ),
    Mutant(
        "nobody keeps apart",
        "R7",
        story=who_keeps_apart_keeps_apart,
        values=((dependencies, "keeps_apart", lambda _: ""),),
    ),
    Mutant(
        "nobody makes room for what could be on neither node",
        "R8",
        story=what_is_shut_out_gets_a_node,
        values=((dependencies, "shut_out", lambda _: ""),),
    ),
)
