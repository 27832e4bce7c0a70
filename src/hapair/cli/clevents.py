"""clevents: what happened on both nodes."""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from hapair.cli.common import ExitCode, print_json, run
from hapair.cli.pages.history import Follower, line_of, newest
from hapair.cli.pages.render_events import failover_lines, failover_objects
from hapair.cli.screen import parsers
from hapair.cli.screen.output import NobodyReadsError, print_on
from hapair.cli.screen.terminal import paint_for
from hapair.model.timeline import Happening, timelines
from hapair.rpc.history import happening_object
from hapair.rpc.messages import DaemonDown

LINES_DEFAULT: Final = 50
ALL_LINES: Final = 2000
LOOK_S: Final = 0.5

PAGE: Final = parsers.Page(
    name="clevents",
    summary="show what happened on both nodes",
    does="""
        Each line tells the moment, the node, what happened, and where it was measured how long it
        took. Both nodes' histories are shown in one row; a node that does not answer tells its
        part later. Without options the last 50 lines are shown.

        --failovers shows each failover as a timeline, counted from the moment at which the lost
        node was heard for the last time: silent, detected, granted, decided, promoted, mounted,
        addresses, started, answers (all monitors of the application find it well).

        When the daemon is down, the history of this node is read from its file.
    """,
    never=(
        "It changes nothing.",
        (
            "It never compares the clocks of the two nodes for a timeline: each is counted on the"
            " clock of the node that took over."
        ),
    ),
    examples=(
        parsers.Example("clevents --since 2h", "the last two hours"),
        parsers.Example("clevents --application orders --follow", "orders, as it happens"),
        parsers.Example("clevents --failovers", "how long each part of each failover took"),
    ),
    files=(("/var/lib/hapair/events.jsonl", "the history of this node, one JSON object per line"),),
    see_also=("clstat(1)", "journalctl(1)"),
)


def moment(text: str) -> float:
    """Read "2h" (ago), "14:30" (today) or "2026-01-31 14:30" as wall clock seconds."""
    if re.fullmatch(r"\d+(\.\d+)?\s*(ms|s|m|min|h|d)?", text.strip()):
        return time.time() - parsers.duration_s(text)
    today = time.strftime("%Y-%m-%d")
    for form, value in (
        ("%Y-%m-%d %H:%M:%S", text),
        ("%Y-%m-%d %H:%M", text),
        ("%Y-%m-%d", text),
        ("%Y-%m-%d %H:%M:%S", f"{today} {text}"),
        ("%Y-%m-%d %H:%M", f"{today} {text}"),
    ):
        try:
            return time.mktime(time.strptime(value.strip(), form))
        except (ValueError, OverflowError):
            continue
    raise argparse.ArgumentTypeError(
        f"{text!r} is no moment; write for example 2h, 14:30 or '2026-01-31 14:30'"
    )


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "--failovers", action="store_true", help="show each failover as a timeline with seconds"
    )
    made.add_argument(
        "--since",
        metavar="WHEN",
        type=moment,
        help="only what happened since then: 2h, 14:30 or '2026-01-31 14:30'",
    )
    made.add_argument("--application", metavar="APP", help="only what concerns this application")
    made.add_argument(
        "--lines",
        metavar="N",
        type=parsers.count,
        help="at most the newest N lines (default: 50; with --since all)",
    )
    made.add_argument("--follow", action="store_true", help="show what happens until Ctrl-C")
    parsers.add_json(made, "print JSON; with --follow one object per line")
    whole = "a timeline is shown as a whole"
    made.refuse_beside("--failovers", ("--follow", "--lines"), whole)
    return made


def body(options: argparse.Namespace) -> int:
    history = wanted(_history(), options)
    if options.failovers:
        found = timelines(history)
        if options.json:
            print_json({"failovers": failover_objects(found)})
        else:
            print("\n".join(failover_lines(found, paint_for(sys.stdout))))
        return int(ExitCode.DONE)
    default = ALL_LINES if options.since is not None else LINES_DEFAULT
    limit = options.lines if options.lines is not None else default
    shown = history[-limit:]
    if options.json and not options.follow:
        print_json({"events": [happening_object(happening) for happening in shown]})
        return int(ExitCode.DONE)
    with suppress(NobodyReadsError):
        _show(shown, options)
        if options.follow:
            _follow(options)
    return int(ExitCode.DONE)


def wanted(history: Iterable[Happening], options: argparse.Namespace) -> list[Happening]:
    """Keep what was asked for; a timeline also needs what concerns the whole node."""
    found = []
    for happening in history:
        about = happening.application
        other = options.application and about != options.application
        if other and not (options.failovers and not about):
            continue
        if options.since is None or happening.wall_s >= options.since:
            found.append(happening)
    return found


def _history() -> tuple[Happening, ...]:
    try:
        return newest(ALL_LINES)
    except DaemonDown:
        from hapair.cli.pages.offline import history_from_file  # noqa: PLC0415 - only when needed

        history = history_from_file()
        print("clevents: the daemon does not answer; this is this node's own file", file=sys.stderr)
        return history


def _show(history: Iterable[Happening], options: argparse.Namespace) -> None:
    paint = paint_for(sys.stdout)
    for happening in history:
        if options.json:
            print_on(json.dumps(happening_object(happening)))
        else:
            print_on(line_of(happening, paint))


def _follow(options: argparse.Namespace) -> None:
    """Show what is new until Ctrl-C; a daemon that is restarted meanwhile is waited for."""
    follower = Follower.from_now()
    with suppress(KeyboardInterrupt):  # That is how one ends it.
        while True:
            time.sleep(LOOK_S)
            try:
                fresh = follower.new()
            except DaemonDown:
                continue
            _show(wanted(fresh, options), options)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
