"""Timelines of failovers as text and as JSON. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from hapair.cli.screen.terminal import Paint, Style, stamp
from hapair.model.timeline import Timeline
from hapair.rpc.messages import JsonObject

MEANINGS: Final = {
    "silent": "the peer was heard for the last time",
    "detected": "no heartbeat on any network for the detection time",
    "granted": "this node has the right to act alone",
    "decided": "taken over",
    "promoted": "the data is Primary here",
    "mounted": "file systems checked and mounted",
    "addresses": "addresses added and announced",
    "started": "the program runs",
    "answers": "all its monitors find it well",
}


def failover_lines(found: Iterable[Timeline], paint: Paint) -> Iterator[str]:
    """Yield each failover with its steps, the oldest first."""
    number = 0
    for number, timeline in enumerate(found, start=1):
        if number > 1:
            yield ""
        moment = stamp(timeline.began_wall_s)
        yield paint(Style.STRONG, f"{moment}  {timeline.node} lost its peer")
        before_s = 0.0
        for step in timeline.steps:
            about = f"{step.application}: " if step.application else ""
            more = f"+{step.after_s - before_s:.1f}"
            text = f"{about}{MEANINGS.get(step.name, '')}"
            yield f"  {step.after_s:6.1f} s {more:>7}  {step.name:<10} {text}"
            before_s = step.after_s
        yield f"  {timeline.total_s:6.1f} s          in all"
    if not number:
        yield "no failover in this history"


def failover_objects(found: Iterable[Timeline]) -> list[JsonObject]:
    return [
        {
            "node": timeline.node,
            "began_wall_s": timeline.began_wall_s,
            "total_s": round(timeline.total_s, 4),
            "steps": [
                {
                    "name": step.name,
                    "application": step.application,
                    "after_s": round(step.after_s, 4),
                    "took_s": step.took_s,
                }
                for step in timeline.steps
            ],
        }
        for timeline in found
    ]
