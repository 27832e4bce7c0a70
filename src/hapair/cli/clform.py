"""clform: start the cluster on both nodes."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, goes_on, print_json, run
from hapair.cli.pages.asking import ask_status, named_node
from hapair.cli.pages.attention import owner_view
from hapair.cli.pages.history import Follower, step_line
from hapair.cli.pages.render_status import state_text
from hapair.cli.pages.status import Status
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.terminal import columns, paint_for
from hapair.cli.sessions.waiting import Work, ask_only, carry_out
from hapair.rpc.messages import JsonObject, Progress, RpcError

PEER_TIMEOUT_S: Final = 60.0
ALONE_TIMEOUT_S: Final = 15.0
SETTLE_S: Final = 300.0  # Applications have limits of their own; this bounds the sum of them.
BECOMES_S: Final = 30.0  # How long nodes that have lost one another again are looked at.
LOOK_S: Final = 0.3
MEMBERS: Final = ("together", "alone")
BECOMING: Final = ("forming", "cut")

PAGE: Final = parsers.Page(
    name="clform",
    summary="start the cluster on both nodes and wait until it runs",
    does="""
        Both nodes become members, agree on who runs what, and start the applications that are to
        start by themselves (autostart). The command waits until the nodes act together and the
        applications have started, shows each step, and says at the end what runs where. A node
        whose peer already is a member joins it; what runs is left alone.

        If the peer does not answer within the time limit, nothing is started: the peer may have
        newer data. --alone forms the cluster without it, which is granted only if this node's own
        records prove that nobody can be ahead of it.
    """,
    never=(
        (
            "It never starts an application before both nodes agreed, or the right to act alone was"
            " granted."
        ),
        "It never stops or restarts anything that runs.",
    ),
    examples=(
        parsers.Example("clform", "start the cluster, on both nodes"),
        parsers.Example("clform --node local", "only this node joins its peer"),
        parsers.Example("clform --alone", "the peer is broken and this node was the last to run"),
    ),
    files=(("/etc/cluster/built/built.json", "what clbuild made; without it there is no cluster"),),
    see_also=("clhalt(8)", "clbuild(8)", "clstat(1)", "clconfirm(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_node(made, "form this node only: its name, or local (default: both nodes)")
    made.add_argument(
        "--alone",
        action="store_true",
        help="form without the peer, if this node's records prove that nobody is ahead of it",
    )
    made.add_argument(
        "--no-applications",
        action="store_true",
        help="start no application by itself this time",
    )
    made.add_argument(
        "--no-wait",
        action="store_true",
        help="return as soon as the daemon has accepted it; the daemon goes on",
    )
    made.add_argument(
        "--timeout",
        metavar="TIME",
        type=parsers.time_limit_s,
        help="how long to wait for the peer (default: 60s, with --alone 15s)",
    )
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    default_s = ALONE_TIMEOUT_S if options.alone else PEER_TIMEOUT_S
    args: JsonObject = {
        "start": "command",
        "timeout_s": default_s if options.timeout is None else options.timeout,
        "allow_single_node": options.alone,
        "join_existing_cluster": True,
        "autostart": not options.no_applications,
        "node": "local" if options.alone else "both",
    }
    if options.node is not None:
        args["node"] = named_node(ask_status(), options.node)
    work = Work("form", args, "waiting for the peer" if not options.alone else "forming alone")
    if options.no_wait:
        ended = ask_only(work)
        if options.json:
            print_json(ended.content())
        else:
            print(ended.text)
        return int(ExitCode.DONE)
    undo = "The daemon goes on forming the cluster; follow it with: clstat --watch; undo: clhalt"
    with goes_on(undo):
        ended = carry_out(work)
        if ended.error is not None:
            raise ended.error
        status, settled = wait_for_applications()
    return _tell(status, settled=settled, as_json=options.json)


def wait_for_applications() -> tuple[Status, bool]:
    """Wait, bounded, until no application is being started; return the last status seen.

    A node that was a member a moment ago, and has not heard its peer since, is one again soon.
    """
    status = ask_status()
    if not unsettled(status) and status.local.standing not in BECOMING:
        return status, True
    follower = Follower.from_now()
    begun_wall_s = time.time()
    paint = paint_for(sys.stderr)
    begun_s = time.monotonic()
    with ProgressLine("starting applications") as line:
        while True:
            status = ask_status()
            for happening in follower.new():
                line.say(step_line(happening, begun_wall_s, paint))
            waiting = unsettled(status)
            waited_s = time.monotonic() - begun_s
            becoming = status.local.standing in BECOMING and waited_s < BECOMES_S
            if not (waiting or becoming) or waited_s > SETTLE_S:
                return status, not waiting
            doing = f"starting {', '.join(waiting)}" if waiting else status.local.standing
            line.show(Progress(doing))
            time.sleep(LOOK_S)


def unsettled(status: Status) -> tuple[str, ...]:
    """Return the applications of which it is not yet known how they end."""
    found = []
    alarmed = status.alarmed()
    for name in status.applications():
        view = owner_view(status, name)
        if view is None or name in alarmed:
            continue
        _, application = view
        ends = {"running", "stuck"} if application.wanted != "down" else {"stopped", "stuck"}
        if application.phase not in ends and application.owner:
            found.append(name)
    return tuple(found)


def placement_rows(status: Status) -> list[tuple[str, str]]:
    rows = []
    for name in status.applications():
        view = owner_view(status, name)
        if view is not None:
            rows.append((name, state_text(status, *view)))
    return rows


def _tell(status: Status, *, settled: bool, as_json: bool) -> int:
    local = status.local
    formed = local.standing in MEMBERS
    rows = placement_rows(status)
    if as_json:
        content = {"standing": local.standing, "applications": dict(rows), "settled": settled}
        print_json(content)
    elif formed:
        together = local.standing == "together"
        nodes = (
            f"{local.node} and {local.peer} act together"
            if together
            else (f"{local.node} acts alone")
        )
        print(f"cluster {local.cluster} is formed: {nodes}")
        print("\n".join(columns(rows, "  ")) if rows else "  no application is built yet")
    if not formed:
        raise RpcError(
            f"the cluster was formed, but this node is {local.standing} again",
            "it goes on; see: clstat",
            exit_code=ExitCode.UNFINISHED,
        )
    if not settled:
        names = ", ".join(unsettled(status))
        text = f"still not settled after {SETTLE_S:.0f} s: {names}"
        raise RpcError(text, "it goes on; see: clstat", exit_code=ExitCode.UNFINISHED)
    return int(ExitCode.DONE)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
