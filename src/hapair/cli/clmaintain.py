"""clmaintain: leave an application, a node or the cluster alone while somebody works on it."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

from hapair.cli.common import ExitCode, ask, call, print_json, run
from hapair.cli.pages.maintenance import MaintenanceStatus, maintenance_text, read_maintenance
from hapair.cli.screen import parsers
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled, span_text
from hapair.rpc.messages import JsonObject, RpcError

ON: Final = "on"
OFF: Final = "off"
STATUS: Final = "status"
REASON_MAX: Final = 200

PAGE: Final = parsers.Page(
    name="clmaintain",
    summary="leave an application, a node or the cluster alone while you work on it",
    does="""
        What is in maintenance is not started, restarted, moved, taken over or given back by
        itself. Its monitors go on and are shown, but nothing is done about what they find. What you
        order (clrunapp, clhaltapp, clmoveapp, clhalt) is done as always.

        on begins it and off ends it, for an application, for all applications of a node (--node) or
        for all of the cluster (--cluster). --for lets it end by itself, --reason tells others why.
        It holds on both nodes, over restarts of the daemon and reboots; each node counts the time
        of --for from when it learnt of it. status, also without a word, tells what is in
        maintenance. --plan says what would be, and changes nothing.

        Without --for it lasts until off: an application that fails meanwhile stays down.
    """,
    never=(
        "It never hinders what safety needs: who may not act alone stops all the same.",
        "It never stops or starts anything itself.",
    ),
    examples=(
        parsers.Example(
            "clmaintain on orders --for 2h --reason 'schema change'", "two hours for orders alone"
        ),
        parsers.Example("clmaintain on --node node2", "whatever runs on node2 is left alone there"),
        parsers.Example("clmaintain status", "what is in maintenance, and until when"),
        parsers.Example("clmaintain off orders", "from now on it is cared for again"),
    ),
    see_also=("lemsctl(8)", "clhaltapp(8)", "clhalt(8)", "clstat(1)"),
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "do",
        metavar="WHAT",
        nargs="?",
        choices=(ON, OFF, STATUS),
        default=STATUS,
        help=f"{ON}, {OFF} or {STATUS} (default: {STATUS})",
    )
    which = made.add_mutually_exclusive_group()
    parsers.add_application(which, "the application, as clstat names it", optional=True)
    which.add_argument("--node", metavar="NODE", help="all applications of this node")
    which.add_argument("--cluster", action="store_true", help="all applications of both nodes")
    made.add_argument(
        "--for",
        dest="span_s",
        metavar="TIME",
        type=parsers.time_limit_s,
        help="with on: it ends by itself after this time, e.g. 90s, 30m or 2h",
    )
    made.add_argument("--reason", metavar="TEXT", help="with on: why, for others who look")
    made.add_argument("--plan", action="store_true", help="say what would be, change nothing")
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    if options.do != ON and (options.span_s is not None or options.reason is not None):
        raise _wrong("--for and --reason belong to on", "clmaintain on APP --for 2h --reason TEXT")
    if options.do == STATUS:
        return _show(options)
    scope, name = _named(options)
    if options.span_s == 0:
        raise _wrong(
            "--for 0 is no time", "write for example 30m; without --for it lasts until off"
        )
    if options.reason is not None and len(options.reason) > REASON_MAX:
        raise _wrong(f"the reason is longer than {REASON_MAX} signs", "shorten it")
    args: JsonObject = {"scope": scope, "name": name, "on": options.do == ON}
    if options.do == ON:
        args |= {"for_s": options.span_s or 0.0, "reason": options.reason or ""}
    told = list(_consequences(options, f"{scope} {name}".strip()))
    answer: JsonObject = {"text": ""} if options.plan else call("maintain", args)
    if options.json:
        print_json({**args, **answer, "told": told, "changed": not options.plan})
        return int(ExitCode.DONE)
    if text := Reader(answer).text("text"):
        print("\n".join(filled(text)))
    for line in told:
        print("\n".join(filled(line, "  ")))
    if options.plan:
        print("nothing was changed; without --plan this is done")
    return int(ExitCode.DONE)


def _consequences(options: argparse.Namespace, of: str) -> Iterator[str]:
    if options.do == OFF:
        yield f"{of} is cared for again: what failed meanwhile is restarted or moved at once"
        return
    yield f"{of} is not started, restarted, moved, taken over or given back by itself"
    yield "monitors are shown, and nothing is done about them"
    yield "what you order is done; who loses the right to act alone stops all the same"
    if options.span_s:
        yield f"it ends by itself after {span_text(options.span_s)}, or with: {_off(options)}"
    else:
        yield f"it ends with: {_off(options)}"


def _off(options: argparse.Namespace) -> str:
    if options.cluster:
        return "clmaintain off --cluster"
    return f"clmaintain off {options.application or f'--node {options.node}'}"


def _named(options: argparse.Namespace) -> tuple[str, str]:
    if options.application:
        return "application", options.application
    if options.node:
        return "node", options.node
    if options.cluster:
        return "cluster", ""
    what = f"{options.do} needs to know of what"
    raise _wrong(what, f"clmaintain {options.do} APP, or --node NODE, or --cluster")


def _wrong(what: str, mend: str) -> RpcError:
    return RpcError(what, mend, exit_code=ExitCode.USAGE)


def _show(options: argparse.Namespace) -> int:
    answer = Reader(ask("status"))
    node = answer.inner("nodes").inner(answer.text("local"))
    each = [told for told in read_maintenance(node) if _is_meant(options, told)]
    if options.json:
        shown = [
            {
                "of": told.of,
                "reason": told.reason,
                "since_wall_s": told.since_wall_s,
                "left_s": told.left_s,
            }
            for told in each
        ]
        print_json({"maintenance": shown})
        return int(ExitCode.DONE)
    for told in each:
        print("\n".join(filled(maintenance_text(told), indent="  ")))
    if not each:
        print(
            "nothing of that is in maintenance"
            if _is_narrow(options)
            else "nothing is in maintenance"
        )
    return int(ExitCode.DONE)


def _is_narrow(options: argparse.Namespace) -> bool:
    return bool(options.application or options.node or options.cluster)


def _is_meant(options: argparse.Namespace, told: MaintenanceStatus) -> bool:
    scope, name = _named(options) if _is_narrow(options) else ("", "")
    return not scope or told.of == f"{scope} {name}".strip()


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
