"""How long does one step of the decision core take, and how does that grow with the cluster?

    python -m bench.core [--applications N ...] [--volumes N] [--profile]

The core alone, in this process: no daemon, no network, no disk. Every application has an
address, a program and --volumes replicated volumes. A step is pure, so each one is taken again
and again from the same state, and the quickest counts, because it was disturbed least by the host.
"""

import argparse
import cProfile
import gc
import pstats
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hapair.core import explain, node
from hapair.core.words.effects import Act, Do, Effect, Layer
from hapair.core.words.events import (
    Beat,
    DataChanged,
    Ended,
    Event,
    Heard,
    PeerApplication,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Tick,
)
from hapair.core.words.item import Is, ItemState
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from tests.sim.settings import NODES, PRIVATE, PUBLIC, Shape, application, built_from

COUNTS: Final = (1, 10, 50, 200)
TIMES_MIN: Final = 3
TIME_S: Final = 0.5  # For each measure; what is quick is repeated until then.
ROWS: Final = 25  # Of the profile.
ME, PEER = NODES
BOOT: Final = "boot"
BEGUN_S: Final = 100.0
BEAT_S: Final = 0.5
DEATH_S: Final = 3.0  # Silence for longer than the detection time.
EPOCH: Final = 1
UP: Final = ItemState(known=Is.UP)
DOWN: Final = ItemState(known=Is.DOWN)

Step = Callable[[], object]


def cluster(applications: int, volumes: int) -> Built:
    names = (f"application{number:03}" for number in range(applications))
    return built_from(Shape(applications=tuple(application(n, volumes=volumes) for n in names)))


def facts_of(built: Built, *, primary: bool, connected: bool = True) -> tuple[VolumeFacts, ...]:
    here, there = (Role.PRIMARY, Role.SECONDARY) if primary else (Role.SECONDARY, Role.PRIMARY)
    healthy = VolumeFacts("", here, there, Disk.UP_TO_DATE, Disk.UP_TO_DATE, Connection.CONNECTED)
    if not connected:
        healthy = VolumeFacts(
            "", here, Role.UNKNOWN, Disk.UP_TO_DATE, Disk.UNKNOWN, Connection.CONNECTING
        )
    return tuple(
        replace(healthy, resource=volume.resource)
        for each in built.applications
        for volume in each.volumes
    )


def taken(state: NodeState, *events: Event) -> tuple[NodeState, Sequence[Effect]]:
    """Take the steps; return the last state and all effects."""
    effects: list[Effect] = []
    for event in events:
        state, asked = node.step(state, event)
        effects += asked
    return state, effects


def together(built: Built, owner: str) -> NodeState:
    """Return the state of a daemon that found everything as it should be, with its peer."""
    records = tuple(
        Record(each.application.name, owner, Version(EPOCH, 1), Wanted.UP)
        for each in built.applications
    )
    stored = Stored(
        formed=True,
        formed_boot_id=BOOT,
        joined_boot_id=BOOT,
        epoch=EPOCH,
        records=records,
        incarnation=1,
    )
    begun, _ = node.begin(ME, BOOT, 1, built, stored, BEGUN_S)
    runs = owner == ME
    begun = replace(
        begun,
        items={
            name: {i: UP if runs or i.layer is Layer.ATTACHED else DOWN for i in items}
            for name, items in begun.items.items()
        },
    )
    echo = begun.incarnation
    beat = Beat(7, echo, Standing.TOGETHER, EPOCH)
    phase = Phase.STOPPED if runs else Phase.RUNNING
    phases = tuple(PeerApplication(r.application, phase, data_current=True) for r in records)
    said = PeerState(7, echo, Standing.TOGETHER, EPOCH, built.generation, records, phases)
    state, _ = taken(
        begun,
        DataChanged(BEGUN_S, facts_of(built, primary=runs)),
        Heard(BEGUN_S, PUBLIC, beat),
        Heard(BEGUN_S, PRIVATE, beat),
        PeerStated(BEGUN_S, said),
    )
    if state.standing is not Standing.TOGETHER:
        raise RuntimeError(f"the nodes are not together but {state.standing}")
    return state


def steps(built: Built) -> dict[str, Step]:
    """Return what is measured: each call takes one step from a state that does not change."""
    runs = together(built, ME)
    beat = runs.peer.beat
    if beat is None:
        raise RuntimeError("the peer was not heard")
    later_s = BEGUN_S + BEAT_S
    facts = facts_of(built, primary=True)
    news = (replace(facts[0], out_of_sync_bytes=1), *facts[1:])
    dying = together(built, PEER)
    dead_s = BEGUN_S + DEATH_S
    lost = DataChanged(later_s, facts_of(built, primary=False, connected=False))
    silent, _ = taken(dying, lost, Tick(later_s + DEATH_S / 2), Tick(dead_s))
    answered = ReferencesProbed(dead_s, (PUBLIC,))
    alone, effects = taken(silent, answered)
    promoted = next(e for e in effects if isinstance(e, Act) and e.do is Do.PROMOTE)
    ended = Ended(dead_s, promoted.effect_id, Done())
    return {
        "heartbeat": lambda: node.step(runs, Heard(later_s, PUBLIC, beat)),
        "tick": lambda: node.step(runs, Tick(later_s)),
        "the kernel's news of one volume": lambda: node.step(runs, DataChanged(later_s, news)),
        "take-over of everything": lambda: node.step(silent, answered),
        "one action of it ended": lambda: node.step(alone, ended),
        "clstat": lambda: explain.report(runs, later_s),
    }


def quickest_s(step: Step) -> float:
    gc.collect()
    gc.disable()
    found: list[float] = []
    try:
        while len(found) < TIMES_MIN or sum(found) < TIME_S:
            begun_s = time.process_time()
            step()
            found.append(time.process_time() - begun_s)
    finally:
        gc.enable()
    return min(found)


def memory_bytes(built: Built) -> int:
    """Return how much the state of a node occupies, without what was built."""
    tracemalloc.start()
    state = together(built, ME)
    occupied, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del state
    return occupied


def profile(step: Step) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(step)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(ROWS)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--applications", type=int, nargs="+", default=COUNTS, metavar="N")
    made.add_argument("--volumes", type=int, default=5, help="of each application; default: 5")
    made.add_argument("--profile", action="store_true", help="show where a tick spends its time")
    return made


def main() -> int:
    options = parser().parse_args()
    counts: list[int] = options.applications
    every = [cluster(count, options.volumes) for count in counts]
    if options.profile:
        for built in every:
            profile(steps(built)["tick"])
        return 0
    print(f"| milliseconds, {options.volumes} volumes each | {' | '.join(map(str, counts))} |")
    print("|---|" + "---|" * len(counts))
    measured = [{name: quickest_s(step) for name, step in steps(b).items()} for b in every]
    for name in measured[0]:
        print(f"| {name} | " + " | ".join(f"{1000 * each[name]:.3f}" for each in measured) + " |")
    sizes = (memory_bytes(built) / 1024 for built in every)
    print("| KiB of memory for the state | " + " | ".join(f"{size:.0f}" for size in sizes) + " |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
