"""What comes next for an application on one node, and what blocks it. Pure."""

from collections.abc import Iterator
from typing import Final

from hapair.cli.pages.monitors import WatchStatus
from hapair.cli.pages.status import ApplicationStatus, ItemStatus
from hapair.cli.screen.terminal import span_text, stamp

LAYERS: Final = ("attached", "promoted", "mounted", "addressed", "program")
NEXT_UP: Final = {
    "attached": "attach and connect the data",
    "promoted": "make the data Primary",
    "mounted": "mount",
    "addressed": "add the addresses",
    "program": "start the program",
}
NEXT_DOWN: Final = {
    "attached": "take the replication down",
    "promoted": "make the data Secondary",
    "mounted": "unmount",
    "addressed": "remove the addresses",
    "program": "stop the program",
}


def next_step(application: ApplicationStatus) -> str:
    """Return the next action on this node; empty when there is none."""
    items = sorted(application.items, key=_position)
    match application.phase:
        case "starting":
            return _named([item for item in items if item.known != "up"], NEXT_UP)
        case "stopping" | "stuck":
            above = [item for item in items if item.layer != "attached" and item.known != "down"]
            return _named(above[::-1], NEXT_DOWN)
        case "unknown":
            return "look at what is up"
        case _:
            return ""


def _position(item: ItemStatus) -> int:
    return LAYERS.index(item.layer) if item.layer in LAYERS else len(LAYERS)


def _named(items: list[ItemStatus], words: dict[str, str]) -> str:
    if not items:
        return ""
    item = items[0]
    doing = " (under way)" if item.busy else ""
    return f"{words.get(item.layer, item.layer)} {item.resource}".strip() + doing


def under_way_text(application: ApplicationStatus) -> str:
    """Say how long its program has been started or stopped, and what that waits for."""
    doing = application.under_way
    if doing is None:
        return ""
    text = (
        f"{doing.do} goes on for {span_text(doing.since_s)} of at most {span_text(doing.limit_s)}"
    )
    return f"{text}: {doing.waits}" if doing.waits else text


def blocks(application: ApplicationStatus) -> Iterator[str]:
    """Yield what went wrong with each layer the last time it was tried."""
    for item in application.items:
        if item.last_error:
            rung = f" (rung {item.rung} of the stop ladder)" if item.rung else ""
            yield f"{item.layer} {item.resource}: {item.last_error}{rung}".replace(" :", ":")
    if application.failed_on:
        yield failed_text(application)


def failed_text(application: ApplicationStatus) -> str:
    """Say on which nodes the last start failed, how often in a row, and when."""
    known = {each.node: each for each in application.failures}
    nodes: list[str] = []
    for node in application.failed_on:
        failure = known.get(node)
        times = f"{failure.count} times, " if failure and failure.count > 1 else ""
        when = f" ({times}last {stamp(failure.wall_s)})" if failure and failure.wall_s else ""
        nodes.append(f"{node}{when}")
    return f"its last start failed on {' and '.join(nodes)}"


def restarts_text(application: ApplicationStatus, watch: WatchStatus) -> str:
    """Say how often it is restarted here before it moves, and how many of that are left."""
    here = (each.runs for each in application.failures if each.node == application.owner)
    left = watch.restarts - sum(here)
    if watch.restarts == 0:
        return "a failure moves it at once"
    return f"{max(left, 0)} of {watch.restarts} restarts here are left before it moves"
