"""clresolve: resolve a split brain, with the victim's name typed by a person."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, call, goes_on, print_json, run
from hapair.cli.pages.asking import ask_status
from hapair.cli.pages.render_status import resync_text
from hapair.cli.pages.resync import rates
from hapair.cli.pages.split_brain import kept_lines, situation_lines
from hapair.cli.pages.status import Status, VolumeStatus
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled, paint_for
from hapair.rpc.messages import JsonObject, Progress, RpcError

LOOK_S: Final = 1.0
STAND_ALONE: Final = "StandAlone"
CONNECTING: Final = "Connecting"

PAGE: Final = parsers.Page(
    name="clresolve",
    summary="resolve a split brain: compare both copies, and let one give its writes up",
    does="""
        A split brain is there when both copies of an application's data were written while they
        were apart. DRBD then refuses to connect them (StandAlone) until a person decides which
        side's writes are given up: the victim's. The command shows both sides: since when they
        are apart, how much each wrote alone, who runs the application, and which files changed.
        It proposes the side that does not run it, and wants the name of the victim typed.

        Before anything is given up, a snapshot of the victim's volume is kept beside it, named
        with date and time. Then the copies are connected, the victim's copy is completed from the
        other one, and the command waits for that and says how to look into the snapshot and how
        to remove it. The application goes on running all the time.
    """,
    never=(
        "It never makes the side that runs the application the victim.",
        "It never gives anything up without a snapshot, unless --no-snapshot is typed.",
        "It never does anything to copies that did not really go apart: it says what they need.",
    ),
    examples=(
        parsers.Example("clresolve orders --plan", "look at both sides; nothing is changed"),
        parsers.Example("clresolve", "the one application that needs it, with the question"),
        parsers.Example("clresolve orders --victim node2", "the same without the question"),
    ),
    see_also=("clstat(1)", "clevents(1)", "clconfirm(8)", "lvremove(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "application",
        nargs="?",
        metavar="APP",
        help="the application; without it the one whose copies refuse each other",
    )
    made.add_argument("--plan", action="store_true", help="show both sides, change nothing")
    made.add_argument(
        "--victim",
        dest="node",
        metavar="NODE",
        help="the node whose own writes are given up; without it the command asks",
    )
    made.add_argument(
        "--no-snapshot",
        action="store_true",
        help="give the victim's writes up for good, without keeping a snapshot of them",
    )
    made.add_argument(
        "--no-files", action="store_true", help="do not look which files changed (faster)"
    )
    parsers.add_waiting(made)
    parsers.add_json(made)
    made.refuse_beside("--plan", ("--no-wait", "--timeout"), "nothing is done that takes time")
    return made


def body(options: argparse.Namespace) -> int:
    name = options.application or the_one(ask_status())
    with ProgressLine(f"comparing both copies of {name}") as progress:
        args: JsonObject = {"application": name, "files": not options.no_files}
        answer = call("split-look", args, progress.show)
    situation = Reader(answer)
    if not situation.flag("split"):
        raise RpcError(f"there is no split brain of {name}: {situation.text('why')}", "see: clstat")
    shown = sys.stdout if options.plan and not options.json else sys.stderr
    print("\n".join(situation_lines(situation, paint_for(shown))), file=shown)
    if options.plan:
        return _show_plan(options, name, answer)
    victim = chosen(options, situation)
    result = _resolve(options, name, victim)
    code = ExitCode.DONE
    if not options.no_wait:
        code = follow_resync(Reader(result).texts("volumes"), victim, options.timeout)
    return _tell(options, result, victim, code)


def the_one(status: Status) -> str:
    """Return the application whose copies refuse each other; RpcError when it is not one.

    Copies that are Connecting count when none is StandAlone: a node tries a few times more to
    connect what was refused.
    """
    found = _with(status, STAND_ALONE) or _with(status, CONNECTING)
    if not found:
        raise RpcError(
            "there is no split brain: no copies refuse each other on this cluster", "see: clstat"
        )
    if len(found) > 1:
        raise RpcError(
            f"the copies of several applications do not connect: {', '.join(found)}",
            f"name one: clresolve {found[0]}",
            exit_code=ExitCode.USAGE,
        )
    return found[0]


def _with(status: Status, connection: str) -> list[str]:
    """Return the applications of which a node says that a volume is so connected."""
    return sorted(
        {
            application.name
            for node in status.nodes()
            for application in node.applications
            if any(volume.connection == connection for volume in application.volumes)
        }
    )


def _show_plan(options: argparse.Namespace, name: str, answer: JsonObject) -> int:
    victim = options.node or Reader(answer).text("victim")
    steps: tuple[str, ...] = ()
    if victim:
        args: JsonObject = {
            "application": name,
            "victim": victim,
            "snapshot": not options.no_snapshot,
            "plan": True,
        }
        steps = Reader(call("split-resolve", args)).texts("steps")
    if options.json:
        print_json({**answer, "steps": list(steps), "done": False})
        return int(ExitCode.DONE)
    for number, step in enumerate(steps, start=1):
        print("\n".join(filled(step, f"{number:3}. ")))
    print("nothing was changed; without --plan this is done")
    return int(ExitCode.DONE)


def chosen(options: argparse.Namespace, situation: Reader) -> str:
    """Return the victim that a person named; RpcError when it cannot be one."""
    proposed, possible = situation.text("victim"), situation.texts("possible")
    typed = options.node if options.node is not None else _ask(proposed, possible)
    victim = str(typed).strip()
    if victim in possible:
        return victim
    if not possible:
        raise RpcError(situation.text("because"), "see: clstat")
    raise RpcError(
        f"{victim!r} cannot be the victim, so nothing was done",
        f"type exactly: {' or '.join(possible)}",
        exit_code=ExitCode.USAGE,
    )


def _ask(proposed: str, possible: tuple[str, ...]) -> str:
    if not possible:
        return ""
    names = proposed or " or ".join(possible)
    if not sys.stdin.isatty():
        raise RpcError(
            "there is no terminal to ask at, so nothing was done",
            f"clresolve --victim {proposed or possible[0]}",
            exit_code=ExitCode.USAGE,
        )
    text = f"\nWhat only the victim wrote is given up. Type the victim's name ({names}): "
    print(text, end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline()


def _resolve(options: argparse.Namespace, name: str, victim: str) -> JsonObject:
    args: JsonObject = {
        "application": name,
        "victim": victim,
        "snapshot": not options.no_snapshot,
        "plan": False,
    }
    text = f"The daemon goes on with it; look with clstat, then type again: clresolve {name}"
    with goes_on(text), ProgressLine(f"resolving {name}") as progress:
        return call("split-resolve", args, progress.show)


def follow_resync(resources: tuple[str, ...], victim: str, timeout_s: float | None) -> ExitCode:
    """Show the resync until the victim's copies are UpToDate; UNFINISHED after the time."""
    text = "The resync goes on; clstat shows how far it is."
    begun_s = time.monotonic()
    before: tuple[Status, float] | None = None
    with goes_on(text), ProgressLine(f"completing the copy of {victim}") as progress:
        while True:
            status, now_s = ask_status(), time.monotonic()
            left = _left(status, resources, victim)
            if left is None:
                return ExitCode.DONE
            if timeout_s is not None and now_s - begun_s >= timeout_s:
                return ExitCode.UNFINISHED
            speeds = rates(before[0], status, now_s - before[1]) if before is not None else {}
            progress.show(Progress(resync_text(left, speeds)))
            before = (status, now_s)
            time.sleep(LOOK_S)


