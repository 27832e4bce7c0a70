"""Broken on purpose: how long what is sent may be, and what is lost when it is written and read."""

from dataclasses import replace
from typing import Final

from hapair.adapters.heartbeat import datagrams
from hapair.config import built_json
from hapair.core.words.events import Beat, Event, Heard, Leave, PeerStated
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.runtime.codec import dumps
from hapair.runtime.node import beats
from hapair.runtime.node.state_file import load_state
from tests.sim import messages
from tests.sim.distortions import Broken
from tests.sim.faults import BreakDisk, Cut, KillDaemon, Partition, PowerOff
from tests.sim.large import LARGE, loses_the_link
from tests.sim.machine import Core
from tests.sim.mutants import Mutant, in_time, plan
from tests.sim.mutants_of_starts import LATER
from tests.sim.settings import NODES, PRIVATE
from tests.sim.stage import (
    ASK_OPERATOR,
    DATA,
    LONG_S,
    PATHS,
    WEB_TOO,
    WITH_WITNESS,
    WITNESS,
    Stage,
    with_kind,
)

REAL_BODIES: Final = beats.bodies
REAL_LOADS: Final = built_json.loads
DATAGRAM: Final = 1400  # As if a state had to fit one.


def in_one_heartbeat(beat: Beat) -> tuple[bytes, ...]:
    return (dumps(beat),)


def only_the_first_page(beat: Beat) -> tuple[bytes, ...]:
    return REAL_BODIES(beat)[:1]


def no_list(_listener: beats.Listener, _spoken: beats.Spoken) -> tuple[str, ...]:
    return ()


def reads_that_nobody_left(_state: NodeState, event: Event) -> Event:
    if isinstance(event, PeerStated):
        return replace(event, state=replace(event.state, left=False))
    return event


def reads_its_own_echo(state: NodeState, event: Event) -> Event:
    if isinstance(event, Heard):
        return replace(event, beat=replace(event.beat, echo=state.incarnation, epoch=0))
    return event


def reads_that_nothing_is_behind(content: bytes) -> Stored:
    return replace(load_state(content), behind=())


def reads_no_watchdog(content: bytes) -> Built:
    built = REAL_LOADS(content)
    return replace(built, cluster=replace(built.cluster, watchdog=None))


def many_volumes_lose_their_link(core: Core) -> None:
    loses_the_link(Stage(with_kind(PATHS, LARGE), core=core).begin())


def the_peer_goes_on_after_a_halt(core: Core) -> None:
    stage = Stage(ASK_OPERATOR, core=core).begin()
    stage.world.command("node1", Leave(handover=True))
    stage.run_for(40.0)
    stage.dies("node1")
    stage.run_for(5.0)
    in_time(stage, 30.0, "node2", lambda: stage.served_by() == "node2" and is_alone(stage))


def is_alone(stage: Stage) -> bool:
    return stage.stored("node2").holds_right


def the_only_copy_is_used_after_a_boot(core: Core) -> None:
    stage = Stage(WITH_WITNESS, core=core).begin()
    stage.suffers(BreakDisk("node1", DATA, LONG_S))
    stage.run_for(3.0)
    stage.suffers(PowerOff("node2", 20.0))
    stage.run_for(5.0)
    stage.suffers(KillDaemon("node1", 1.0))
    in_time(stage, 150.0, "the only copy", lambda: stage.served_by() == "node2")


HEARS_NOTHING: Final = plan(
    with_kind(WITNESS, WEB_TOO), (0.0, Partition(("node2",), 60.0)), (30.0, LATER)
)
STARTS_ANEW: Final = plan(
    WITH_WITNESS, (0.0, Cut(PRIVATE, NODES, 30.0)), (8.0, KillDaemon("node2", 0.5)), (20.0, LATER)
)
MUTANTS_OF_MESSAGES: Final = (
    Mutant(
        "the file of the state loses which copies are behind",
        "R5",
        plans=(STARTS_ANEW,),
        values=((messages, "load_state", reads_that_nothing_is_behind),),
    ),
    Mutant(
        "the file of the configuration loses the watchdog",
        "R5",
        plans=(STARTS_ANEW,),
        values=((built_json, "loads", reads_no_watchdog),),
    ),
    Mutant(
        "a list of any length is put into one heartbeat",
        "bytes, of which",
        story=many_volumes_lose_their_link,
        values=((beats, "bodies", in_one_heartbeat),),
    ),
    Mutant(
        "nobody looks how long a heartbeat is",
        "R",
        story=many_volumes_lose_their_link,
        values=(
            (beats, "bodies", in_one_heartbeat),
            (datagrams, "HEARTBEAT_BYTES_MAX", 10**6),
        ),
    ),
    Mutant(
        "only the first page is sent",
        "R",
        story=many_volumes_lose_their_link,
        values=((beats, "bodies", only_the_first_page),),
    ),
    Mutant(
        "a page is read as an empty list",
        "R8",
        story=many_volumes_lose_their_link,
        values=((beats.Listener, "_whole_list", no_list),),
    ),
    Mutant(
        "a state may be no longer than a datagram",
        "R8",
        story=many_volumes_lose_their_link,
        values=((messages, "MESSAGE_BYTES_MAX", DATAGRAM),),
    ),
    Mutant(
        "a state loses that its sender left",
        "R8",
        Broken(told=reads_that_nobody_left),
        story=the_peer_goes_on_after_a_halt,
    ),
    Mutant(
        "a heartbeat loses whom it echoes, and its epoch",
        "R1",
        Broken(told=reads_its_own_echo),
        (HEARS_NOTHING,),
    ),
    Mutant(
        "the file of the state loses who wrote nothing",
        "R8",
        Broken(loaded=lambda stored: replace(stored, wrote_nothing=())),
        story=the_only_copy_is_used_after_a_boot,
    ),
)
