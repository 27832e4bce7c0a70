"""Runs inside a guest: the adapters for fence agents and for the watchdog, as the daemon uses them.

power_driver.py off|check TIMEOUT_S PLUG    one line: how it ended, and what was said
power_driver.py hold TIMEOUT_S              open the watchdog and feed it until SIGTERM
                                            comes, then release it
"""

import asyncio
import select
import signal
import sys
from types import FrameType

from hapair.adapters.fencing.agents import FenceAgents
from hapair.adapters.shared.process import ProcessRunner
from hapair.adapters.watchdog import KernelWatchdog
from hapair.model.cluster import FenceMethod, Watchdog
from hapair.model.outcome import Done, Outcome

FEED_S = 0.5


def tell(outcome: Outcome) -> None:
    said = outcome.note if isinstance(outcome, Done) else outcome.why
    print(f"{type(outcome).__name__}: {said}", flush=True)


def fence(what: str, timeout_s: float, plug: str) -> None:
    method = FenceMethod(plug, "fence_lab", timeout_s, (("plug", plug),))
    agents = FenceAgents(ProcessRunner())
    tell(asyncio.run(agents.switch_off(method) if what == "off" else agents.check(method)))


class EndedError(Exception):
    """Somebody wants this process to end in order."""


def end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise EndedError


def hold(timeout_s: float) -> None:
    signal.signal(signal.SIGTERM, end)
    device = KernelWatchdog()
    outcome = device.open(Watchdog(timeout_s=timeout_s))
    tell(outcome)
    try:
        while isinstance(outcome, Done):
            device.feed()
            select.select([], [], [], FEED_S)
    except EndedError:
        device.release()


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        hold(float(sys.argv[2]))
    else:
        fence(sys.argv[1], float(sys.argv[2]), sys.argv[3])
