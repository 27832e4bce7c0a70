"""What an administrator wrote in clstart.xml: how the cluster starts when the node boots."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Startup:
    """The defaults are those of a missing clstart.xml."""

    allow_single_node: bool = True  # Form alone when the peer stays silent for the time-out.
    join_existing_cluster: bool = True  # Join when the peer already runs the cluster.
    autostart_apps: bool = True  # Start applications; each one's own autostart must allow it too.
    timeout_s: float = 60.0  # How long to wait for the peer.
