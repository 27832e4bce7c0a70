"""The simulator by hand.

Play many seeds: python -m tests.sim --seeds 2000 --from 0

A seed that fails is printed with the line that plays it again, with its whole trace:
python -m tests.sim --seed 1234 --trace
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.sim.run import Failure, plan_of, plan_without_operator, play
from tests.sim.shrink import shrunk
from tests.sim.trace import printer


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds (default: 2000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one seed")
    parser.add_argument("--unattended", action="store_true", help="without an operator")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--shrink", action="store_true", help="leave out faults while it fails")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failure")
    return parser.parse_args(words)


def report(failure: Failure) -> None:
    print(f"seed {failure.plan.seed} fails at {failure.at_s:.3f} s: {failure.what}")
    for timed in failure.plan.schedule:
        print(f"    {timed.at_s:8.3f} {timed.fault}")
    unattended = "" if failure.plan.attended else " --unattended"
    print(f"  replay: python -m tests.sim --seed {failure.plan.seed}{unattended} --trace")


def main(words: Sequence[str] | None = None) -> int:
    options = arguments(words)
    seeds = (
        [options.seed]
        if options.seed is not None
        else range(options.first, options.first + options.seeds)
    )
    begin_s = time.perf_counter()
    plan_for = plan_without_operator if options.unattended else plan_of
    failures = 0
    played = 0
    for seed in seeds:
        played += 1
        plan = plan_for(str(seed))
        failure = play(plan)
        if failure is not None:
            failures += 1
            if options.shrink:
                failure = shrunk(failure)
            if options.trace:
                play(failure.plan, trace=printer(sys.stdout))
            report(failure)
            if not options.keep_going:
                break
        elif options.trace:
            play(plan, trace=printer(sys.stdout))
    took_s = time.perf_counter() - begin_s
    print(f"{played} seeds, {failures} failed, {played / took_s:.1f} seeds/s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
