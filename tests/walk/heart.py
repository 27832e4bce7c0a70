"""A daemon that decides nothing while its heart, a process of its own, sends and hears for it.

See docs/decisions/0038. In each turn of its node what came is kept with the time at which it came;
the daemon decides on all of it at once when it goes on. After ``BEATS`` turns the heart is silent.
"""

from dataclasses import replace
from typing import Final

from hapair.core.words.events import Beat, Heard, HeardTogether
from hapair.ports.peer import UNDECIDED_MAX_S
from tests.walk.cores import NOW_S, Key, MakeEvent
from tests.walk.moment import Moment
from tests.walk.numbers import NOTHING
from tests.walk.place import NETWORKS, Process
from tests.walk.settings import DETECTION_S, TURN_S

BEATS: Final = int(UNDECIDED_MAX_S / TURN_S)


def hears(moment: Moment, index: int) -> None:
    """Keep what has come since the last turn; after so many turns the heart only waits."""
    box = moment.boxes[index]
    box.heard = (*box.heard, box.beats)
    box.beats = (NOTHING, NOTHING)
    if len(box.heard) == BEATS:
        box.process = Process.HUNG


def says(moment: Moment, index: int) -> int:
    """Return what its heartbeats say: what the core said last, but for the echo."""
    box, cores = moment.boxes[index], moment.cores
    beat = cores.pool[box.says] if box.says else None
    if not isinstance(beat, Beat):
        return NOTHING
    came_s = cores[box.core].peer.alive_at_s
    silent_s = NOW_S + TURN_S * len(box.heard) - (NOW_S if came_s is None else came_s)
    for turn, beats in enumerate(box.heard):
        if any(beats):
            silent_s = TURN_S * (len(box.heard) - turn)  # It came after the turn before.
    return cores.pool.put(replace(beat, echo=0)) if silent_s > DETECTION_S else box.says


def handed_over(moment: Moment, index: int) -> tuple[Key, MakeEvent, float] | None:
    """Return all that was heard as one event, and when its newest came after the last decision."""
    box, cores = moment.boxes[index], moment.cores
    heard, box.heard = box.heard, ()
    came = [
        (TURN_S * (turn + 1), NETWORKS[network], number)
        for turn, beats in enumerate(heard)
        for network, number in enumerate(beats)
        if number
    ]
    if not came:
        return None
    last_s = came[-1][0]

    def make(at_s: float) -> HeardTogether:
        beats = []
        for after_s, name, number in came:
            beat = cores.pool[number]
            assert isinstance(beat, Beat)
            beats.append(Heard(at_s - last_s + after_s, name, beat))
        return HeardTogether(at_s, tuple(beats))

    return ("heard together", heard), make, last_s
