"""Measure the outage that a client sees: a power loss, and a planned move.

    python -m bench.native [--runs N] [--detection SECONDS] [--idle SECONDS] [--json FILE]

Two machines of name spaces on this host run the real daemon; see cluster.py. The client sends a
datagram every 5 ms; the outage is the longest gap between two answers. Needs root.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

from bench.native.cluster import APPLICATION, HERE, PORT, SERVICE, Pair, Timings, pair
from hapair.model.timeline import timelines
from hapair.rpc.history import read_happening

SETTLE_S: Final = 1.5  # Of undisturbed answers before each fault.
HEARTBEATS_PER_DETECTION: Final = 5
Figures = dict[str, list[float]]


class Client:
    """Counts answers on a machine outside of the cluster."""

    def __init__(self, cluster: Pair, log: Path) -> None:
        self._log = log
        log.unlink(missing_ok=True)
        argv = (sys.executable, "-I", "-S", str(HERE / "client.py"), SERVICE, str(PORT))
        self._process = cluster.outside.start(argv, log)

    def answered_s(self) -> list[float]:
        """Return when each answer came (CLOCK_MONOTONIC)."""
        lines = self._log.read_text().splitlines()
        return [float(line.split()[0]) for line in lines if " " in line]

    def stop(self) -> list[float]:
        self._process.kill()
        self._process.wait()
        return self.answered_s()


def outage_s(answered_s: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(answered_s))


def measured(cluster: Pair, folder: Path, disturb: Callable[[], object]) -> float:
    """Disturb the service and return the longest gap, once it answers steadily again."""
    client = Client(cluster, folder / "client.log")
    try:
        cluster.wait_until(lambda: len(client.answered_s()) > 1, "the service answers")
        time.sleep(SETTLE_S)
        disturbed_s = time.monotonic()
        disturb()
        cluster.wait_until(
            lambda: client.answered_s()[-1] > disturbed_s + 2 * SETTLE_S, "it answers again"
        )
    finally:
        answered_s = client.stop()
    return outage_s([at_s for at_s in answered_s if at_s > disturbed_s - SETTLE_S / 2])


def phases_s(cluster: Pair, node: str) -> dict[str, float]:
    """Return the steps of the last failover, in seconds after the last heartbeat."""
    events = cluster.nodes[node].ask("events", since=0, limit=500)["events"]
    if not isinstance(events, list):
        raise TypeError("no events")
    steps = timelines(read_happening(event) for event in events)[-1].steps
    return {step.name: step.after_s for step in steps}


def power_loss(cluster: Pair, folder: Path, figures: Figures) -> None:
    """Pull the power of node1, which runs the application; then bring it back."""
    figures.setdefault("power loss: outage", []).append(
        measured(cluster, folder, lambda: cluster.power_off("node1"))
    )
    for step, after_s in phases_s(cluster, "node2").items():
        figures.setdefault(f"power loss: {step}", []).append(after_s)
    cluster.power_on("node1")
    cluster.wait_until(lambda: cluster.standing("node1") == "halted", "the daemon answers")
    cluster.nodes["node1"].ask("form", node="local", start="boot", timeout_s=20)


def planned_move(cluster: Pair, folder: Path, figures: Figures) -> None:
    """Move the application from node2 back to node1."""
    move = lambda: cluster.nodes["node2"].ask("move", application=APPLICATION)  # noqa: E731
    figures.setdefault("planned move: outage", []).append(measured(cluster, folder, move))


def idle(cluster: Pair, for_s: float) -> dict[str, float]:
    """Return what the daemon of node1 costs, with its heart, while nothing happens."""
    daemon = cluster.nodes["node1"].daemon_pid()
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    processes = [Path(f"/proc/{pid}") for pid in (daemon, *children)]
    before_s = sum(map(processor_s, processes))
    time.sleep(for_s)
    used_s = sum(map(processor_s, processes)) - before_s
    figures = {"idle: CPU, % of a core": 100 * used_s / for_s}
    for name in ("Rss", "Pss", "Private_Dirty"):
        size = sum(memory_mib(process, name) for process in processes)
        figures[f"idle: {name}, MiB"] = size
    return figures


def memory_mib(process: Path, name: str) -> float:
    lines = (process / "smaps_rollup").read_text().splitlines()[1:]
    return int(dict(line.split(":", 1) for line in lines)[name].split()[0]) / 1024


def processor_s(process: Path) -> float:
    ticks = (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def table(figures: Figures) -> str:
    lines = [f"{'':32} {'min':>8} {'median':>8} {'max':>8}"]
    for name, values in figures.items():
        row = (min(values), median(values), max(values))
        lines.append(f"{name:32} " + " ".join(f"{value:6.3f} s" for value in row))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--detection", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--idle", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    timings = Timings(options.detection, options.detection / HEARTBEATS_PER_DETECTION)
    figures: Figures = {}
    footprint: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, pair(Path(name), timings) as cluster:
        try:
            cluster.form()
            if options.idle:
                footprint = idle(cluster, options.idle)
            for _ in range(options.runs):
                power_loss(cluster, Path(name), figures)
                planned_move(cluster, Path(name), figures)
        except (RuntimeError, subprocess.TimeoutExpired):
            print(cluster.logs(), file=sys.stderr)
            raise
    print(table(figures))
    for name, value in footprint.items():
        print(f"{name:32} {value:6.2f}")
    if options.json is not None:
        content = {"detection_s": options.detection, "runs": options.runs, "seconds": figures}
        content |= {"idle": footprint}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
