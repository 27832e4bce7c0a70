"""clrestore: list, verify and restore what clbuild archived."""

import argparse
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, places, print_json, run
from hapair.cli.pages.build_report import problems_json
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.terminal import columns, size_text
from hapair.cli.sessions.both_nodes import alone, explained
from hapair.core.plan.situation import addresses_of, identify
from hapair.model.built import Built
from hapair.model.problem import Problem
from hapair.rpc.messages import Progress, RpcError
from hapair.runtime.building import archive
from hapair.runtime.building.archive import Archive
from hapair.runtime.building.hands import Hands
from hapair.runtime.building.restore import Restorer, archive_file
from hapair.runtime.building.seats import Seat
from hapair.runtime.building.wiring import RealHands, run_interruptible
from hapair.runtime.places import Places

PAGE: Final = parsers.Page(
    name="clrestore",
    summary="list, verify and restore archives of the cluster's configuration",
    does="""
        Before each change clbuild keeps the content of /etc/cluster of each node in /cmbackup.
        clrestore puts an archived state back on both nodes, or on neither, as a new
        generation; what was there before is archived first, so that this can be undone as well.

        The cluster must be halted. clhalt and clrestore work when clconf.xml was deleted, too.
    """,
    never=(
        "It never works on a formed cluster, and never on one node only.",
        "It never touches applications' data, volumes or file systems.",
        "It never uses an archive of which a byte has changed.",
    ),
    examples=(
        parsers.Example("clrestore --list", "what there is"),
        parsers.Example("clrestore --verify cluster-20260801-101500-7.tar.gz", "is it whole?"),
        parsers.Example("clrestore cluster-20260801-101500-7.tar.gz", "restore it; then: clform"),
    ),
    files=(("/cmbackup/cluster-DATE-GENERATION.tar.gz", "one per change, the same names on both"),),
    see_also=("clbuild(8)", "clhalt(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    what = made.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the archives of this node")
    what.add_argument(
        "--verify", action="store_true", help="check FILE and show what is in it, change nothing"
    )
    made.add_argument("file", metavar="FILE", nargs="?", help="an archive's name or path")
    parsers.add_json(made)
    made.refuse_beside("--list", ("FILE",), "all archives are listed")
    return made


def body(options: argparse.Namespace) -> int:
    where = places()
    if options.list:
        return _list(where, as_json=options.json)
    if options.file is None:
        raise RpcError(
            "no archive is named",
            "clrestore --list shows them; then: clrestore FILE",
            exit_code=ExitCode.USAGE,
        )
    if options.verify:
        return _verify(where, options.file, as_json=options.json)
    return restore(where, options.file, RealHands(), as_json=options.json)


def _list(where: Places, *, as_json: bool) -> int:
    found = archive.listed(where)
    if as_json:
        entries = [
            {"name": e.name, "date": e.date, "generation": e.generation, "bytes": e.size_bytes}
            for e in found
        ]
        print_json({"archives": entries})
        return int(ExitCode.DONE)
    if not found:
        print(f"no archive in {where.archives}: clbuild makes one before each change")
    rows = [(e.name, f"generation {e.generation}", size_text(e.size_bytes)) for e in found]
    print("\n".join(columns([*rows])))
    return int(ExitCode.DONE)


def _read(where: Places, name: str) -> tuple[Archive, Built]:
    """Read an archive that can be restored; refuse with the reason otherwise."""
    try:
        found = archive.read(archive_file(where, name))
    except archive.ArchiveError as error:
        raise RpcError(f"{name}: {error}", "clrestore --list shows all archives") from None
    if found.built is None:
        raise RpcError(
            f"{name} was made before anything was built; there is nothing to restore",
            "clrestore --list shows all archives",
        )
    return found, found.built


def _verify(where: Places, name: str, *, as_json: bool) -> int:
    found, built = _read(where, name)
    names = [each.application.name for each in built.applications]
    if as_json:
        content = {
            "archive": found.name,
            "node": found.manifest.node,
            "cluster": built.cluster.name,
            "generation": built.generation,
            "applications": names,
            "files": [file.path for file in found.files],
        }
        print_json(content)
        return int(ExitCode.DONE)
    print(f"{found.name} is whole: {len(found.files)} files of {found.manifest.node}")
    print(f"  cluster {built.cluster.name}, generation {built.generation}")
    print(f"  applications: {', '.join(names) or 'none'}")
    return int(ExitCode.DONE)


def restore(where: Places, name: str, hands: Hands, *, as_json: bool) -> int:
    """Put both nodes back to the archived state, or refuse."""
    found, built = _read(where, name)
    if archive_file(where, name).parent.resolve() != where.archives.resolve():
        raise RpcError(
            f"{name} is not in {where.archives}",
            f"copy it there on both nodes (each node has its own), then: clrestore {found.name}",
            exit_code=ExitCode.USAGE,
        )
    me = identify(built.cluster, hands.host_name(), run_interruptible(hands.local_addresses()))
    if me is None or me != found.manifest.node:
        raise RpcError(
            f"{name} was made on {found.manifest.node}, this machine is {me or hands.host_name()}",
            f"run it on {found.manifest.node}",
        )
    peer = built.cluster.peer_of(me)

    async def work(progress: ProgressLine) -> int:
        async with hands.peer_seat(peer, addresses_of(built.cluster, peer)) as remote:
            seats = (hands.local_seat(me, where), remote)
            return await _both(found, built, seats, progress, as_json=as_json)

    with alone(where), ProgressLine("restoring both nodes") as progress, explained(me, peer):
        return run_interruptible(work(progress))


async def _both(
    found: Archive,
    built: Built,
    seats: tuple[Seat, Seat],
    progress: ProgressLine,
    *,
    as_json: bool,
) -> int:
    restorer = Restorer(found, *seats, lambda text: progress.show(Progress(text)))
    sides = await restorer.sides()
    if isinstance(sides, Problem):
        raise RpcError(f"{sides.where}: {sides.what}", sides.mend, exit_code=ExitCode.NOT_NOW)
    _refuse(await restorer.refusals(sides))
    restored = await restorer.carry_out(sides, built)
    activated = await restorer.activate(sides, restored)
    if as_json:
        print_json({"restored": found.name, "generation": restored.generation})
    else:
        print(f"{found.name} is restored on both nodes, as generation {restored.generation}")
    failed = [each for each in activated if each.error]
    if failed:
        raise RpcError(
            f"the state is restored, but {failed[0].node}: {failed[0].error}",
            failed[0].mend,
            exit_code=ExitCode.UNFINISHED,
        )
    if not as_json:
        print("next: clform")
    return int(ExitCode.DONE)


def _refuse(problems: tuple[Problem, ...]) -> None:
    if not problems:
        return
    raise RpcError(
        "nothing was restored", "mend this first", problems=tuple(problems_json(problems))
    )


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
