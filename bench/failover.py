"""Measure what a failover costs: min, median and max of each phase, in seconds.

    python -m bench.failover [--runs N] [--json FILE] [--native | --guests KIND] [--no-footprint]

Without --native it uses the guests of the lab with real DRBD: ``uml`` (kernels that are processes
of this host, at its speed) or ``qemu`` (stock kernels on emulated processors); unless named, what
the lab finds. With --native it is two machines of name spaces on this host, without DRBD.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from bench import guests
from bench.report import Figures
from hapair_lab.guests import Guests


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--runs", type=int, default=5, help="runs of each scenario (default: 5)")
    made.add_argument("--json", type=Path, help="write all values into this file")
    made.add_argument("--native", action="store_true", help="name spaces instead of guests")
    made.add_argument("--guests", type=Guests, choices=list(Guests), help="this kind of guests")
    made.add_argument("--no-footprint", action="store_true", help="leave out the idle minute")
    return made


def main() -> int:
    options = parser().parse_args()
    if options.native:
        more = ["--json", str(options.json)] if options.json else []
        argv = [sys.executable, "-m", "bench.native", "--runs", str(options.runs), *more]
        return subprocess.run(argv, check=False).returncode
    figures = Figures()
    for number in range(1, options.runs + 1):
        print(f"run {number} of {options.runs}", file=sys.stderr, flush=True)
        guests.power_loss(figures, options.guests)
        guests.planned_move(figures, options.guests)
    if not options.no_footprint:
        guests.footprint(figures, options.guests)
    print(figures.table())
    if options.json:
        options.json.write_text(figures.as_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
