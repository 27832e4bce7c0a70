"""The command ``cllab``: play with two nodes, their power, cables and disks."""

from __future__ import annotations

import argparse
import errno
import math
import sys
from collections.abc import Callable, Sequence
from typing import Final

from hapair_lab import cli_commands as commands
from hapair_lab import current, topology
from hapair_lab.errors import LabError
from hapair_lab.room import no_room

FAILED: Final = 1
INTERRUPTED: Final = 130

DESCRIPTION: Final = """\
play with a cluster of two nodes in guests on this machine

The guests node1, node2 and outside are real Debian systems with real DRBD. Nothing of the lab
touches your network, and no root is needed.
"""
EPILOG: Final = """\
a first tour:
  cllab prepare --cluster         form a cluster in the guests (the first time builds them: minutes)
  cllab up --snapshot formed-paths-2s    start the guests; node1 runs the application orders
  cllab ssh node1                 look around; the data disks are /dev/vdb and /dev/vdc
  cllab cable pull node1 pub0     its card has no carrier at once
  cllab power off node1           pull the plug
  cllab ssh node2 clstat          see what node2 does
  cllab restore formed-paths-2s   everything as it was: a second with QEMU's guests, which are
                                  frozen; half a minute with User Mode Linux's, which boot
  cllab down                      end it all

The cluster needs our package (make deb). Without a name cllab up starts from installed, with no
cluster in it.

cards:  pub0 (10.77.1.1 and .2) and pub1 hang on the public network with outside (10.77.1.254),
        priv0 (10.77.2.1 and .2) and priv1 on the private one; mgmt0 is for ssh from here.

exit codes: 0 done, 1 failed (the reason and the mend are printed), 2 wrong use, 130 interrupted.
"""

CLEAN: Final = """\
Removes images on which no snapshot stands, snapshots that no version of today can read, and what
killed builds left. Snapshots stay unless --older or --all is given. What a lab runs on stays,
and so do keys and development tools (venv-*). The cache (~/.cache/hapair) is shared by all clones
of this user: the snapshots of the others go as well.
"""
UNITS_S: Final = {"m": 60, "h": 3600, "d": 86400}

Subcommands = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no other name.


def age_s(text: str) -> float:
    """Read an age such as 30m, 12h or 1d."""
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in UNITS_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; use e.g. 30m, 12h or 1d")
    return float(number) * UNITS_S[unit]


def _node(parser: argparse.ArgumentParser, name: str = "node") -> None:
    names = [guest.name for guest in topology.GUESTS]
    parser.add_argument(name, choices=names, metavar=name.upper(), help=", ".join(names))


def _life(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    up = subcommands.add_parser("up", help="start the lab from a snapshot, or as it boots")
    up.add_argument(
        "--snapshot",
        default="",
        metavar="NAME",
        help="start from this one (see cllab list); default: installed, with no cluster in it",
    )
    up.set_defaults(run=commands.up)
    down = subcommands.add_parser("down", help="end the lab and remove its disks; may be repeated")
    down.set_defaults(run=commands.down)
    status = subcommands.add_parser("status", help="what runs, and where its files are")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=commands.status)
    ssh = subcommands.add_parser("ssh", help="log in as root, or run a command")
    _node(ssh)
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    ssh.set_defaults(run=commands.ssh)
    tunnel = subcommands.add_parser("tunnel")  # For ssh alone, so without help.
    _node(tunnel)
    tunnel.set_defaults(run=commands.tunnel)
    install = subcommands.add_parser("install", help="install our package on both nodes")
    install.add_argument(
        "package", nargs="?", default="", metavar="DEB", help="default: from dist/"
    )
    install.set_defaults(run=commands.install)


