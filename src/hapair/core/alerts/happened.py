"""Lines of the history that a person is told: events, and one message for each failover."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hapair.model.alerts import Kind, Level, Message
from hapair.model.timeline import CLOSING, OPENING, STEPS, Happening, timelines

QUIET_S: Final = 600.0  # What is told is told again no sooner; meanwhile it is counted.
QUIET_MAX_S: Final = 6 * 3600.0  # What goes on and on is told each time after twice as long.
KINDS_MAX: Final = 40  # Of events that are remembered at once; they fit into an outbox.
UNFINISHED_S: Final = 120.0  # A take-over that is not complete after this has failed so far.
PARTS_MAX: Final = 2000
FAILED: Final = ("failed-here", "failed-everywhere")
WHY: Final = "start-failed"  # Says why, and is tried again.
LAST: Final = "started"
SHOWN_MAX: Final = 10  # Applications, and twice as many steps.


@dataclass(frozen=True, slots=True)
class Told:
    """An event that was told, and how often it happened since."""

    key: str
    since_s: float
    level: Level
    about: str
    text: str
    more: int = 0
    quiet_s: float = QUIET_S  # From ``since_s`` on it is only counted.


def tell(
    told: tuple[Told, ...], lines: Iterable[Happening], causes: frozenset[str], now_s: float
) -> tuple[tuple[Told, ...], tuple[Message, ...]]:
    """Return what happened that is neither a cause by itself nor part of a failover.

    ``causes`` are the names of lines with which a cause begins: it is told as long as it holds.
    """
    known, messages, untold = {each.key: each for each in told}, [], 0
    for line in lines:
        if line.severity not in tuple(Level) or line.name in causes or line.name in STEPS:
            continue
        about = line.application or line.node
        key = f"{about} {line.name}"
        if key in known:
            known[key] = replace(known[key], more=known[key].more + 1, text=line.text)
        elif len(known) < KINDS_MAX:
            known[key] = Told(key, now_s, Level(line.severity), about, line.text)
            messages.append(_event(known[key], line.text, line.wall_s, line.node))
        else:
            untold += 1
    for each in tuple(known.values()):
        if 0 <= now_s - each.since_s < each.quiet_s:
            continue
        del known[each.key]
        if each.more:
            text = f"{each.text} ({each.more} times more by now)"
            messages.append(_event(each, text, now_s, ""))
            quiet_s = min(each.quiet_s * 2, QUIET_MAX_S)
            known[each.key] = replace(each, since_s=now_s, more=0, quiet_s=quiet_s)
    if untold:
        text = f"{untold} more events are not told; see: clevents"
        messages.insert(0, Message(Kind.EVENT, Level.ALARM, "history", text, now_s, ""))
    return tuple(known.values()), tuple(messages)


def _event(told: Told, text: str, at_s: float, node: str) -> Message:
    return Message(Kind.EVENT, told.level, told.about, text, at_s, node)


@dataclass(frozen=True, slots=True)
class Failover:
    """The failover that goes on, or went on last, as far as this node's history tells."""

    parts: tuple[Happening, ...] = ()  # From the moment on at which the peer was heard last.
    told: bool = False


def follow(
    failover: Failover, lines: Sequence[Happening], last: Mapping[str, str], now_s: float
) -> tuple[Failover, tuple[Message, ...]]:
    """Take further lines in their order; return the message of each failover that came to an end.

    It ends when each application that was taken over runs or has failed to start, when the peer is
    back, or after a while: the message then says that it is not complete. ``last`` names the last
    step of an application that has no program.
    """
    messages: list[Message] = []
    for line in lines:
        rebooted = failover.parts and line.at_s < failover.parts[0].at_s
        if line.name in {OPENING, CLOSING} or rebooted:
            messages += _ended(failover, last, now_s, must=True)
            failover = Failover((line,) if line.name == OPENING else ())
        elif failover.parts and line.name in (*STEPS, *FAILED, WHY) and not failover.told:
            failover = replace(failover, parts=(*failover.parts, line)[:PARTS_MAX])
    found = _ended(failover, last, now_s, must=False)
    if found:
        failover = Failover(failover.parts[:1], told=True)
    return failover, (*messages, *found)


def _ended(
    failover: Failover, last: Mapping[str, str], now_s: float, *, must: bool
) -> tuple[Message, ...]:
    parts = failover.parts
    taken = [part for part in parts if part.name == "decided"]
    if not taken or failover.told:
        return ()
    names = tuple(dict.fromkeys(part.application for part in taken))
    reached = {(part.application, part.name) for part in parts}
    missing = [name for name in names if (name, last.get(name, LAST)) not in reached]
    broken = {part.application for part in parts if part.name in FAILED}
    waits = 0 <= now_s - taken[-1].wall_s < UNFINISHED_S and not must
    if waits and any(name not in broken for name in missing):
        return ()
    return (_failover(parts, names, missing),)


def _failover(parts: Sequence[Happening], names: Sequence[str], missing: Sequence[str]) -> Message:
    node = parts[0].node
    (timeline,) = timelines(part for part in parts if part.name in STEPS)
    more = len(names) - SHOWN_MAX
    shown = ", ".join(names[:SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
    steps = "; ".join(
        f"{f'{step.name} {step.application}'.strip()} {step.after_s:.1f} s"
        for step in timeline.steps[1 : 1 + 2 * SHOWN_MAX]
    )
    level, to_do = Level.WARNING, "clevents --failovers shows the timeline"
    text = f"{node} has taken over {shown} in {timeline.total_s:.1f} s"
    if missing:
        name = missing[0]
        why = [p.text for p in parts if p.application == name and p.name in (*FAILED, WHY)]
        level, to_do = Level.ALARM, f"clstat --why {name}"
        text = f"{node} took over {shown}, but {name} does not run"
        text += f": {why[-1]}" if why else " yet"
    return Message(Kind.FAILOVER, level, node, f"{text} ({steps})", parts[-1].wall_s, node, to_do)
