"""``make demo``: the main job, shown on two guests with real kernels, from nothing.

Two bare nodes become a cluster, an application with replicated data runs, its node loses power,
the service is back on the other node and nothing that was acknowledged is missing. Then the dead
node comes back, resyncs, and the application moves back in a planned way.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Final

from hapair_lab import cluster
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import NeverStoppingClient, missing
from hapair_lab.machine import Machine
from hapair_lab.packages import installed_step, package_file
from hapair_lab.scenario import Scenario

LINES_BEFORE: Final = 40
LINES_AFTER: Final = 40
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the demo measured."""

    outage_s: float
    move_outage_s: float
    acknowledged: int
    missing: tuple[int, ...]
    timeline: str


def tell(text: str) -> None:
    print(f"{BOLD}{text}{PLAIN}", flush=True)


def show(text: str) -> None:
    for line in text.rstrip().splitlines():
        print(f"    {line}", flush=True)


def typed(machine: Machine, command: str) -> None:
    """Type a command on a node and show what an administrator would see."""
    tell(f"{machine.name}# {command}")
    show(machine.check(command, timeout_s=cluster.COMMAND_S))


def play(lab: Lab) -> Figures:
    """Tell the whole story on a lab whose nodes have the package and nothing else."""
    tell("1. Two bare nodes: edit two files, type four commands")
    cluster.form(lab, cluster.QUICK, tell)
    typed(lab.node1, "clstat || true")
    tell("2. A client on the outside writes numbered lines, each acknowledged after fdatasync")
    client = NeverStoppingClient(lab.outside, cluster.SERVICE_ADDRESS)
    client.start()
    client.wait_for_answers(LINES_BEFORE)
    tell("3. The power of node1, which runs the application, is cut")
    lab.node1.power_off()
    client.wait_for_answers(LINES_AFTER, timeout_s=PATIENCE_S)
    timeline = lab.node2.check("clevents --failovers")
    outage_s = client.record_so_far().longest_gap.seconds
    show(f"the service is back on node2 after {outage_s:.1f} s")
    tell("4. node1 gets its power back, joins by itself and resyncs")
    begun_s = time.monotonic()
    lab.node1.power_on()
    cluster.wait_until_redundant(lab, PATIENCE_S)
    show(f"both copies are UpToDate {time.monotonic() - begun_s:.0f} s after the power came back")
    typed(lab.node2, "clstat || true")
    tell("5. The application moves back in a planned way")
    before_move = client.answers()
    typed(lab.node2, "clmoveapp orders")
    client.wait_for_answers(LINES_AFTER)
    record = client.stop()
    lines = lab.node1.get(cluster.LINES_FILE).decode()
    return Figures(
        outage_s=outage_s,
        move_outage_s=record.since(before_move - 1).longest_gap.seconds,
        acknowledged=len(record.acknowledged),
        missing=missing(record, lines),
        timeline=timeline,
    )


def demonstrate(lab: Lab) -> None:
    """Play the demo and print its figures last; LabError when an acknowledged line is missing."""
    begun_s = time.monotonic()
    figures = play(lab)
    print(f"\nplanned move: {figures.move_outage_s:.1f} s without an answer")
    print(f"acknowledged lines in all: {figures.acknowledged}")
    print(f"the demo took {time.monotonic() - begun_s:.0f} s")
    tell("what happened after the power cut:")
    print(figures.timeline.rstrip())
    # On the client's own clock; the steps above are on that of the node.
    print(f"{figures.outage_s:8.1f} s          answered   the client's next line since its last")
    print(f"outage: {figures.outage_s:.1f} s")
    print(f"acknowledged lines missing: {len(figures.missing)}", flush=True)
    if figures.missing:
        raise LabError(f"acknowledged lines are missing: {figures.missing}")


SCENARIO: Final = Scenario(
    name="demo",
    summary="two bare nodes become a cluster, the active one loses power, the service is back",
    starts_from=lambda: installed_step(package_file()),
    play=demonstrate,
)
