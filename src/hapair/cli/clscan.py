"""clscan: show the facts of this node that clbuild looks at."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hapair.cli.common import ExitCode, places, run
from hapair.cli.screen import parsers
from hapair.cli.screen.terminal import columns, size_text
from hapair.core.plan.storage_checks import lost
from hapair.model.node_facts import NodeFacts, ScanRequest
from hapair.runtime.building.build import side_of
from hapair.runtime.building.files import digest
from hapair.runtime.building.scanning import dump_facts, pack_facts
from hapair.runtime.building.wiring import node_scan, run_interruptible
from hapair.runtime.codec import loads

PAGE: Final = parsers.Page(
    name="clscan",
    summary="show the facts of this node that clbuild looks at",
    does="""
        Looks at kernel, DRBD, LVM, tools, cards, addresses, services and the configuration of this
        node, and prints what it saw. clbuild runs it on both nodes and judges the facts; use it to
        see with clbuild's eyes. Of other tools that are not kept away from replicated volumes it
        says so itself.
    """,
    never=(
        "It never changes anything: it loads no module and writes no file.",
        "It never prints a secret: of keys and of the configuration it shows digests only.",
    ),
    examples=(
        parsers.Example("clscan", "the most important facts, for people"),
        parsers.Example("clscan --json", "all facts, one JSON document"),
    ),
    exits=(
        (ExitCode.DONE, "done, also when the daemon does not answer"),
        (ExitCode.REFUSED, "a file of the configuration cannot be read, for example without root"),
        (ExitCode.USAGE, "wrong arguments"),
    ),
    see_also=("clbuild(8)",),
)


def parser() -> argparse.ArgumentParser:
    made = parsers.make_parser(PAGE)
    parsers.add_json(made, "print all facts as one JSON document")
    made.add_argument("--request", action="store_true", help=argparse.SUPPRESS)
    return made


def body(options: argparse.Namespace) -> int:
    request = loads(ScanRequest, sys.stdin.buffer.read()) if options.request else ScanRequest()
    facts = run_interruptible(node_scan(places()).scan(request))
    if options.request:
        print(pack_facts(facts))
    elif options.json:
        print(dump_facts(_without_texts(facts)))
    else:
        print("\n".join(fact_lines(facts)))
    return int(ExitCode.DONE)


def _without_texts(facts: NodeFacts) -> NodeFacts:
    """Leave out what the files of the configuration say: it may hold passwords of fence agents."""
    found = facts.configuration
    applications = tuple(replace(file, text=_digest(file.text)) for file in found.applications)
    shown = replace(
        found,
        clconf=_digest(found.clconf),
        built=_digest(found.built),
        applications=applications,
    )
    return replace(facts, configuration=shown)


def _digest(text: str) -> str:
    return f"sha256:{digest(text.encode())}" if text else ""


def fact_lines(facts: NodeFacts) -> list[str]:
    drbd, lvm, daemon = facts.drbd, facts.lvm, facts.daemon
    other = f", still version {daemon.version}" if daemon.version not in {"", facts.version} else ""
    rows = [
        ("node", facts.hostname),
        ("hapair", facts.version),
        ("kernel", facts.kernel),
        ("DRBD", f"{drbd.version or drbd.error}{'' if drbd.loaded else ' (not loaded)'}"),
        ("LVM", lvm.version or lvm.error),
        ("daemon", f"{daemon.standing or ('running' if daemon.running else 'not running')}{other}"),
    ]
    for card in facts.cards:
        addresses = " ".join(each.address for each in card.addresses) or "no address"
        told = "" if card.reports_link else ", does not report its link"
        rows.append((f"card {card.name}", f"link {card.link}{told}, {addresses}"))
    rows += [
        (
            f"volume group {group.name}",
            f"{size_text(group.free_bytes)} of {size_text(group.size_bytes)} free",
        )
        for group in lvm.groups
    ]
    side = side_of(facts.hostname, facts)
    rows += [(problem.field, problem.what) for problem in lost(side)]
    return columns(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(parser(), body, arguments)
