"""hapair-lems: the parent of the processes that watch applications.

Exit codes: 0 after SIGTERM or SIGINT (what it forked goes on), 1 when it may not run here.
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hapair import __version__
from hapair.adapters.programs import commands
from hapair.lems.parent import Parent
from hapair.model.application import OcfAgent

SOCKET: Final = "/run/hapair/lems.sock"


def agent(
    program: OcfAgent, application: str, node: str, timeout_s: float
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return what the monitor of an OCF agent is, and its variables."""
    path = {"PATH": commands.search_path()}
    environment = commands.environment(path, program, application, node)
    return commands.action(program, "monitor"), environment | commands.limit(program, timeout_s)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="hapair-lems",
        description="The parent of the processes that watch applications, one Lems for each that "
        "runs here. systemd starts it; stopping it stops no Lems and no application.",
    )
    made.add_argument("--version", action="version", version=f"hapair-lems {__version__}")
    made.add_argument(
        "--socket",
        type=Path,
        default=Path(SOCKET),
        metavar="FILE",
        help=f"where the daemon listens (for tests; default: {SOCKET})",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if os.geteuid() != 0:
        sys.stderr.write("hapair-lems: root starts it: systemctl start hapair-lems\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/")
    Parent(str(options.socket), agent).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
