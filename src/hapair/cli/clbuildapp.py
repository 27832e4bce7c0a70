"""clbuildapp: put an application under the cluster's care, or take over changes of it."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Final

from hapair.cli.common import ExitCode, call, goes_on, print_json, run
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import filled

PAGE: Final = parsers.Page(
    name="clbuildapp",
    summary="put an application under the cluster's care, or take over changes of it",
    does="""
        Reads /etc/cluster/APP/appconf.xml on this node and makes it so. File systems of the
        application's volume groups that are mounted natively here are put under replication with
        their data in place: a small volume for DRBD's own records is made in the same group, the
        peer gets volumes of the same size, the file systems are mounted again over DRBD, and the
        copies are synchronised in the background; clstat shows how far that is.

        Run it on the node where the data is. Other applications go on running. If a step fails,
        everything is put back as it was. --plan shows what would be done and changes nothing.
    """,
    never=(
        ("It never destroys data: neither a volume nor a file system is ever made anew over one"
        " that holds something."),
        ("It never takes a volume of the other node that it cannot look at, or that is not plainly"
        " empty; it never removes one that it did not make."),
        ("It never begins when a step can be seen to fail: no room, a busy mount, a missing tool,"
        " a peer that is down."),
        "It never touches other applications.",
    ),
    examples=(
        parsers.Example("clbuildapp orders --plan", "what would be done, in which order"),
        parsers.Example("clbuildapp orders", "do it; then: clrunapp orders"),
    ),
    files=(
        ("/etc/cluster/APP/appconf.xml", ("what the application needs; a sample is in"
         " /usr/share/hapair/samples")),
        ("/cmbackup", "the configuration before each change"),
    ),
    see_also=("clbuild(8)", "clrunapp(8)", "clstat(1)"),
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "the application: the name of its folder in /etc/cluster")
    made.add_argument("--plan", action="store_true", help="show what would be done, change nothing")
    parsers.add_json(made)
    return made


def body(options: argparse.Namespace) -> int:
    name = options.application
    saying = f"planning {name}" if options.plan else f"building {name}"
    text = "What had been done is put back by the daemon; clstat shows when that is complete."
    with goes_on(text), ProgressLine(saying) as progress:
        result = call("buildapp", {"application": name, "plan": options.plan}, progress.show)
    if options.json:
        print_json(result)
    else:
        print("\n".join(told(Reader(result), name, planned=options.plan)))
    return int(ExitCode.DONE)


def told(result: Reader, name: str, *, planned: bool) -> Iterator[str]:
    """Yield what was done, or with --plan what would be done, step by step."""
    for warning in result.texts("warnings"):
        yield from filled(warning, "warning: ")
    for line in result.texts("summary"):
        yield from filled(line)
    steps = result.texts("steps")
    if not steps:
        yield f"{name} is what its appconf.xml says: there is nothing to do"
        return
    if planned:
        for number, step in enumerate(steps, start=1):
            yield from filled(step, f"{number:3}. ")
        yield "nothing was changed; without --plan this is done"
        return
    yield f"{name} is built ({len(steps)} steps)"
    if result.inners("volumes"):
        yield "its data is copied to the other node in the background; clstat shows how far it is"
    yield f"next: clrunapp {name}, if it does not run yet"


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
