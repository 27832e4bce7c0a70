"""A node whose disk takes nothing: one finding, however much waits for that disk. Pure."""

from typing import Final

from hapair.cli.pages.status import Alarm, NodeStatus, Status

NOT_STORED: Final = "not-stored"  # A node says it of itself.
PEER_UNABLE: Final = "peer-cannot-store"  # It says so in its heartbeats.
FROZEN: Final = "frozen"


def any_unable(status: Status) -> bool:
    """Tell whether a node cannot store: what the other one lacks then has this cause."""
    return any(_says(node, name) for node in status.nodes() for name in (NOT_STORED, PEER_UNABLE))


def is_told(status: Status, node: NodeStatus, alarm: Alarm) -> bool:
    """Tell whether a node's alarm only repeats that a disk takes nothing."""
    if alarm.name == PEER_UNABLE:
        peer = status.seen_by(node.peer)
        return peer is not None and _says(peer, NOT_STORED)
    return alarm.name == FROZEN and _says(node, NOT_STORED)


def with_what_waits(status: Status, alarm: Alarm) -> str:
    """Return the alarm's text; of a node that cannot store, with the writes that wait for it."""
    if alarm.name != NOT_STORED:
        return alarm.text
    frozen = {
        volume.resource
        for node in status.nodes()
        for application in node.applications
        for volume in application.volumes
        if volume.suspended
    }
    return f"{alarm.text}; frozen: writes of {len(frozen)} volume(s)" if frozen else alarm.text


def _says(node: NodeStatus, name: str) -> bool:
    return any(alarm.name == name for alarm in node.alarms)
