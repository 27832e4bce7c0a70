"""clstat: the state of the cluster on one page."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from hapair.cli.common import ExitCode, ask, print_json, run
from hapair.cli.pages.advice import RUNBOOKS
from hapair.cli.pages.attention import Finding, findings
from hapair.cli.pages.render_status import Page, page_lines
from hapair.cli.pages.resync import measured_rates
from hapair.cli.pages.status import Status, read_status
from hapair.cli.screen import parsers
from hapair.cli.screen.terminal import paint_for
from hapair.rpc.messages import DaemonDown, JsonObject, RpcError

MEMBERS: Final = ("together", "alone", "cut")

PAGE: Final = parsers.Page(
    name="clstat",
    summary="show the state of the cluster on one page",
    does="""
        The page begins with the two nodes and then says what needs you, worst first, each with
        what to do about it. Networks and applications follow: where each application runs, how
        good both copies of its data are, how far a resync is, and what blocks it.

        The page comes from the daemon of this node, which also asks the peer. When the daemon is
        down, the page says so and shows what the files and the kernel tell. It needs neither an
        unchanged clconf.xml nor any at all. Root and the members of the group hapair may use it.

        clstat APP shows one application alone, and more of it: all of its addresses, volumes and
        monitors, how often it failed on each node, and what went wrong with it of late.

        --why explains one application: every table of decisions with the row that holds now,
        what happens next and what blocks it.
    """,
    never=(
        "It changes nothing, on either node.",
        "It never waits more than two seconds for the peer: what is not known is called unknown.",
    ),
    examples=(
        parsers.Example("clstat", "the page, once"),
        parsers.Example("clstat orders", "what is known of orders alone"),
        parsers.Example("clstat --watch", "the page, kept current until Ctrl-C"),
        parsers.Example("clstat --why orders", "why orders runs where it runs, or why it does not"),
        parsers.Example("clstat --json | jq .findings", "what needs a person, for monitoring"),
    ),
    exits=(
        (int(ExitCode.DONE), "the cluster is formed and nothing needs a person"),
        (int(ExitCode.REFUSED), "refused, for example because you are not in the group hapair"),
        (int(ExitCode.USAGE), "wrong arguments, or there is no such application"),
        (
            int(ExitCode.NOT_NOW),
            "the daemon does not answer, or this node is not in a formed cluster",
        ),
        (parsers.EXIT_ATTENTION, "something needs a person: see NEEDS YOU on the page"),
    ),
    files=(
        ("/run/hapair/control.sock", "where the daemon answers"),
        ("/etc/cluster/built/built.json", "what was built last; shown when the daemon is down"),
        ("/var/lib/hapair/state.json", "what this node remembers; shown when the daemon is down"),
        (RUNBOOKS, "a page for each alarm and each failure; begin with README.md"),
    ),
    see_also=("clevents(1)", "clrunapp(8)", "clmoveapp(8)", "clconfirm(8)"),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_application(made, "show this application alone", optional=True)
    made.add_argument("--watch", action="store_true", help="keep the page current until Ctrl-C")
    made.add_argument("--why", action="store_true", help="explain the decisions about APP")
    made.refuse_beside("--why", ("--watch",), "it explains once")
    parsers.add_json(made, "print the state as JSON; with --watch one object per line")
    return made


def ask_both() -> tuple[JsonObject, Status]:
    answer = ask("status")
    return answer, read_status(answer)


def exit_code(status: Status, found: tuple[Finding, ...]) -> int:
    if found:
        return parsers.EXIT_ATTENTION
    formed = status.local.standing in MEMBERS
    return int(ExitCode.DONE if formed else ExitCode.NOT_NOW)


def json_content(answer: JsonObject, status: Status, found: tuple[Finding, ...]) -> JsonObject:
    """Return what --json prints; its fields are documented in docs/reference/json.md."""
    return {
        "daemon": "up",
        "exit_code": exit_code(status, found),
        "findings": [
            {
                "weight": finding.weight.name.lower(),
                "about": finding.about,
                "text": finding.text,
                "to_do": finding.to_do,
            }
            for finding in found
        ],
        **answer,
    }


def show_page(name: str, *, as_json: bool) -> int:
    """Show the page, of one application if it is named."""
    try:
        answer, status = ask_both()
    except DaemonDown as down:
        from hapair.cli.pages.offline import show_offline  # noqa: PLC0415 - only when it is needed

        return show_offline(down, name, as_json=as_json)
    if name:
        return show_one(answer, status, name, as_json=as_json)
    found = findings(status)
    if as_json:
        print_json(json_content(answer, status, found))
        return exit_code(status, found)
    page = made_page(status, found)
    print("\n".join(page_lines(page, paint_for(sys.stdout))))
    return exit_code(status, found)


def made_page(status: Status, found: tuple[Finding, ...]) -> Page:
    rates = measured_rates(status, lambda: ask_both()[1])
    return Page(status, found, time.strftime("%Y-%m-%d %H:%M:%S"), rates)


def show_one(answer: JsonObject, status: Status, name: str, *, as_json: bool) -> int:
    from hapair.cli.pages import one_application as one  # noqa: PLC0415 - only when it is needed

    found = one.findings_of(status, name)
    troubles = one.troubles_of(name)
    if as_json:
        content = json_content(one.narrowed(answer, name), status, found)
        print_json({**content, "history": one.history_objects(troubles)})
    else:
        lines = one.one_lines(made_page(status, found), name, troubles, paint_for(sys.stdout))
        print("\n".join(lines))
    return exit_code(status, found)


def body(options: argparse.Namespace) -> int:
    name = options.application or ""
    if options.why:
        from hapair.cli.pages.why import show_why  # noqa: PLC0415 - only when it is needed

        if not name:
            raise RpcError(
                "--why needs the application that it explains",
                "for example: clstat --why orders; clstat lists them",
                exit_code=ExitCode.USAGE,
            )
        return show_why(name, as_json=options.json)
    if options.watch:
        from hapair.cli.pages.watching import watch  # noqa: PLC0415 - only when it is needed

        return watch(name, as_json=options.json)
    return show_page(name, as_json=options.json)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
