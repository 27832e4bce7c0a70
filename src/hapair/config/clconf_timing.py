"""The durations of clconf.xml, and how they must fit together."""

from typing import Final

from hapair.config import format_arbitration
from hapair.config import format_clconf as fmt
from hapair.config.complaints import Complaints
from hapair.config.document import Node
from hapair.config.grammar import value_of
from hapair.config.kinds import duration_text
from hapair.model.cluster import Timing, Watchdog

HEARTBEATS_IN_DETECTION: Final = 5  # The default; losing a few datagrams is no loss of a node.
HEARTBEATS_LEAST: Final = 3  # In one detection time: a lost datagram or two must not count.
QUICK_DETECTION_S: Final = 1.0
WATCHDOG_LEAST_S: Final = 1  # The kernel counts whole seconds.


def timing_of(root: Node) -> Timing | None:
    """Return the cluster's timing; None when a part of it is wrong."""
    for node in root.named("timing"):
        detection_s = value_of(node, fmt.TIMING_DETECTION)
        heartbeat_s = value_of(node, fmt.TIMING_HEARTBEAT)
        lease_s = value_of(node, fmt.TIMING_LEASE)
        wrong = ("heartbeat" in node.attributes and heartbeat_s is None) or (
            "lease" in node.attributes and lease_s is None
        )
        if detection_s is None or wrong:
            return None
        if heartbeat_s is None:
            heartbeat_s = round(detection_s / HEARTBEATS_IN_DETECTION, 3)
        return Timing(detection_s, heartbeat_s, lease_s)
    return Timing()


def lease_of(timing: Timing) -> float:
    """Return the lease in seconds, also when it was left to its default."""
    return timing.lease_s if timing.lease_s is not None else 3 * timing.detection_s


def watchdog_timeout_s(timing: Timing) -> float:
    """Return the time-out of a watchdog for which none was written."""
    return float(min(int(lease_of(timing)), int(Watchdog().timeout_s)))


def check_durations(root: Node, complaints: Complaints) -> None:
    """Report durations that contradict each other."""
    timing = timing_of(root)
    if timing is None:
        return
    for node in root.named("timing"):
        _check_timing(node, timing, complaints)
        _check_lease(node, timing, complaints)
    for arbitration in root.named("arbitration"):
        _check_window(arbitration, timing, complaints)
    for watchdog in root.named("watchdog"):
        _check_watchdog(watchdog, timing, complaints)


def _check_timing(node: Node, timing: Timing, complaints: Complaints) -> None:
    detection_s, heartbeat_s = timing.detection_s, timing.heartbeat_s
    if heartbeat_s * HEARTBEATS_LEAST > detection_s:
        complaints.error(
            node.line_of("heartbeat"),
            "<timing> heartbeat",
            f"fewer than {HEARTBEATS_LEAST} heartbeats of {duration_text(heartbeat_s)} fit into "
            f"a detection time of {duration_text(detection_s)}",
            f'write heartbeat="{duration_text(_largest_heartbeat_s(detection_s))}" or less, '
            "or leave it out",
        )
    if detection_s < QUICK_DETECTION_S:
        complaints.warning(
            node.line_of("detection"),
            "<timing> detection",
            f"{duration_text(detection_s)} is short: a busy node may be taken for a lost one",
            f"take {duration_text(QUICK_DETECTION_S)} or more, or test it under load",
        )


def _largest_heartbeat_s(detection_s: float) -> float:
    return int(detection_s * 1000 / HEARTBEATS_LEAST) / 1000


def _check_lease(node: Node, timing: Timing, complaints: Complaints) -> None:
    """Report a lease that may end before the node has noticed the silence."""
    least_s = round(timing.detection_s + timing.heartbeat_s, 3)
    if timing.lease_s is not None and timing.lease_s < least_s:
        complaints.error(
            node.line_of("lease"),
            "<timing> lease",
            f"{duration_text(timing.lease_s)} is shorter than the detection time of "
            f"{duration_text(timing.detection_s)} and a heartbeat of "
            f"{duration_text(timing.heartbeat_s)}",
            f'write lease="{duration_text(least_s)}" or more, or leave it out',
        )


def _check_window(node: Node, timing: Timing, complaints: Complaints) -> None:
    window_s = value_of(node, format_arbitration.ARBITRATION_WINDOW)
    if window_s is None or value_of(node, format_arbitration.ARBITRATION_BY) == "fencing":
        return  # Agents take seconds, so a long head start is right.
    limits = {
        "the detection time": timing.detection_s,
        "the lease": lease_of(timing),
    }
    name = min(limits, key=lambda limit: limits[limit])
    if window_s >= limits[name]:
        complaints.error(
            node.line_of("window"),
            "<arbitration> window",
            f"{duration_text(window_s)} is not shorter than {name} of "
            f"{duration_text(limits[name])}: the node would wait longer than for the silence",
            f'leave it out; its default is "{duration_text(round(2 * timing.heartbeat_s, 3))}"',
        )


def _check_watchdog(node: Node, timing: Timing, complaints: Complaints) -> None:
    """Report a watchdog that resets a hung node too late.

    The other node may have started applications by then, and those without replicated data are
    not held back by DRBD.
    """
    lease_s = lease_of(timing)
    if lease_s < WATCHDOG_LEAST_S:
        complaints.error(
            node.line,
            "<watchdog>",
            f"a lease of {duration_text(lease_s)} ends before any watchdog can reset the node",
            f'write <timing lease="{duration_text(WATCHDOG_LEAST_S)}"/> or more',
        )
        return
    timeout_s = value_of(node, fmt.WATCHDOG_TIMEOUT)
    if timeout_s is None:
        return
    line, field = node.line_of("timeout"), "<watchdog> timeout"
    if timeout_s > lease_s:
        complaints.error(
            line,
            field,
            f"{duration_text(timeout_s)} is longer than the lease of {duration_text(lease_s)}: a "
            "hung node would still be up when the other one starts its applications",
            f'write timeout="{int(lease_s)}s" or less, or a longer lease: '
            f'<timing lease="{duration_text(timeout_s)}"/>',
        )
    elif timeout_s != int(timeout_s):
        what = f"{duration_text(timeout_s)} are no whole seconds, and the kernel counts only those"
        complaints.error(line, field, what, f'write timeout="{int(timeout_s)}s"')
