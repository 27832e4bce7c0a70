"""clhalt: stop the cluster, or take one node out of it."""

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, call, goes_on, patience_s, places, print_json, run
from hapair.cli.pages.asking import LOCAL, ask_status, named_node
from hapair.cli.pages.attention import owner_view
from hapair.cli.pages.status import Status
from hapair.cli.screen import parsers
from hapair.cli.screen.reading import Reader
from hapair.cli.sessions.waiting import Ended, Request, Work, carry_out
from hapair.rpc.messages import DaemonDown, JsonObject, RpcError

MEMBERS: Final = ("forming", "together", "alone", "cut", "leaving")
SHUTDOWN_TIMEOUT_S: Final = 13 * 60.0  # The unit's own limit is a little longer.
DAEMON_BACK_S: Final = 20.0  # A daemon that died is started again by systemd well within this.
LEAVING_S: Final = 5.0
MAY_STOP_S: Final = 30.0
LOOK_S: Final = 0.2

PAGE: Final = parsers.Page(
    name="clhalt",
    summary="stop the cluster, or take one node out of it",
    does="""
        Without --node the whole cluster is halted: all applications are stopped on both nodes,
        replication ends when both copies are equal, and both nodes leave. Both copies stay
        current, so that either way of starting again is safe.

        With --node one node is taken out, for maintenance: its applications move to the other
        node first (with --stop they are halted instead, and stay halted until clrunapp). The
        other node gets the right to act alone. clform --node brings the node back.

        --shutdown is how systemd calls it when the machine goes down: the same as --node local,
        but bounded in time, and content when there is nothing to leave.

        What else holds a device of an application is looked for before anything stops, on both
        nodes, and refused by name. With --force, and with --shutdown, the stop goes on and ends
        what it may: processes, other mounts, loop devices. An application that cannot be stopped
        all the same is not kept down for it: with --node the hand-over is given up, and the node
        stays in the cluster with what it still has. clform takes any other halt back that has not
        come to its end.
    """,
    never=(
        "It never leaves a node that still runs an application: it says what holds it.",
        "It never stops the daemons: clstat and clform go on working.",
        "It never waits without a bound.",
    ),
    examples=(
        parsers.Example("clhalt", "stop everything, on both nodes"),
        parsers.Example("clhalt --node node2", "take node2 out; its applications move to node1"),
        parsers.Example("clhalt --node local --stop", "leave, and halt what runs here"),
    ),
    see_also=("clform(8)", "clhaltapp(8)", "clmoveapp(8)", "clstat(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_node(made, "take out this node only: its name, or local")
    made.add_argument(
        "--stop",
        action="store_true",
        help="with --node: halt the node's applications instead of moving them",
    )
    made.add_argument(
        "--shutdown",
        action="store_true",
        help="with --node local: as part of a shutdown of the machine",
    )
    parsers.add_force(made)
    made.add_argument(
        "--timeout",
        metavar="TIME",
        type=parsers.time_limit_s,
        help="wait at most this long; the daemon goes on after it (with --shutdown: 13m)",
    )
    parsers.add_json(made)
    made.refuse_beside("--shutdown", ("--stop",), "what can move moves to the other node")
    return made


def body(options: argparse.Namespace) -> int:
    if options.shutdown:
        return _shut_down(options)
    if options.stop and options.node is None:
        raise RpcError(
            "--stop belongs to --node: a halt of the whole cluster stops everything anyway",
            "clhalt, or clhalt --node NODE --stop",
            exit_code=ExitCode.USAGE,
        )
    status = ask_status()
    if options.node is None:
        return _halt_cluster(options, status)
    node = named_node(status, options.node)
    if options.stop:
        _halt_applications(options, status, node)
    return _tell(options, [_leave(options, node)], f"{node} has left the cluster")


def _leave(options: argparse.Namespace, node: str) -> Ended:
    work = Work(
        "leave",
        {
            "node": node,
            "handover": True,
            "last": False,
            "force": options.force or options.shutdown,
            "shutdown": options.shutdown,
        },
        f"{node} hands over its applications and leaves",
        timeout_s=options.timeout,
    )
    with goes_on(f"{node} goes on leaving; follow it with: clstat --watch; undo: clform"):
        return carry_out(work)


def _halt_applications(options: argparse.Namespace, status: Status, node: str) -> None:
    """Halt what the node owns, one after the other: all are looked at before the first one."""
    if not options.force:
        _refuse_held(node)
    for name in status.applications():
        view = owner_view(status, name)
        if view is None or view[1].owner != node or view[1].wanted == "down":
            continue
        args = {"application": name, "force": options.force}
        work = Work("halt", args, f"stopping {name}", name, options.timeout)
        with goes_on(f"The daemon goes on stopping {name}; undo: clrunapp {name}"):
            ended = carry_out(work)
        if ended.error is not None:
            raise ended.error


def _halt_cluster(options: argparse.Namespace, status: Status) -> int:
    """Halt both nodes at once: neither may take over what the other one stops.

    This node is told first and leaves last, so that it can answer until the end. It waits for
    its peer, bounded, before it gives up the replication.
    """
    local = status.local
    peer_member = status.remote is not None and status.remote.standing in MEMBERS
    if not options.force:
        _refuse_held("both")
    # Both were looked at: a holder that comes now must not leave one of them halted alone.
    args = {"node": local.node, "handover": False, "last": peer_member, "force": True}
    work = Work("leave", args, "halting the cluster", timeout_s=options.timeout)
    peer_args = {"node": local.peer, "handover": False, "last": False, "force": True}
    peer_work = Work("leave", peer_args, f"halting {local.peer}", timeout_s=options.timeout)
    request = Request(peer_work, lambda _: None, begin=_until_leaving if peer_member else None)
    with goes_on("Both nodes go on halting; follow it with: clstat --watch; undo: clform"):
        if peer_member:
            request.start()
        ended = carry_out(work)
        if peer_member:
            request.join()
    ends = [ended, Ended(*request.ended())] if peer_member else [ended]
    done = f"cluster {local.cluster} is halted"
    if not peer_member:
        done += f"; {local.peer} was not part of it"
    return _tell(options, ends, done)


def _refuse_held(where: str) -> None:
    """Ask the nodes; a daemon of a version that does not know the question forbids nothing."""
    answer: JsonObject = {}
    with contextlib.suppress(RpcError):
        answer = call("may-stop", {"node": where}, timeout_s=MAY_STOP_S)
    read = Reader(answer)
    if error := read.text("error"):
        problems = tuple(dict(each.content) for each in read.inners("problems"))
        raise RpcError(error, read.text("mend"), problems=problems)


def _until_leaving() -> None:
    """Return once this node is leaving, so that it cannot take over what its peer stops."""
    until_s = time.monotonic() + patience_s(LEAVING_S)
    while time.monotonic() < until_s:
        standing = ask_status().local.standing
        if standing not in {"together", "alone", "cut"}:
            return
        time.sleep(patience_s(LOOK_S))


def _tell(options: argparse.Namespace, ends: list[Ended], done: str) -> int:
    errors = [ended.error for ended in ends if ended.error is not None]
    if errors:
        for error in errors[1:]:
            print(f"clhalt: {error}", file=sys.stderr)
        in_part = len(errors) < len(ends) and errors[0].exit_code is ExitCode.REFUSED
        code = ExitCode.UNFINISHED if in_part else errors[0].exit_code
        first = errors[0]
        mend = first.mend or "see: clstat"
        raise RpcError(first.error, mend, exit_code=code, problems=first.problems)
    if options.json:
        print_json({**ends[0].content(), "text": done})
    else:
        print(done)
    return int(ExitCode.DONE)


def _nothing(options: argparse.Namespace, text: str) -> int:
    return _tell(options, [Ended({"text": text})], text)


def _shut_down(options: argparse.Namespace) -> int:
    """Leave because the machine goes down, without a question and within a limit of time."""
    if options.node not in {None, LOCAL}:
        raise RpcError(
            "--shutdown is about the machine that goes down: this one",
            "clhalt --node local --shutdown",
            exit_code=ExitCode.USAGE,
        )
    if options.timeout is None:
        options.timeout = SHUTDOWN_TIMEOUT_S
    if not places().built.exists():
        return _nothing(options, "nothing to leave: no cluster is built on this node")
    status = _status_of_a_daemon_that_may_be_restarting()
    if status.local.standing == "halted":
        return _nothing(options, "nothing to leave: this node is not part of a cluster")
    node = status.local.node
    return _tell(options, [_leave(options, node)], f"{node} has left the cluster")


def _status_of_a_daemon_that_may_be_restarting() -> Status:
    until_s = time.monotonic() + patience_s(DAEMON_BACK_S)
    while True:
        try:
            return ask_status()
        except DaemonDown:
            if time.monotonic() > until_s:
                raise
            time.sleep(patience_s(LOOK_S))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
