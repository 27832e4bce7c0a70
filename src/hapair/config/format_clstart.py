"""The format of /etc/cluster/clstart.xml."""

from typing import Final

from hapair.config import kinds
from hapair.config.grammar import Attribute, Element

TIMEOUT_MAX_S: Final = 24 * 3600.0

ALLOW_SINGLE_NODE: Final = Attribute(
    "allow_single_node",
    kinds.flag(),
    "Form the cluster alone when the peer stayed silent for the time-out. Even then an "
    "application starts only if this node's own records show that its data is the newest.",
    default="yes",
)
JOIN_EXISTING_CLUSTER: Final = Attribute(
    "join_existing_cluster",
    kinds.flag(),
    "Join when the peer already runs the cluster.",
    default="yes",
)
AUTOSTART_APPS: Final = Attribute(
    "autostart_apps",
    kinds.flag(),
    'Start the applications that do not say autostart="no".',
    default="yes",
)
TIMEOUT: Final = Attribute(
    "timeout", kinds.duration(1, TIMEOUT_MAX_S), "How long to wait for the peer.", default="60s"
)
CLSTART: Final = Element(
    "clstart",
    "What clstartup does when this node boots. Without this file the defaults hold.",
    (ALLOW_SINGLE_NODE, JOIN_EXISTING_CLUSTER, AUTOSTART_APPS, TIMEOUT),
    example='<clstart timeout="60s"/>',
)
