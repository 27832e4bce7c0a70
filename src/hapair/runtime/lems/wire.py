"""What Lems and the daemon say to each other: one JSON object per line, each of them one word.

A word that nobody knows is one of another version, and is passed over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from hapair.model.monitor import MONITORS_MAX, Finding
from hapair.rpc.messages import JsonObject, Malformed, dump, parse_object
from hapair.runtime.codec import decode

LINE_BYTES_MAX: Final = 1024 * 1024
TEXT_MAX: Final = 500  # Signs of what a monitor says; plug-ins of others may say much more.
NAME_MAX: Final = 64
PERF_MAX: Final = 32
STATES: Final = ("good", "warning", "failed", "waiting", "halted")


@dataclass(frozen=True, slots=True)
class ParentHello:
    """The process that forks Lems is there."""

    version: str


@dataclass(frozen=True, slots=True)
class Hello:
    """A Lems is there; it may have outlived an earlier daemon."""

    application: str
    version: str
    run: int  # What it watches; 0: nothing yet.


@dataclass(frozen=True, slots=True)
class NotForked:
    application: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """All monitors of a run that count as failed."""

    run: int
    findings: tuple[Finding, ...]
    well: bool = True  # One was good already; an older version does not tell.


@dataclass(frozen=True, slots=True)
class MonitorState:
    """What one monitor says."""

    name: str
    state: str  # One of STATES.
    text: str = ""
    since_wall_s: float = 0.0  # Since when it has been so; 0: not known.
    checks: int = 0
    failures: int = 0
    last_s: float = 0.0  # How long the last check took.
    perf: tuple[tuple[str, str], ...] = ()  # Performance data of a plug-in: names and values.


@dataclass(frozen=True, slots=True)
class States:
    run: int
    monitors: tuple[MonitorState, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer to Check."""

    number: int
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class NotWatched:
    """What it was told to watch is not understood."""

    why: str


@dataclass(frozen=True, slots=True)
class Sign:
    """Whoever says it lives; that is all there is to it."""


Word: TypeAlias = ParentHello | Hello | NotForked | Found | States | Checked | NotWatched | Sign


def read_word(line: bytes) -> Word:
    """Read a line; Malformed when it is none of this language."""
    value = parse_object(line)
    match value:
        case {"hello": "parent"}:
            return ParentHello(_text(value, "version"))
        case {"hello": "lems"}:
            run = value.get("run", 0)
            return Hello(_name(value, "application"), _text(value, "version"), _whole(run))
        case {"not-forked": str()}:
            return NotForked(_name(value, "not-forked"), _text(value, "why"))
        case {"findings": dict() as found}:
            well = found.get("well") is not False
            return Found(_whole(found.get("run")), _findings(found), well)
        case {"states": dict() as told}:
            return States(_whole(told.get("run")), _states(told))
        case {"checked": dict() as checked}:
            return Checked(_whole(checked.get("id")), _state(checked), _text(checked, "text"))
        case {"refused": str()}:
            return NotWatched(_text(value, "refused"))
        case _:
            return Sign()


def order(**word: object) -> bytes:
    """Write what Lems or their parent are to do."""
    return dump(word)


def _listed(value: Mapping[str, object], name: str) -> list[object]:
    listed = value.get(name)
    if not isinstance(listed, list) or len(listed) > MONITORS_MAX:
        raise Malformed(f'"{name}" is no list of at most {MONITORS_MAX}')
    return listed


def _findings(found: JsonObject) -> tuple[Finding, ...]:
    findings = (decode(Finding, each) for each in _listed(found, "findings"))
    return tuple(
        replace(each, monitor=each.monitor[:NAME_MAX], text=each.text[:TEXT_MAX])
        for each in findings
    )


def _states(told: JsonObject) -> tuple[MonitorState, ...]:
    return tuple(_monitor(each) for each in _listed(told, "monitors") if isinstance(each, dict))


def _monitor(value: JsonObject) -> MonitorState:
    return MonitorState(
        _name(value, "name"),
        _state(value),
        _text(value, "text"),
        _number(value, "since_s"),
        _whole(value.get("checks", 0)),
        _whole(value.get("failures", 0)),
        _number(value, "last_s"),
        _perf(value.get("perf")),
    )


def _perf(value: object) -> tuple[tuple[str, str], ...]:
    data = value.items() if isinstance(value, dict) else ()
    return tuple((str(name)[:NAME_MAX], str(each)[:NAME_MAX]) for name, each in data)[:PERF_MAX]


def _state(value: JsonObject) -> str:
    """Return a state; one of a newer version is none that anybody should act on."""
    state = value.get("state")
    return str(state) if state in STATES else "waiting"


def _name(value: JsonObject, name: str) -> str:
    text = _text(value, name)[:NAME_MAX]
    if not text:
        raise Malformed(f'no "{name}"')
    return text


def _text(value: JsonObject, name: str) -> str:
    text = value.get(name, "")
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Malformed(f'"{name}" is no text')
    return text[:TEXT_MAX]


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed("a number is missing")
    return value


def _number(value: JsonObject, name: str) -> float:
    number = value.get(name) or 0.0
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise Malformed(f'"{name}" is no number')
    return float(number)
