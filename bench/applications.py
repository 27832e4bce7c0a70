"""Measure what a fault costs the users of real applications: seconds until a write is acknowledged.

    python -m bench.applications [NAME ...] [--runs N] [--json FILE] [--guests KIND]

Each application plays its whole story: it is killed, it hangs, it is killed until it moves, its
file system is full, its node loses its power. Of guests: ``uml`` or ``qemu``; unless named, what
the lab finds.
"""

import argparse
import sys
from pathlib import Path

from bench.failover import runs
from bench.report import Figures
from hapair_lab import cluster, snapshots
from hapair_lab.applications import ALL
from hapair_lab.applications.application import RealApplication
from hapair_lab.applications.play import long_story
from hapair_lab.guests import Guests


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument(
        "applications",
        nargs="*",
        type=known,
        metavar="NAME",
        help=f"{', '.join(ALL)} (default: all)",
    )
    made.add_argument("--runs", type=runs, default=1, help="runs of each story (default: 1)")
    made.add_argument("--json", type=Path, help="write all values into this file")
    made.add_argument("--guests", choices=[str(kind) for kind in Guests], help="of this kind")
    return made


def known(name: str) -> RealApplication:
    if name not in ALL:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(ALL)}")
    return ALL[name]


def main() -> int:
    options = parser().parse_args()
    kind = Guests(options.guests) if options.guests else None
    figures = Figures()
    for number in range(1, options.runs + 1):
        for played in options.applications or ALL.values():
            print(f"run {number} of {options.runs}: {played.name}", file=sys.stderr, flush=True)
            formed = cluster.formed_step(booted=played.booted)
            with snapshots.lab_from(formed, kind) as lab:
                for what, seconds in long_story(lab, played).outages_s.items():
                    figures.add(f"{played.name}: {what}", seconds)
    figures.tell(options.json)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
