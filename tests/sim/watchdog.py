"""The watchdog device of a machine: it resets what no longer feeds it."""

from math import inf
from typing import Final

from hapair.model.cluster import Cluster, Watchdog
from hapair.runtime.node.guard import may_wait
from tests.sim.machine import Machine

RESET_TAKES_S: Final = 5.0


def feed(machine: Machine, cluster: Cluster, now_s: float) -> None:
    """Feed the device as ``runtime.node.guard`` does, if the daemon does anything just now."""
    daemon = machine.daemon
    if daemon is None or not machine.listens:
        return
    # A daemon that was never echoed knows nothing of the silence before it: its lease is short.
    silent_s = inf if daemon.echoed_at_s is None else now_s - daemon.echoed_at_s
    if not daemon.storing or may_wait(cluster, machine.disk, silent_s):
        machine.fed_at_s = now_s


def bites(machine: Machine, watchdog: Watchdog | None, now_s: float) -> bool:
    """Tell whether the daemon of a running machine has starved the device for too long."""
    if watchdog is None or not machine.guarded or not machine.runs:
        return False
    return now_s - machine.fed_at_s >= watchdog.timeout_s
