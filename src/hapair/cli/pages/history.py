"""The history of both nodes, and following it while something happens."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hapair.cli.screen.reading import Json, Reader
from hapair.cli.screen.terminal import Paint, Style, stamp
from hapair.model.timeline import Happening
from hapair.rpc.client import ask
from hapair.rpc.history import read_happening
from hapair.rpc.messages import JsonObject, Malformed

NEWEST: Final = 200  # How many of the newest lines one look asks for.
NAME_WIDTH: Final = len("remove addresses")


def read_history(answer: Json) -> tuple[Happening, ...]:
    """Return the lines of an answer to ``events``, oldest first, both nodes in one row.

    A line that this version does not understand is passed over.
    """
    found: list[Happening] = []
    for inner in Reader(answer).inners("events"):
        try:
            found.append(read_happening(dict(inner.content)))
        except Malformed:
            continue
    return tuple(sorted(found, key=lambda each: (each.wall_s, each.node, each.number)))


def newest(limit: int = NEWEST) -> tuple[Happening, ...]:
    """Ask the daemon for the newest lines of both nodes."""
    args: JsonObject = {"since": 0, "limit": limit, "both": True}
    return read_history(ask("events", args))


@dataclass(slots=True)
class Follower:
    """Tells what is new since it was made. It compares numbers, never the nodes' clocks."""

    seen: set[tuple[str, int]] = field(default_factory=set)
    all_new: list[Happening] = field(default_factory=list)

    @classmethod
    def from_now(cls) -> "Follower":
        return cls({identity(happening) for happening in newest()})

    @classmethod
    def after(cls, shown: Iterable[Happening]) -> "Follower":
        return cls({identity(happening) for happening in shown})

    def new(self) -> tuple[Happening, ...]:
        """Return what is new since the last call."""
        fresh = tuple(each for each in newest() if identity(each) not in self.seen)
        self.seen.update(identity(happening) for happening in fresh)
        self.all_new += fresh
        return fresh


def identity(happening: Happening) -> tuple[str, int]:
    return happening.node, happening.number


def style_of(happening: Happening) -> Style:
    return {"alarm": Style.ALARM, "warning": Style.WARNING}.get(happening.severity, Style.PLAIN)


def line_of(happening: Happening, paint: Paint) -> str:
    """Write one line of the history with its moment."""
    tenths = f".{int(happening.wall_s * 10) % 10}"
    return f"{stamp(happening.wall_s)}{tenths}  {rest_of_line(happening, paint)}"


def step_line(happening: Happening, begun_wall_s: float, paint: Paint) -> str:
    """Write one line of the history with the seconds since a command was given."""
    after_s = max(happening.wall_s - begun_wall_s, 0.0)
    return f"{after_s:7.1f} s  {rest_of_line(happening, paint)}"


def rest_of_line(happening: Happening, paint: Paint) -> str:
    text, about = happening.text, happening.application
    if about and text.split(":")[0] != about:
        text = f"{about}: {text}"
    took = "" if happening.took_s is None else f" ({happening.took_s:.2f} s)"
    name = paint(style_of(happening), f"{happening.name:<{NAME_WIDTH}}")
    return f"{happening.node}  {name}  {text}{took}"
