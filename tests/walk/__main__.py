"""The walk by hand: python -m tests.walk [--faults N] [--depth N] [--only WORDS] [KIND ...]."""

import argparse
import sys
from collections.abc import Sequence

from tests.walk.search import Figures, Search, Walk
from tests.walk.settings import KINDS


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"which: {', '.join(KINDS)} (default: all)")
    parser.add_argument("--faults", type=int, default=1, help="faults in one run (default: 1)")
    parser.add_argument("--depth", type=int, help="turns (default: until nothing is new)")
    parser.add_argument("--seconds", type=float, help="stop a kind after so long")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORDS",
        help="only faults whose text has these words, e.g. 'networks cut'; may be repeated",
    )
    return parser.parse_args(words)


def show(figures: Figures) -> None:
    print(figures.line(), flush=True)
    if figures.broken is not None:
        print("  " + "\n  ".join(figures.broken.story), flush=True)


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    broken = 0
    for name in options.kinds or KINDS:
        walk = Walk(KINDS[name], only=tuple(options.only))
        figures = Search(walk, options.faults, options.depth, options.seconds).run()
        show(figures)
        broken += figures.broken is not None
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
