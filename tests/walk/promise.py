"""What ``paths`` promises to bear (see tests/sim/promise.py), counted in turns.

One way between the nodes fails at a time, and the next one not before the nodes had the time to
tell each other about the first one. No node loses power just after the replication network.
"""

from typing import TYPE_CHECKING, Final

from hapair.model.cluster import ArbitrationKind
from tests.walk.place import NETWORKS, Process
from tests.walk.settings import SETTLES

if TYPE_CHECKING:
    from tests.walk.faults import Happening
    from tests.walk.moment import Moment

EVERYTHING: Final = "all networks"
MACHINE: Final = "machine"
DAEMON: Final = "daemon"
NEVER: Final = (EVERYTHING, MACHINE)  # They end two ways at once, or look like a dead node.


def binds(moment: "Moment") -> bool:
    return moment.kind.shape.arbitration is ArbitrationKind.PATHS


def failing(moment: "Moment") -> list[str]:
    """Return the ways that fail now."""
    outside = moment.outside
    ways = [
        name
        for network, name in enumerate(NETWORKS)
        if any(row[network] for row in outside.deaf) or name in outside.unplugged
    ]
    if any(box.powered and box.process is not Process.UP for box in moment.boxes):
        ways.append(DAEMON)
    return ways


def allows(moment: "Moment", happening: "Happening") -> bool:
    if not binds(moment) or not happening.costs:
        return True
    if happening.node is not None:
        return not too_early(moment)
    if not happening.way:
        return True
    others = [way for way in failing(moment) if way != happening.way]
    if others or (moment.outside.way != happening.way and moment.outside.calm < SETTLES):
        return False
    return happening.way != DAEMON or _kernels_speak(moment)


def too_early(moment: "Moment") -> bool:
    """Tell whether a Primary may have acknowledged writes of which its peer cannot know."""
    outside = moment.outside
    return outside.way == NETWORKS[1] and outside.since < SETTLES


def remember(moment: "Moment", happening: "Happening") -> None:
    """Note which way has begun to fail."""
    if binds(moment) and happening.costs and happening.way:
        moment.outside.way, moment.outside.since = happening.way, 0


def pass_time(moment: "Moment") -> None:
    if not binds(moment):
        return
    outside = moment.outside
    outside.since = min(outside.since + 1, SETTLES)
    outside.calm = 0 if failing(moment) else min(outside.calm + 1, SETTLES)
    if outside.since == outside.calm == SETTLES:
        outside.way = ""


def _kernels_speak(moment: "Moment") -> bool:
    copies = moment.copies
    return moment.path_works and copies is not None and copies.resource.linked
