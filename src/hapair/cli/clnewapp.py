"""clnewapp: draft the configuration of an application from what runs, or from another tool."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hapair.cli.common import ExitCode, places, print_json, run
from hapair.cli.screen import parsers
from hapair.cli.sessions.drafts import cluster_of, drafts_of_files, write
from hapair.config import kinds
from hapair.migrate.drafts import TOOLS, Draft, Drafts
from hapair.migrate.service import Around, draft_of_service
from hapair.model.unit import ProgramUnit, Unusable
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.building.wiring import command_runner, look_at_service, run_interruptible
from hapair.runtime.jobs.units import unit_facts

STDOUT: Final = "-"

PAGE: Final = parsers.Page(
    name="clnewapp",
    summary="draft the configuration of an application from what runs, or from another tool",
    does="""
        Looks at a service that runs on this node, by its systemd unit or as an OCF agent would
        start it: its processes, the folders that they write, the mounts and volume groups these lie
        on, the ports that they listen at, the addresses that clients use, how long its last start
        took. It prints an appconf.xml for you to review: each line says why it is there, comments
        at the top say what has to be done before (data on the root file system, a unit that a boot
        starts, sockets and timers), monitors are included. To see which TCP ports speak HTTP it
        asks each of them once (HEAD /), but not those of databases, mail and file servers.

        With --from it reads the configuration of another tool instead, on any machine, and drafts
        clconf.xml and an appconf.xml for each application. Of Pacemaker: what cibadmin --query or
        crm configure show prints, corosync.conf, drbd.d/*.res. Of keepalived: keepalived.conf of
        one node or of both. Of heartbeat: ha.cf, haresources, drbd.d/*.res. Of each line it says
        what it became, or that it was not taken over, and the way to have the same here.

        What nobody told is left open: the value begins with CHANGE: and says what belongs there.
        clbuild and clbuildapp refuse each of these until it is written.
    """,
    never=(
        "It never changes anything but the files that --output names.",
        "It never overwrites a file without --force.",
        "It never copies a password: a draft leaves it open, or names a file to lay it in.",
    ),
    examples=(
        parsers.Example("clnewapp nginx", "a draft for the running nginx.service, on the screen"),
        parsers.Example(
            "clnewapp postgresql@15-main --name shop --output /etc/cluster/shop/appconf.xml",
            "written where clbuildapp looks for it",
        ),
        parsers.Example(
            "clnewapp --from pacemaker cib.xml corosync.conf r0.res --output drafts",
            "drafts/clconf.xml and a folder for each application, as in /etc/cluster",
        ),
    ),
    exits=(
        (ExitCode.DONE, "done; what is left open in the draft is listed"),
        (ExitCode.REFUSED, "no such service, not running, not root, a file in the way"),
        (ExitCode.USAGE, "wrong arguments, or a file that cannot be read as what it is said to be"),
    ),
    files=(("/etc/cluster/clconf.xml", "read, where there is one, for the networks' names"),),
    see_also=("clbuild(8)", "clbuildapp(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    made.add_argument(
        "given",
        metavar="UNIT|AGENT|FILE",
        nargs="+",
        help="a systemd unit or ocf:provider:agent; with --from the files",
    )
    made.add_argument(
        "--from",
        dest="tool",
        metavar="TOOL",
        choices=TOOLS,
        help=f"the tool that the files are of: {', '.join(TOOLS)}",
    )
    made.add_argument("--name", metavar="NAME", help="the application's name; without: the unit's")
    made.add_argument(
        "--output",
        metavar="PLACE",
        help="the file, with --from the folder, to write; - or nothing: the screen",
    )
    made.add_argument("--force", action="store_true", help="overwrite files")
    made.refuse_beside("--from", ("--name",), "the names of the applications are in the files")
    parsers.add_json(made, "print drafts, open places and notes as one JSON document")
    return made


def body(options: argparse.Namespace) -> int:
    if options.tool:
        drafts = drafts_of_files(options.tool, options.given)
    else:
        drafts = Drafts((_draft_of_running(options),))
    written = _written(drafts, options)
    if options.json:
        print_json(_as_json(drafts, written))
        return int(ExitCode.DONE)
    said = sys.stdout if written else sys.stderr
    if not written:
        texts = [each.text for each in drafts.files]
        names = [f"<!-- {each.name} -->\n" if len(texts) > 1 else "" for each in drafts.files]
        print("\n".join(f"{name}{text}" for name, text in zip(names, texts, strict=True)), end="")
    print("\n".join(_report(drafts, written)), file=said)
    return int(ExitCode.DONE)


def _draft_of_running(options: argparse.Namespace) -> Draft:
    if len(options.given) > 1:
        what = f"{options.given[1]} is one too many"
        raise RpcError(what, "name one unit, or say --from", exit_code=ExitCode.USAGE)
    asked = _asked(options.given[0])
    if options.name and isinstance(wrong := kinds.SIMPLE_NAME.take(options.name), kinds.Wrong):
        raise RpcError(f"--name: {wrong.what}", wrong.mend, exit_code=ExitCode.USAGE)
    refuse_without_root(os.geteuid())
    seen = run_interruptible(look_at_service(asked))
    if isinstance(seen, Unusable):
        raise RpcError(seen.what, seen.mend)
    starters = None
    if seen.unit is not None:
        facts = run_interruptible(unit_facts(seen.unit.name, command_runner()))
        starters = facts if isinstance(facts, ProgramUnit) else None
    around = Around(cluster_of(places().clconf), starters, options.name or "")
    return draft_of_service(seen, around)


def _asked(word: str) -> str:
    """Return the full name of a unit, or an agent; RpcError when it can be neither."""
    if word.startswith("ocf:"):
        found = kinds.OCF_AGENT.take(word)
    else:
        word = word if word.endswith((".service", ".target")) else f"{word}.service"
        template = word.replace("@.", "@instance.")
        found = kinds.UNIT_NAME.take(template)
    if isinstance(found, kinds.Wrong):
        raise RpcError(found.what, found.mend, exit_code=ExitCode.USAGE)
    return word


def refuse_without_root(user: int) -> None:
    """RpcError for everybody but root: the files of other accounts' processes are not shown."""
    if user != 0:
        what = "only root sees the files and sockets of a service"
        raise RpcError(what, "run it as root; nothing is changed by it")


def _written(drafts: Drafts, options: argparse.Namespace) -> dict[str, Path]:
    """Write the drafts where they are wanted; return where each of them lies."""
    if options.output in {None, STDOUT}:
        return {}
    place = Path(options.output)
    if options.tool and place.exists() and not place.is_dir():
        mend = "with --from several files are written: name a folder"
        raise RpcError(f"{place} is no folder", mend, exit_code=ExitCode.USAGE)
    where = {each.name: place / each.name if options.tool else place for each in drafts.files}
    write(drafts.files, where, force=options.force)
    return where


def _report(drafts: Drafts, written: dict[str, Path]) -> list[str]:
    lines = [str(note) for note in drafts.notes]
    for each in drafts.files:
        place = f"{written[each.name]}: written" if each.name in written else each.name
        count = f"{len(each.opened)} left open" if each.opened else "nothing is left open"
        lines.append(f"{place}; {count}{':' if each.opened else '. Review it.'}")
        lines += [f"  {question}" for question in each.opened]
    return lines


def _as_json(drafts: Drafts, written: dict[str, Path]) -> JsonObject:
    return {
        "files": [
            {
                "name": each.name,
                "text": each.text,
                "open": list(each.opened),
                "written": str(written.get(each.name, "")),
            }
            for each in drafts.files
        ],
        "notes": [
            {
                "where": str(note.place),
                "what": note.what,
                "taken": note.taken,
                "text": note.text,
            }
            for note in drafts.notes
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
