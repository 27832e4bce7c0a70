"""clalert: what was told to whom, and answering it."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, ask, call, print_json, run
from hapair.cli.screen import parsers
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Paint, Style, paint_for, stamp
from hapair.core.alerts.book import FOR_EVER_S
from hapair.rpc.messages import JsonObject, RpcError

PAGE: Final = parsers.Page(
    name="clalert",
    summary="show who was told what needs a person, try the receivers, and answer",
    does="""
        The receivers stand in clconf.xml under <alerts>: hook programs, mail, webhooks, syslog and
        SNMP traps. They are told what clstat shows under NEEDS YOU, once for each cause, whichever
        node sees it; that it is over; warnings and alarms of the history; and each failover.

        list shows what is open, with its number, and the receivers. test sends a letter to one
        receiver or to all, and waits for what comes of it. answer says that somebody looks after
        what is open: it is not repeated until it is over, or for the time of --for, also when it
        comes back within an hour. history shows
        the letters that this node sent last.
    """,
    never=(
        "It never mends anything: answering keeps reminders away and nothing else.",
        "It never shows a secret.",
    ),
    examples=(
        parsers.Example("clalert", "what is open, and how the receivers are"),
        parsers.Example("clalert test admins", "try the receiver admins"),
        parsers.Example(
            "clalert answer 40217 --for 8h --reason 'disk ordered'", "no reminder for 8 h"
        ),
        parsers.Example("clalert answer", "answer everything that is open"),
    ),
    files=(
        ("/etc/cluster/clconf.xml", "the receivers: <alerts>"),
        ("/usr/share/doc/hapair/alerts.md", "what is told, and how to set it up"),
    ),
    see_also=("clstat(1)", "clevents(1)", "hapair-alerts(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        default="list",
        choices=("list", "test", "answer", "history"),
        help="list (without one), test, answer or history",
    )
    made.add_argument(
        "what",
        metavar="WHAT",
        nargs="*",
        help="test: the name of a receiver; answer: numbers of alerts (without one: all)",
    )
    made.add_argument(
        "--for",
        dest="span_s",
        metavar="TIME",
        type=parsers.time_limit_s,
        help="answer: repeat it again after this long, e.g. 8h (without it: not until it is over)",
    )
    made.add_argument("--reason", metavar="TEXT", default="", help="answer: who does what; shown")
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    how = options.span_s is not None or options.reason
    most = {"list": 0, "history": 0, "test": 1}.get(options.action, len(options.what))
    if len(options.what) > most or (how and options.action != "answer"):
        raise RpcError(
            f"{options.action} takes fewer arguments than that",
            "clalert --help tells what may be written",
            exit_code=ExitCode.USAGE,
        )
    match options.action:
        case "test":
            return _test(options)
        case "answer":
            return _answer(options)
        case _:
            return _show(options)


def _show(options: argparse.Namespace) -> int:
    boards = Reader(ask("alerts")).inner("boards").content
    board, there = boards.get("here"), boards.get("there")
    if not isinstance(board, dict):
        raise RpcError(
            "no process sends alerts on this node",
            "write <alerts> into clconf.xml and type clbuild; if it has one: systemctl restart"
            " hapair-alerts",
            exit_code=ExitCode.NOT_NOW,
        )
    if options.json:
        print_json({"here": board, "there": there})
        return int(ExitCode.DONE)
    paint = paint_for(sys.stdout)
    if options.action == "history":
        lines = _sent_lines(board)
    else:
        lines = _lines(board, paint, is_heard=isinstance(there, dict))
    print("\n".join(lines))
    return int(ExitCode.DONE)


def _lines(board: JsonObject, paint: Paint, *, is_heard: bool) -> list[str]:
    opens = Reader(board).inner("book").inners("opens")
    returns = {
        each.whole("number"): each.whole("returns") for each in Reader(board).inners("returns")
    }
    lines = [] if opens else ["nothing is open"]
    for each in opens:
        cause = each.inner("cause")
        style = Style.ALARM if cause.text("level") == "alarm" else Style.WARNING
        lines.append(
            f"{each.whole('number'):>4} {paint(style, cause.text('level'))}"
            f" {cause.text('about')}: {cause.text('text')}"
        )
        state = _state(each)
        if count := returns.get(each.whole("number")):
            state += f"; it comes and goes: back {count} time{'s' if count > 1 else ''}"
        lines.append(f"     since {stamp(each.number('since_s') or 0.0)}; {state}")
    for receiver in Reader(board).inners("receivers"):
        waiting = receiver.whole("waiting")
        state = f"{waiting} wait" if waiting else "nothing waits"
        if error := receiver.text("error"):
            state += f"; the last try failed: {error}"
        if given_up := receiver.whole("given_up"):
            last = stamp(receiver.number("given_up_s") or 0.0)
            state += f"; {given_up} given up, the last one {last}: {receiver.text('why')}"
        lines.append(f"receiver {receiver.text('receiver')}: {state}")
    if not is_heard:
        lines.append("the other node's process is not heard of: this node tells everything")
    return lines


def _state(each: Reader) -> str:
    told_by = each.text("told_by")
    state = f"told by {told_by}" if told_by else "not told yet"
    answer = each.inner("answer")
    until_s = answer.number("until_s") or 0.0
    if until_s >= FOR_EVER_S:
        state += "; answered until it is over"
    elif until_s:
        state += f"; answered until {stamp(until_s)}"
    reason = answer.text("text")
    return f"{state}: {reason}" if reason else state


def _sent_lines(board: JsonObject) -> list[str]:
    lines = []
    for each in Reader(board).inners("sent"):
        outcome = each.text("error")
        line = f"{stamp(each.number('at_s') or 0.0)} {each.text('receiver')}: "
        lines.append(line + each.text("subject") + (f" - NOT SENT: {outcome}" if outcome else ""))
    return lines or ["this node has sent nothing"]


def _test(options: argparse.Namespace) -> int:
    name = options.what[0] if options.what else ""
    answer = call("alerts-test", {"receiver": name})
    tried = Reader(answer).inners("receivers")
    failed = [each for each in tried if each.text("error")]
    if options.json:
        print_json({"receivers": answer.get("receivers")})
    else:
        for each in tried:
            print(f"{each.text('receiver')}: {each.text('error') or 'taken'}")
    return int(ExitCode.REFUSED if failed else ExitCode.DONE)


def _answer(options: argparse.Namespace) -> int:
    if wrong := [word for word in options.what if not word.isascii() or not word.isdigit()]:
        raise RpcError(
            f"{wrong[0]!r} is no number of an alert",
            "list them with: clalert list",
            exit_code=ExitCode.USAGE,
        )
    args: JsonObject = {
        "numbers": [int(word[:9]) for word in options.what],
        "reason": options.reason,
    }
    if options.span_s is not None:
        args["for_s"] = options.span_s
    answer = call("alerts-answer", args)
    numbers = answer.get("answered")
    if options.json:
        print_json({"answered": numbers})
    else:
        count = len(numbers) if isinstance(numbers, list) else 0
        print(f"answered: {count} alert(s)" if count else "nothing is open")
    return int(ExitCode.DONE)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
