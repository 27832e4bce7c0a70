"""What the monitors of an application say, for clstat and lemsctl. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Paint, Style, columns, filled, span_text, stamp

STYLES: Final = {"good": Style.GOOD, "warning": Style.WARNING, "failed": Style.ALARM}
BAD: Final = ("failed", "warning")
TEXT_SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class MonitorStatus:
    name: str
    kind: str
    state: str  # "good", "warning", "failed", "waiting" or "halted"
    text: str
    since_s: float
    checks: int
    failures: int
    last_s: float
    interval_s: float
    origin: str
    changed: str  # How it differs from appconf.xml; empty: it does not.
    halted_wall_s: float | None
    perf: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """What a node says of the Lems of an application that runs there."""

    why: str = ""  # Why nobody watches it.
    answers: bool = True  # Since its start its monitors found it well at least once.
    restarts: int = 0  # So many here before it moves.


def read_monitors(reader: Reader) -> tuple[MonitorStatus, ...]:
    return tuple(_read(inner) for inner in reader.inners("monitors"))


def _read(reader: Reader) -> MonitorStatus:
    perf = reader.inner("perf")
    return MonitorStatus(
        name=reader.text("name"),
        kind=reader.text("kind"),
        state=reader.text("state", "waiting"),
        text=reader.text("text"),
        since_s=reader.number("since_s") or 0.0,
        checks=reader.whole("checks"),
        failures=reader.whole("failures"),
        last_s=reader.number("last_s") or 0.0,
        interval_s=reader.number("interval_s") or 0.0,
        origin=reader.text("origin"),
        changed=reader.text("changed"),
        halted_wall_s=reader.number("halted_wall_s"),
        perf=tuple((name, perf.text(name)) for name in perf.names()),
    )


def read_watch(reader: Reader) -> WatchStatus | None:
    """Return what is said of the watching; None when nothing is: an old version, or not there."""
    if not reader.content:
        return None
    answers = reader.flag("answers")
    return WatchStatus(reader.text("why"), answers is not False, reader.whole("restarts"))


def state_lines(monitors: Sequence[MonitorStatus], paint: Paint) -> Iterator[str]:
    """Yield a line for each monitor: how it is, since when, what it said."""
    rows = [
        (
            each.name,
            paint(STYLES.get(each.state, Style.PLAIN), each.state),
            span_text(each.since_s) if each.since_s else "",
            f"{each.checks} checks, {each.failures} failed",
            _said(each),
        )
        for each in monitors
    ]
    yield from columns(rows, "  ")


def _said(monitor: MonitorStatus) -> str:
    said = monitor.text[:TEXT_SHOWN]
    if monitor.halted_wall_s is not None:
        said = f"since {stamp(monitor.halted_wall_s)}"
    data = " ".join(f"{name}={value}" for name, value in monitor.perf)
    return " ".join(filter(None, (said, f"[{data}]" if data else "")))


def list_lines(monitors: Sequence[MonitorStatus]) -> Iterator[str]:
    """Yield a line for each monitor: what it is, and where it comes from."""
    rows = [
        (each.name, each.kind, f"every {each.interval_s:g} s", each.origin, each.changed)
        for each in monitors
    ]
    yield from columns(rows, "  ")


def changed_lines(name: str, changed: Sequence[str]) -> Iterator[str]:
    """Say how what is in force differs from appconf.xml, and what to do about it."""
    if changed:
        yield from filled(f"{', '.join(changed)}", "differs from appconf.xml: ")
        text = f"clbuildapp {name} --take-monitors writes it there, --drop-monitors drops it"
        yield from filled(text, "-> ")


def summary(monitors: Sequence[MonitorStatus]) -> str:
    """Say in a few words how they all are, e.g. "3 good, 1 halted"."""
    counts: dict[str, int] = {}
    for each in monitors:
        counts[each.state] = counts.get(each.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def bad_texts(monitors: Sequence[MonitorStatus]) -> Iterator[str]:
    """Yield what those say that fail or warn."""
    for each in monitors:
        if each.state in BAD:
            since = f" for {span_text(each.since_s)}" if each.since_s >= 1 else ""
            text = f": {each.text[:TEXT_SHOWN]}" if each.text else ""
            yield f"{each.name} {each.state}{since}{text}"


def awaited(monitors: Sequence[MonitorStatus]) -> str:
    """Say which monitors an application that was started has not yet satisfied."""
    bad = (each for each in monitors if each.state not in {"good", "warning", "halted"})
    return ", ".join(f"{each.name} ({each.text or each.state})" for each in bad)
