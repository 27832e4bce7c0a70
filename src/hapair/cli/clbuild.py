"""clbuild: check both nodes and make the cluster that clconf.xml describes."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import REFERENCE, SAMPLE, ExitCode, places, run
from hapair.cli.screen import parsers

PAGE: Final = parsers.Page(
    name="clbuild",
    summary="check both nodes and make the cluster that clconf.xml describes",
    does="""
        Reads /etc/cluster/clconf.xml on this node and scans both nodes over SSH: software, DRBD,
        LVM, cards and their links, addresses, names, logins without a prompt between all
        addresses, ports, clocks, space. Everything that is wrong is listed at once, with the
        command that mends it, and nothing is changed then.

        When all is well it makes keys and certificates, also the secret with which the two DRBDs
        prove to each other who they are, allocates DRBD devices and ports, keeps
        the previous state in /cmbackup, writes the configuration on both nodes (on both or on
        neither) and starts the daemons. Run it again after every edit of clconf.xml: until then
        most commands refuse to work. While the cluster is formed a change needs --force; the
        daemons take it over while applications keep running. Only the name of the cluster, the
        nodes, the first port and the replication network need clhalt first.

        With <arbitration by="witness"> each witness is looked at from this node: it is an error
        when fewer than a majority answer. A clwitness learns the certificates of both nodes once,
        by a code: see --witness-code. Type --check-witness on both nodes before you rely on it.
    """,
    never=(
        "It never changes one node only: an interrupted clbuild is finished or undone by the next.",
        "It never stops or moves an application, and never touches its data.",
        "It never sends a node's private key anywhere: each node makes its own.",
        "It never shows a key, DRBD's secret, or a fence agent's parameter: it may be a password.",
    ),
    examples=(
        parsers.Example("clbuild --verbose", "the first time: show every check; then: clform"),
        parsers.Example("clbuild --plan", "after an edit: what would change, and what is wrong"),
        parsers.Example("clbuild --force", "take the edit over while the cluster is formed"),
        parsers.Example(
            "clbuild --witness-code 7Q2M-9XKD",
            "the first time with a clwitness; the code is what clwitness invite NAME printed",
        ),
        parsers.Example(
            "clbuild --rotate-secret --force",
            "give DRBD's connections a new secret while applications run",
        ),
        parsers.Example("clbuild --check-witness", "does every witness grant, and how fast?"),
    ),
    files=(
        ("/etc/cluster/clconf.xml", f"what you write; a commented sample is {SAMPLE}"),
        ("/etc/cluster/built/built.json", "what was committed last, the same on both nodes"),
        ("/etc/cluster/keys", "keys and certificates of this node"),
        (
            "/etc/lvm/lvmlocal.conf",
            "gets a line that keeps LVM away from DRBD's devices, where nothing else does",
        ),
        ("/cmbackup/cluster-DATE-GENERATION.tar.gz", "the state before each change"),
    ),
    see_also=("clform(8)", "clrestore(8)", "clscan(8)", "clbuildapp(8)", REFERENCE),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument("--verbose", action="store_true", help="show every check and every step")
    made.add_argument(
        "--plan", action="store_true", help="show what would be changed, and change nothing"
    )
    made.add_argument(
        "--force", action="store_true", help="change the configuration of a formed cluster"
    )
    made.add_argument(
        "--rotate-secret",
        action="store_true",
        help="take the next secret for DRBD's connections, which stay up: it is asked for when they"
        " are made the next time; a formed cluster needs --force as well",
    )
    made.add_argument(
        "--witness-code",
        action="append",
        default=[],
        metavar="CODE",
        help="make the cluster known to a clwitness, with the code that clwitness invite printed"
        " there; once for each witness",
    )
    made.add_argument(
        "--check-witness",
        action="store_true",
        help="build nothing; try a whole grant on each witness, on a record of its own, and show"
        " how fast it answers",
    )
    parsers.add_json(made)
    ignored = ("--verbose", "--plan", "--force", "--witness-code")
    made.refuse_beside("--check-witness", ignored, "nothing is built")
    made.add_argument("--carry-out", action="store_true", help=argparse.SUPPRESS)
    return made


def body(options: argparse.Namespace) -> int:
    if options.carry_out:
        return _carry_out()
    # A step for the other node needs little of this, and importing it takes long on a slow machine.
    from hapair.cli.sessions.build import build  # noqa: PLC0415
    from hapair.runtime.building.wiring import RealHands  # noqa: PLC0415

    return build(options, places(), RealHands())


def _carry_out() -> int:
    """Do one step that clbuild on the other node asks for on standard input."""
    from hapair.runtime.building.carry_out import carry_out  # noqa: PLC0415

    print(carry_out(sys.stdin.buffer.read(), places()))
    return int(ExitCode.DONE)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
