"""clbuildapp: put an application under the cluster's care, change it, or let it go again."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

from hapair.cli.common import ExitCode, call, goes_on, print_json, run
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled
from hapair.rpc.messages import JsonObject

PAGE: Final = parsers.Page(
    name="clbuildapp",
    summary="put an application under the cluster's care, change it, or let it go again",
    does="""
        Reads /etc/cluster/APP/appconf.xml on this node and makes it so. File systems of the
        application's volume groups that are mounted natively here are put under replication with
        their data in place: a small volume for DRBD's own records is made in the same group, the
        peer gets volumes of the same size, the file systems are mounted again over DRBD, and the
        copies are synchronised in the background; clstat shows how far that is. File systems that
        are mounted inside one another are put there together, outer ones first.

        Run it on the node where the data is. Other applications go on running. If a step fails,
        or it is interrupted, by Ctrl-C, a daemon that dies, a node that is lost, everything is put
        back as it was: it ends as built or as before, and clstat says which and what to type. The
        options of a mount stay what they are; what cannot stay is named before anything begins.
        --plan shows what would be done and changes nothing.

        What lemsctl changed of the monitors stays as it is, and a warning says so. --take-monitors
        writes what it added and removed into appconf.xml and builds that; --drop-monitors makes
        the monitors those of appconf.xml again.

        --release takes an application out of the cluster again; type it on the node where it runs,
        or ran last. The program is stopped, and the data is mounted there from its own volume, as
        it was before the cluster: with its options, and with its line of fstab. Nothing else of it
        is left on either node but the volume of the other node: it keeps the former copy, which
        nothing mounts, until you remove it. Once both nodes have given up the right to run it, a
        release is brought to its end, whatever interrupts it; before that it is taken back. Its
        last line is what to type so that the program runs here without the cluster: a unit was
        disabled by you, and you enable it again.

        An unfinished build is taken back by itself, and first of all when the command is typed
        again. --abandon is for one whose note (job.json) cannot be read, or whose other node is
        lost for good: it looks at both nodes for what such a build left, by hapair's own resource
        files, tags and comments in fstab, takes that back, and sets the note aside. A release is
        brought to its end once both nodes know of it; one that had only stopped the application
        leaves it built, and says so.
    """,
    never=(
        ("It never destroys data: neither a volume nor a file system is ever made anew over one"
        " that holds something."),
        ("It never takes a volume of the other node that it cannot look at, or that is not empty to"
        " its last byte; it never removes one that it did not make."),
        ("It never begins when a step can be seen to fail: no room, a busy mount, a missing tool,"
        " a peer that is down."),
        "It never touches other applications.",
        ("With --release it never removes a copy of the data, and never mounts the one of the other"
         " node."),
        ("With --abandon it never touches what is built, and never removes the data of a volume"
        " unless the node where it comes from answers and has it."),
    ),
    examples=(
        parsers.Example("clbuildapp orders --plan", "what would be done, in which order"),
        parsers.Example("clbuildapp orders", "do it; then: clrunapp orders"),
        parsers.Example("clbuildapp --release orders", "let it go; its data stays mounted here"),
        parsers.Example("clbuildapp --abandon --plan", "what an unreadable build has left behind"),
    ),
    files=(
        ("/etc/cluster/APP/appconf.xml", ("what the application needs; a sample is in"
         " /usr/share/hapair/samples")),
        ("/cmbackup", "the configuration before each change"),
        ("/var/lib/hapair/job.json", "the note of a build until it has ended"),
    ),
    see_also=("clbuild(8)", "clrunapp(8)", "clstat(1)"),
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    which = made.add_mutually_exclusive_group(required=True)
    parsers.add_application(
        which, "the application: the name of its folder in /etc/cluster", optional=True
    )
    which.add_argument(
        "--abandon",
        action="store_true",
        help="take back a build, or end a release, whose note cannot be read, on both nodes",
    )
    made.add_argument(
        "--release", action="store_true", help="take the application out of the cluster; data stays"
    )
    monitors = made.add_mutually_exclusive_group()
    monitors.add_argument(
        "--take-monitors",
        action="store_true",
        help="write into appconf.xml what lemsctl added and removed",
    )
    monitors.add_argument(
        "--drop-monitors", action="store_true", help="drop what lemsctl changed of the monitors"
    )
    why = "nothing is built from appconf.xml"
    for one in ("--release", "--abandon"):
        made.refuse_beside(one, ("--take-monitors", "--drop-monitors"), why)
    made.refuse_beside("--abandon", ("--release",), "what nobody can read has no name")
    made.add_argument("--plan", action="store_true", help="show what would be done, change nothing")
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    if options.abandon:
        return abandon(options)
    if options.release:
        return release(options)
    name = options.application
    saying = f"planning {name}" if options.plan else f"building {name}"
    text = (
        "The daemon ends the step that is under way, then puts back what had been done, unless it"
        " was about to end; clstat shows what became of it."
    )
    with goes_on(text), ProgressLine(saying) as progress:
        args: JsonObject = {"application": name, "plan": options.plan}
        if options.take_monitors or options.drop_monitors:
            args["monitors"] = "take" if options.take_monitors else "drop"
        result = call("buildapp", args, progress.show)
    if options.json:
        print_json(result)
    else:
        print("\n".join(told(Reader(result), name, planned=options.plan)))
    return int(ExitCode.DONE)


def release(options: argparse.Namespace) -> int:
    name = options.application
    text = (
        "The daemon ends the step that is under way, then takes the release back, or brings it to"
        " its end where both nodes have given the application up already; clstat tells."
    )
    saying = f"planning the release of {name}" if options.plan else f"releasing {name}"
    with goes_on(text), ProgressLine(saying) as progress:
        result = call("release", {"application": name, "plan": options.plan}, progress.show)
    if options.json:
        print_json(result)
    else:
        print("\n".join(told_released(Reader(result), name, planned=options.plan)))
    return int(ExitCode.DONE)


def told_released(result: Reader, name: str, *, planned: bool) -> Iterator[str]:
    """Yield what was done, or with --plan what would be, and what is left then."""
    steps = result.texts("steps")
    if not steps:
        yield f"{name} is not built: there is nothing to release"
        return
    if planned:
        yield from numbered(steps)
        yield "afterwards:"
    else:
        yield f"{name} is out of the cluster ({len(steps)} steps)"
    for sentence in result.texts("told"):
        yield f"  {sentence}"  # One of them may be a line for fstab: it stays whole.
    if planned:
        yield "nothing was changed; without --plan this is done"


def abandon(options: argparse.Namespace) -> int:
    text = "The daemon goes on; type it again to see what it has done."
    with goes_on(text), ProgressLine("looking at both nodes") as progress:
        result = call("abandon", {"plan": options.plan}, progress.show)
    if options.json:
        print_json(result)
    else:
        print("\n".join(told_abandoned(Reader(result), planned=options.plan)))
    return int(ExitCode.DONE)


def told_abandoned(result: Reader, *, planned: bool) -> Iterator[str]:
    """Yield what was taken back, or with --plan what would be, and what stays."""
    steps, stays = result.texts("steps"), result.texts("told")
    yield from numbered(steps)
    for sentence in stays:
        yield from filled(sentence, "stays: ")
    if aside := result.text("aside"):
        yield f"the note was set aside: {aside}"
    if not steps:
        if not stays:
            yield "no unfinished build has left anything that is known by its marks"
    elif planned:
        yield "nothing was changed; without --plan this is done, as far as it is there"
    elif released := result.texts("released"):
        yield f"out of the cluster: {', '.join(released)}"
    else:
        yield "all of this is as it was before"


def told(result: Reader, name: str, *, planned: bool) -> Iterator[str]:
    """Yield what was done, or with --plan what would be done, step by step."""
    for warning in result.texts("warnings"):
        yield from filled(warning, "warning: ")
    for line in result.texts("summary"):
        yield from filled(line)
    steps = result.texts("steps")
    if not steps and result.texts("summary"):
        yield "nothing was changed; without --plan this is done" if planned else "done"
        return
    if not steps:
        yield f"{name} is what its appconf.xml says: there is nothing to do"
        return
    if planned:
        yield from numbered(steps)
        yield "nothing was changed; without --plan this is done"
        return
    yield f"{name} is built ({len(steps)} steps)"
    if result.inners("volumes"):
        yield "its data is copied to the other node in the background; clstat shows how far it is"
    yield f"next: clrunapp {name}, if it does not run yet"


def numbered(steps: Sequence[str]) -> Iterator[str]:
    """Yield the steps of a job in their order, each with its number."""
    for number, step in enumerate(steps, start=1):
        yield from filled(step, f"{number:3}. ")


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
