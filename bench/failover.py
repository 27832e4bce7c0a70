"""Measure what a failover costs: min, median and max of each phase, in seconds.

    python -m bench.failover [--runs N] [--json FILE] [--native | --guests KIND] [--no-footprint]
                             [--many]

Without --native it uses the guests of the lab with real DRBD: ``uml`` (kernels that are processes
of this host, at its speed) or ``qemu`` (stock kernels on emulated processors); unless named, what
the lab finds. With --many the application has 29 volumes there instead of one. With --native it is
two machines of name spaces on this host, without DRBD.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from bench import guests
from bench.report import Figures
from hapair_lab.cluster import MANY, QUICK
from hapair_lab.guests import Guests


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--runs", type=runs, default=5, help="runs of each scenario (default: 5)")
    made.add_argument("--json", type=Path, help="write all values into this file")
    played = made.add_mutually_exclusive_group()
    played.add_argument("--native", action="store_true", help="name spaces instead of guests")
    played.add_argument("--guests", choices=[str(kind) for kind in Guests], help="of this kind")
    made.add_argument("--no-footprint", action="store_true", help="leave out the idle minute")
    made.add_argument("--many", action="store_true", help="guests: 29 volumes instead of one")
    return made


def runs(text: str) -> int:
    """Read how many runs are wished: without one there is nothing to sum up."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: it has to be 1 or more")
    return int(text)


def main() -> int:
    options = parser().parse_args()
    if options.native:
        more = ["--json", str(options.json)] if options.json else []
        argv = [sys.executable, "-m", "bench.native", "--runs", str(options.runs), *more]
        return subprocess.run(argv, check=False).returncode
    kind = Guests(options.guests) if options.guests else None
    plan = MANY if options.many else QUICK
    figures = Figures()
    for number in range(1, options.runs + 1):
        print(f"run {number} of {options.runs}", file=sys.stderr, flush=True)
        guests.power_loss(figures, kind, plan)
        guests.planned_move(figures, kind, plan)
    if not options.no_footprint:
        guests.footprint(figures, kind)
    figures.tell(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
