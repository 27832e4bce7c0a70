"""``python -m hapair_lab.soak``, which ``make soak`` calls."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hapair.model.cluster import ArbitrationKind
from hapair_lab import evidence, snapshots
from hapair_lab.cluster import LINES_FILE, ClusterPlan
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.progress import say
from hapair_lab.rules import BrokenRuleError
from hapair_lab.soak.compare import copies_that_differ
from hapair_lab.soak.figures import Figures, RoundResult
from hapair_lab.soak.play import Round
from hapair_lab.soak.promise import REFUSED
from hapair_lab.soak.schedule import RoundPlan, plan_round
from hapair_lab.soak.stage import BANK, BANK_FOLDER, ORDERS, soak_step
from hapair_lab.soak.watch import Watcher
from hapair_lab.soak.writers import BESIDE, TELLER_LOG, LineWriter, Writer

EVIDENCE: Final = Path("build") / "soak"
FAILED: Final = 1
MINUTE_S: Final = 60.0
# What was promised and what is there; a node that does not serve has none of it.
LOGS: Final = (str(Path(TELLER_LOG).parent),)
DATA: Final = (LINES_FILE, BANK_FOLDER)
ARCHIVE: Final = "/run/hapair-lab-soak.tgz"
SUM_NOTE: Final = "interrupted: the summary is that of the rounds so far"


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    made = argparse.ArgumentParser(
        prog="make soak",
        description="Random faults against a formed cluster while clients write.",
        epilog="exit codes: 0 nothing went wrong, 1 something did (the evidence is kept).",
    )
    made.add_argument("--minutes", type=float, default=60.0, help="when to stop (default: 60)")
    made.add_argument("--seed", type=int, default=1, help="what decides all faults (default: 1)")
    made.add_argument(
        "--arbitration",
        choices=[kind.value for kind in REFUSED],
        default=ArbitrationKind.PATHS.value,
        help="who grants the right to act alone (default: paths)",
    )
    made.add_argument(
        "--application",
        choices=list(BESIDE),
        default=BANK,
        help="what runs beside orders (default: bank)",
    )
    made.add_argument("--first", type=int, default=1, metavar="ROUND", help="begin with this round")
    made.add_argument("--rounds", type=int, default=0, help="how many rounds; 0: until the time")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    made.add_argument("--plan", action="store_true", help="print the faults and play nothing")
    return made


class Soak:
    """Rounds on one lab, until the time is over or something went wrong."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.arbitration = ArbitrationKind(options.arbitration)
        self.figures = Figures(options.seed, options.arbitration)
        self._begun_s = time.monotonic()

    def run(self) -> None:
        """Form the cluster, let the clients begin, and play."""
        beside = self.options.application
        applications = (ORDERS, beside)
        step = soak_step(ClusterPlan(arbitration=self.arbitration.value), beside)
        with snapshots.lab_from(step) as lab:
            watcher = Watcher(
                lab.nodes,
                applications,
                found=lambda text: say(f"two writable sides: {text}"),
            )
            writers: tuple[Writer, ...] = (LineWriter(lab.outside), BESIDE[beside](lab.outside))
            watcher.start()
            self._begun_s = time.monotonic()
            try:
                self._play_rounds(lab, watcher, writers)
                if self.figures.ok:
                    self.figures.compared = applications
                    self.figures.differ = copies_that_differ(lab, applications)
            finally:
                watcher.stop()
                self.figures.took_s = time.monotonic() - self._begun_s
                self.figures.samples = watcher.samples
                self.figures.two_writers = watcher.broken
                names = {writer.application: writer.acknowledged for writer in writers}
                self.figures.acknowledged = {name: ack.count for name, ack in names.items()}

    def _play_rounds(self, lab: Lab, watcher: Watcher, writers: tuple[Writer, ...]) -> None:
        number = self.options.first
        until_s = self._begun_s + self.options.minutes * MINUTE_S
        while time.monotonic() < until_s and self.figures.ok:
            if self.options.rounds and number >= self.options.first + self.options.rounds:
                return
            plan = plan_round(self.options.seed, number, self.arbitration)
            lab.note(f"round {number}: {plan}")
            result = self._play(plan, lab, watcher, writers)
            self.figures.rounds.append(result)
            print(result.line(), flush=True)
            if result.broken:
                self._keep(lab, result)
            number += 1

    def _play(
        self, plan: RoundPlan, lab: Lab, watcher: Watcher, writers: tuple[Writer, ...]
    ) -> RoundResult:
        at_s = time.monotonic() - self._begun_s
        counts = {writer: writer.look().count for writer in writers}
        redundant_after_s, broken = 0.0, ""
        one = Round(lab, watcher, writers, self.arbitration)
        try:
            one.play(plan)
            redundant_after_s = one.recover()
            if not watcher.broken:
                one.check_promises()
        except BrokenRuleError as error:
            broken = str(error)
            self.figures.lost = sum(writer.lost for writer in writers)
        except LabError as error:
            broken = str(error)
        broken = "; ".join([broken] * bool(broken) + watcher.broken)
        return RoundResult(
            number=plan.number,
            at_s=at_s,
            plan=str(plan),
            kinds=tuple(kind.value for kind in one.struck),
            outages_s={
                writer.application: round(writer.acknowledged.longest_gap_s(count), 1)
                for writer, count in counts.items()
            },
            redundant_after_s=round(redundant_after_s, 1),
            broken=broken,
            reset_again=tuple(one.reset_again),
        )

    def replay(self, number: int) -> str:
        """Return the command that plays the round again."""
        options = self.options
        return (
            f"make soak SEED={options.seed} ARBITRATION={options.arbitration}"
            f" APPLICATION={options.application} FIRST={number} ROUNDS=1"
        )

    def _keep(self, lab: Lab, result: RoundResult) -> None:
        target = EVIDENCE / f"seed-{self.options.seed}-round-{result.number}"
        replay = self.replay(result.number)
        kept = evidence.keep(lab, target, why=f"{result.plan}\n\n{result.broken}", replay=replay)
        for machine, paths in ((lab.node1, DATA), (lab.node2, DATA), (lab.outside, LOGS)):
            with contextlib.suppress(LabError):
                machine.run(["tar", "-czf", ARCHIVE, *paths])
                (kept / f"{machine.name}-data.tgz").write_bytes(machine.get(ARCHIVE))
        print(f"evidence: {kept}\nreplay:   {replay}", flush=True)


def print_plans(options: argparse.Namespace) -> None:
    """Print what would be played."""
    for number in range(options.first, options.first + (options.rounds or 20)):
        print(
            f"{number:3d}  {plan_round(options.seed, number, ArbitrationKind(options.arbitration))}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print the summary whatever happened, and return the exit code."""
    options = parser().parse_args(arguments)
    if options.plan:
        print_plans(options)
        return 0
    soak = Soak(options)
    try:
        soak.run()
    except KeyboardInterrupt:
        print(SUM_NOTE, flush=True)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        soak.figures.ended_by = str(error)
    print(f"\n{soak.figures.summary()}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(soak.figures.as_json(), indent=2) + "\n")
    return 0 if soak.figures.ok else FAILED


if __name__ == "__main__":
    sys.exit(main())
