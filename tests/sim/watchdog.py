"""The watchdog device of a machine: it resets what no longer feeds it.

It is opened, fed and left alone as in ``runtime.node.guard``.
"""

from math import inf
from typing import TYPE_CHECKING, Final

from hapair.model.cluster import Cluster
from hapair.runtime.node.guard import may_wait
from tests.sim.machine import Daemon, Machine

if TYPE_CHECKING:
    from tests.sim.world import World

RESET_TAKES_S: Final = 5.0
A_MOMENT_S: Final = 0.001


def guard(machine: Machine, daemon: Daemon, now_s: float, *, on: bool) -> None:
    """Open or release the device, as the core says; leave one alone that an earlier daemon left."""
    if on and machine.guarded:
        return
    machine.guarded = daemon.holds_watchdog = on
    machine.fed_at_s = now_s


def feed(machine: Machine, cluster: Cluster, now_s: float) -> None:
    """Feed the device if the daemon does anything just now, and may."""
    daemon = machine.daemon
    if daemon is None or not machine.listens or not machine.guarded:
        return
    silent_s = inf if daemon.echoed_at_s is None else now_s - daemon.echoed_at_s
    waits_rightly = may_wait(cluster, machine.disk, silent_s)
    if not daemon.holds_watchdog:
        if not may_go_on(daemon, waits_rightly=waits_rightly):
            return
        daemon.holds_watchdog = True
        machine.fed_at_s = now_s
    if waits_rightly or not daemon.storing:
        machine.fed_at_s = now_s


def may_go_on(daemon: Daemon, *, waits_rightly: bool) -> bool:
    """Tell whether a new daemon takes the device on that an earlier one left running."""
    return waits_rightly or daemon.disk_works


def is_guarded(world: "World", machine: Machine) -> bool:
    """Tell whether a device ends a lease in time.

    The core asks for one whether or not any is configured. It stands still with its machine, and
    begins anew with that.
    """
    cluster = world.built.cluster
    if cluster.watchdog is None or not machine.guarded:
        return False
    return world.clockwork.now_s - machine.woke_at_s > cluster.lease_s + cluster.watchdog.timeout_s


def let_go(world: "World", machine: Machine, daemon: Daemon) -> None:
    """Let the kernel close it behind a daemon that was killed, which feeds it once more."""
    watchdog = world.built.cluster.watchdog
    if watchdog is None or not daemon.holds_watchdog:
        return
    machine.fed_at_s = world.clockwork.now_s

    def look() -> None:
        bites(world, machine)

    world.clockwork.after(watchdog.timeout_s + A_MOMENT_S, look)


def bites(world: "World", machine: Machine) -> bool:
    """Reset a running machine whose device has starved for too long; tell whether it did."""
    watchdog = world.built.cluster.watchdog
    if watchdog is None or not machine.guarded or not machine.runs:
        return False
    if world.clockwork.now_s - machine.fed_at_s < watchdog.timeout_s:
        return False
    world.reset(machine, "reset by its watchdog")
    return True
