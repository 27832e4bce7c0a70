"""lemsctl: what watches an application, while it runs."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from hapair.cli.common import ExitCode, ask, call, print_json, run
from hapair.cli.pages.monitors import (
    changed_lines,
    list_lines,
    read_monitors,
    state_lines,
    summary,
)
from hapair.cli.screen import parsers
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Paint, filled, paint_for, span_text, stamp
from hapair.rpc.messages import JsonObject, RpcError

LIST: Final = "list"
STATUS: Final = "status"
HISTORY: Final = "history"
CHECK: Final = "check"
ADD: Final = "add"
CHANGES: Final = ("halt", "resume", "remove", ADD)
DOES: Final = (LIST, STATUS, "halt", "resume", ADD, "remove", CHECK, HISTORY)
GOOD: Final = ("good", "warning")

PAGE: Final = parsers.Page(
    name="lemsctl",
    summary="show and change what watches an application, while it runs",
    does="""
        Each application that runs is watched by a process of its own, its Lems. The monitors are
        those of appconf.xml, and two that are always there: filesystem and process. lemsctl works
        on the running Lems, from either node.

        status (also without a word) tells how each monitor is, since when, and what it said last;
        list tells what it is and where it comes from; history what it said before. check asks one
        now and ends with 0 if it is good, or good with a warning, and with 1 if not.

        halt has a monitor say nothing until resume; add and remove change which there are. The
        kinds and keys of add are the elements and attributes of <monitors> in appconf.xml, e.g.
        tcp address=127.0.0.1 port=5432 interval=5s; resume also brings back one that was removed.

        A change holds at once, on both nodes, and over restarts and moves. It is shown as differing
        from appconf.xml, by clstat too, until clbuildapp APP --take-monitors writes it there, or
        --drop-monitors drops it.
    """,
    never=(
        "It never stops, starts or moves the application: the daemon decides about that.",
        "It never changes appconf.xml.",
    ),
    examples=(
        parsers.Example("lemsctl orders", "how its monitors are"),
        parsers.Example("lemsctl orders halt port", "have one say nothing for a while"),
        parsers.Example(
            "lemsctl orders add http name=page url=http://127.0.0.1/", "watch one thing more"
        ),
        parsers.Example("lemsctl orders check page", "ask it now"),
    ),
    files=(
        ("/etc/cluster/APP/appconf.xml", "the monitors as they are written"),
        ("/var/lib/hapair/monitors.json", "what lemsctl changed, on both nodes"),
    ),
    see_also=("clstat(1)", "clevents(1)", "clbuildapp(8)", "clmaintain(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "the application, as clstat names it")
    made.add_argument(
        "do",
        metavar="WHAT",
        nargs="?",
        choices=DOES,
        default=STATUS,
        help=f"one of {', '.join(DOES)} (default: {STATUS})",
    )
    made.add_argument(
        "words",
        metavar="MONITOR",
        nargs="*",
        default=(),
        help="its name; for add the kind, and then key=value for each of its keys",
    )
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    name, do, words = options.application, options.do, options.words
    if do in CHANGES:
        return _change(options, _args(name, do, words))
    if do == CHECK:
        return _check(options, _one(do, words))
    if words:
        raise _wrong(f"{do} takes no more words", f"lemsctl {name} {do}")
    answer = ask("monitors", {"application": name})
    if options.json:
        print_json(answer)
    else:
        print("\n".join(_lines(Reader(answer), name, do, paint_for(sys.stdout))))
    return int(ExitCode.DONE)


def _lines(answer: Reader, name: str, do: str, paint: Paint) -> Iterator[str]:
    monitors = read_monitors(answer)
    if do == HISTORY:
        yield from _history(answer, name)
        return
    yield from filled(_watched(answer), f"{name}: ", "  ")
    yield from state_lines(monitors, paint) if do == STATUS else list_lines(monitors)
    yield from changed_lines(name, answer.texts("changed"))


def _watched(answer: Reader) -> str:
    node = answer.text("node")
    if why := answer.text("why"):
        return f"nobody watches it on {node}: {why}"
    if not answer.flag("watched"):
        return f"not watched on {node}: it does not run there"
    restarts, period_s = answer.whole("restarts"), answer.number("period_s") or 0.0
    moves = f"{restarts} restarts here in {span_text(period_s)} before it moves"
    if restarts == 0:
        moves = "it moves at once"
    return f"watched on {node} ({summary(read_monitors(answer))}); when it fails: {moves}"


def _history(answer: Reader, name: str) -> Iterator[str]:
    for each in answer.inners("history"):
        said = f": {each.text('text')}" if each.text("text") else ""
        moment = stamp(each.number("wall_s") or 0.0)
        yield f"{moment}  {each.text('monitor')} {each.text('state')}{said}"
    yield f"what is older, and what was done about it: clevents --application {name}"


def _args(name: str, do: str, words: Sequence[str]) -> JsonObject:
    args: JsonObject = {"application": name, "do": do}
    if do != ADD:
        return args | {"monitor": _one(do, words)}
    if not words:
        raise _wrong("add needs the kind of the monitor", f"lemsctl {name} add KIND key=value ...")
    kind, *pairs = words
    keys: JsonObject = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise _wrong(f"{pair!r} is no key=value", "write for example interval=5s")
        if key in keys:
            raise _wrong(f"{key} is written twice", "write it once")
        keys[key] = value
    return args | {"kind": kind, "keys": keys}


def _one(do: str, words: Sequence[str]) -> str:
    if len(words) != 1:
        raise _wrong(f"{do} needs the name of one monitor", "lemsctl APP list tells the names")
    return words[0]


def _wrong(what: str, mend: str) -> RpcError:
    return RpcError(what, mend, exit_code=ExitCode.USAGE)


def _change(options: argparse.Namespace, args: JsonObject) -> int:
    answer = call("monitor-change", args)
    if options.json:
        print_json(answer)
    else:
        print(Reader(answer).text("text"))
        print("\n".join(changed_lines(options.application, Reader(answer).texts("changed"))))
    return int(ExitCode.DONE)


def _check(options: argparse.Namespace, monitor: str) -> int:
    answer = call("monitor-check", {"application": options.application, "monitor": monitor})
    told = Reader(answer)
    if options.json:
        print_json(answer)
    else:
        said = f": {told.text('text')}" if told.text("text") else ""
        print(
            f"{monitor} of {options.application} on {told.text('node')}: {told.text('state')}{said}"
        )
    return int(ExitCode.DONE if told.text("state") in GOOD else ExitCode.REFUSED)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