def _left(status: Status, resources: tuple[str, ...], victim: str) -> VolumeStatus | None:
    """Return a volume whose copy on the victim is not complete yet, as its own node sees it.

    None only when all of them were seen to be complete; RpcError when one is not told of.
    """
    node = status.seen_by(victim) or status.local
    told = {v.resource: v for each in node.applications for v in each.volumes}
    for resource in resources:
        volume = told.get(resource)
        if volume is None:
            text = f"{node.node} does not tell how far {resource} is"
            raise RpcError(text, "the resync goes on; see: clstat", exit_code=ExitCode.UNFINISHED)
        disk = volume.disk if node.node == victim else volume.peer_disk
        if disk != "UpToDate" or volume.connection != "Connected":
            return volume
    return None


def _tell(options: argparse.Namespace, result: JsonObject, victim: str, code: ExitCode) -> int:
    name = Reader(result).text("application")
    synced = code is ExitCode.DONE and not options.no_wait
    if options.json:
        print_json({**result, "synchronised": synced})
        return int(code)
    if synced:
        print(f"{name}: both copies are connected and UpToDate again")
    else:
        print(f"{name}: the copies are connected; clstat shows how far the resync is")
    print("\n".join(kept_lines(victim, Reader(result).texts("snapshots"))))
    return int(code)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
