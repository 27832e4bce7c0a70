"""clstartup: what systemd calls at boot: this node joins, or forms, the cluster."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, patience_s, places, run
from hapair.cli.main import about_file
from hapair.cli.screen import parsers
from hapair.cli.sessions.waiting import Work, ask_only
from hapair.model.startup import Startup
from hapair.rpc.messages import DaemonDown, JsonObject, RpcError

DAEMON_START_S: Final = 600.0  # Longer than systemd gives the daemon for one start.
LOOK_S: Final = 0.5

PAGE: Final = parsers.Page(
    name="clstartup",
    summary="join or form the cluster at boot, as clstart.xml says",
    does="""
        systemd calls it once at boot (hapair-node.service). It tells the daemon that the machine
        has booted and returns as soon as that answers; the daemon does the waiting. One that is
        slow to start, or is started again, is waited for up to 10 min. If the peer runs the
        cluster, this node joins it. If nobody answers within the time limit of clstart.xml, this
        node forms the cluster alone, if that is allowed there and this node's records prove that
        nobody can be ahead of it; else it goes on waiting for the peer, and clstat says so.

        Without clstart.xml its defaults hold: join, form alone if that is safe, start the
        applications, wait 60 s. With a clstart.xml that has errors the node stays halted.
    """,
    never=(
        "It never delays the boot for the peer, nor a login for the daemon.",
        "It never starts anything that the peer may be running.",
    ),
    examples=(
        parsers.Example("clstartup", "what the unit does"),
        parsers.Example("clstartup --check", "only check clstart.xml and say what it means"),
    ),
    files=(("/etc/cluster/clstart.xml", "how to start; a sample is in /usr/share/hapair/samples"),),
    see_also=("clform(8)", "clhalt(8)", "clstat(1)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "--check", action="store_true", help="check clstart.xml, say what it means, start nothing"
    )
    return made


def read_startup() -> Startup:
    """Return what clstart.xml says, or its defaults without one; RpcError when it has errors."""
    from hapair.config.clstart import read_clstart  # noqa: PLC0415 - not for --help
    from hapair.runtime.building.files import read_written  # noqa: PLC0415

    file = places().clstart
    try:
        text = read_written(file)
    except FileNotFoundError:
        return Startup()
    except OSError as error:
        raise about_file(error, ExitCode.USAGE, place=file) from None
    match read_clstart(text, file=str(file)):
        case Startup() as startup:
            return startup
        case problems:
            for problem in problems:
                print(problem, file=sys.stderr)
            raise RpcError(
                f"{file} has errors, so this node stays halted",
                f"mend {file}, then: clform --node local",
                exit_code=ExitCode.USAGE,
            )


def body(options: argparse.Namespace) -> int:
    startup = read_startup()
    if options.check:
        print(meaning(startup))
        return int(ExitCode.DONE)
    if not places().built.exists():
        print("nothing to join: no cluster is built on this node yet (clbuild makes one)")
        return int(ExitCode.DONE)
    args: JsonObject = {
        "start": "boot",
        "timeout_s": startup.timeout_s,
        "allow_single_node": startup.allow_single_node,
        "join_existing_cluster": startup.join_existing_cluster,
        "autostart": startup.autostart_apps,
        "node": "local",
    }
    ended = _asked_once_the_daemon_is_there(Work("form", args, "joining the cluster"))
    print(ended)
    return int(ExitCode.DONE)


def meaning(startup: Startup) -> str:
    """Say in words what clstart.xml makes of a boot."""
    join = "joins it" if startup.join_existing_cluster else "stays halted (clform joins it)"
    alone = (
        "forms the cluster alone, if its records prove that nobody is ahead of it"
        if startup.allow_single_node
        else "goes on waiting for the peer"
    )
    start = "are started" if startup.autostart_apps else "stay down"
    return (
        f"If the peer runs the cluster, this node {join}.\n"
        f"If the peer is silent for {startup.timeout_s:g} s, this node {alone}.\n"
        f"Applications with autostart {start}."
    )


def _asked_once_the_daemon_is_there(work: Work) -> str:
    until_s = time.monotonic() + patience_s(DAEMON_START_S)
    while True:
        try:
            return ask_only(work).text
        except DaemonDown:
            if time.monotonic() > until_s:
                raise
            time.sleep(patience_s(LOOK_S))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