def _power(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    power = subcommands.add_parser("power", help="pull the plug, give power, press reset")
    power.add_argument("what", choices=("off", "on", "reset"))
    _node(power)
    power.set_defaults(run=commands.power)
    for name, text in (
        ("freeze", "stop the processor: nothing runs, the cards keep their carrier"),
        ("thaw", "let a frozen machine go on as if nothing had happened"),
    ):
        parser = subcommands.add_parser(name, help=text)
        _node(parser)
        parser.set_defaults(run=commands.freeze if name == "freeze" else commands.thaw)


def _faults(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    cable = subcommands.add_parser("cable", help="pull or plug the cable of a card")
    cable.add_argument("what", choices=("pull", "plug"))
    _node(cable)
    cable.add_argument("card", metavar="CARD", help="pub0, pub1, priv0, priv1")
    cable.set_defaults(run=commands.cable)
    cut = subcommands.add_parser("cut", help="let the switch lose what one guest sends to another")
    _node(cut, "source")
    _node(cut, "target")
    cut.add_argument("segment", choices=[segment.value for segment in topology.Segment])
    cut.set_defaults(run=commands.cut)
    mend = subcommands.add_parser("mend", help="let the switches carry everything again")
    mend.set_defaults(run=commands.mend)
    disk = subcommands.add_parser("disk", help="let a disk fail, hang, or be well again")
    disk.add_argument("what", choices=("error", "write-error", "hang", "unplug", "mend"))
    _node(disk)
    disk.add_argument(
        "device",
        metavar="DEVICE",
        help="a logical volume such as /dev/vg/data; unplug: data, spare",
    )
    disk.set_defaults(run=commands.disk)
    kill = subcommands.add_parser("kill", help="send a signal to a process")
    _node(kill)
    kill.add_argument("who", metavar="WHO", help="a process number, a pid file, or a systemd unit")
    kill.add_argument("--signal", default="KILL", help="KILL (default), STOP, CONT, TERM, ...")
    kill.set_defaults(run=commands.kill)


def _snapshots(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    snapshot = subcommands.add_parser("snapshot", help="save the running lab under a name")
    snapshot.add_argument("name", metavar="NAME")
    snapshot.set_defaults(run=commands.snapshot)
    restore = subcommands.add_parser("restore", help="throw away what is, go on from a snapshot")
    restore.add_argument("name", metavar="NAME")
    restore.set_defaults(run=commands.restore)
    forget = subcommands.add_parser("forget", help="remove a snapshot")
    forget.add_argument("name", metavar="NAME")
    forget.set_defaults(run=commands.forget)
    clean = subcommands.add_parser(
        "clean",
        help="remove images and snapshots that nobody uses",
        description=CLEAN,
    )
    clean.add_argument("--all", action="store_true", help="all of them; the next start builds anew")
    clean.add_argument(
        "--older",
        type=age_s,
        default=math.inf,
        metavar="AGE",
        help="and the snapshots that were not used for so long, e.g. 12h, 1d",
    )
    clean.set_defaults(run=commands.clean)
    prepare = subcommands.add_parser("prepare", help="build the images and the snapshots now")
    prepare.add_argument("--cluster", action="store_true", help="and the one of a formed cluster")
    prepare.set_defaults(run=commands.prepare)


def _stories(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    listing = subcommands.add_parser("list", help="the scenarios and the snapshots that there are")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=commands.listing)
    run = subcommands.add_parser("run", help="play a scenario in a lab of its own")
    run.add_argument("scenario", metavar="SCENARIO", help="see cllab list")
    run.set_defaults(run=commands.play)
    demo = subcommands.add_parser("demo", help="the same as: cllab run demo")
    demo.set_defaults(run=commands.play, scenario="demo")


def parser() -> argparse.ArgumentParser:
    """Return the parser. There is neither a manual page nor a completion: ``--help`` says all."""
    made = argparse.ArgumentParser(
        prog="cllab",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for add in (_life, _power, _faults, _snapshots, _stories):
        add(subcommands)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = parser().parse_args(arguments)
    return guarded(lambda: int(options.run(options)))


def guarded(work: Callable[[], int]) -> int:
    """Do the work and return its exit code; what a person can understand is told in words."""
    try:
        return work()
    except LabError as error:
        print(f"cllab: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"cllab: {no_room(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"cllab: interrupted; {_left()}", file=sys.stderr)
        return INTERRUPTED


def _left() -> str:
    """Say what an interrupted command leaves."""
    if current.running() is None:
        return "what was half done is undone"
    return "the lab is up: cllab status, cllab down"
