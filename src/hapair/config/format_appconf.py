"""The format of /etc/cluster/<application>/appconf.xml."""

from typing import Final

from hapair.config import addresses, kinds
from hapair.config.format_clconf import NETWORKS_MAX
from hapair.config.format_monitors import MONITORS
from hapair.config.grammar import MANY, Attribute, Child, Element
from hapair.model.application import TimeLimits

LIMIT_MAX_S: Final = 3600.0
PRIORITY_MAX: Final = 1000
DEMANDS_MAX: Final = 64

RAW: Final = Element(
    "raw",
    "A logical volume without a file system that is replicated too.",
    (
        Attribute("volume", kinds.text(), "The logical volume.", required=True),
        Attribute("owner", kinds.text(), "Owner of the device file.", default="root"),
        Attribute("group", kinds.text(), "Group of the device file.", default="disk"),
        Attribute("mode", kinds.whole(0, 777), "Its permissions.", default="660"),
    ),
    example='<raw volume="lv_data"/>',
    later="clbuildapp takes over mounted file systems only",
)
VOLUME_GROUP_NAME: Final = Attribute(
    "name",
    kinds.VOLUME_GROUP,
    "The volume group; it has the same name on both nodes.",
    required=True,
)
VOLUME_GROUP: Final = Element(
    "volumegroup",
    "An LVM volume group that belongs to this application alone. `clbuildapp` takes over the file "
    "systems that are mounted from it.",
    (VOLUME_GROUP_NAME,),
    (Child(RAW, 0, MANY),),
    example='<volumegroup name="vg_orders"/>',
)

ADDRESS: Final = Element(
    "address",
    "One address, or all addresses of a range.",
    text=addresses.RANGE,
    example="<address>10.77.1.50</address>",
)
NETWORK_NAME: Final = Attribute(
    "name", kinds.SIMPLE_NAME, "A network of clconf.xml.", required=True
)
NETWORK: Final = Element(
    "network",
    "The addresses that follow the application on one network.",
    (NETWORK_NAME,),
    (Child(ADDRESS, 1, MANY),),
    example='<network name="public"> with an <address>',
)

SCRIPT_PATH: Final = Attribute(
    "path",
    kinds.absolute_path(),
    "The program; it is called with the one argument `start` or `stop`.",
    required=True,
)
SCRIPT: Final = Element(
    "script",
    "A script or program that starts and stops the application.",
    (SCRIPT_PATH,),
    example='<script path="/etc/cluster/orders/run"/>',
)
UNIT_NAME: Final = Attribute("name", kinds.UNIT_NAME, "The unit's full name.", required=True)
UNIT: Final = Element(
    "unit",
    "A systemd unit, used unchanged. Disable it (`systemctl disable`): the cluster starts it.",
    (UNIT_NAME,),
    example='<unit name="postgresql@15-main.service"/>',
)
PARAMETER_NAME: Final = Attribute(
    "name",
    kinds.PARAMETER_NAME,
    "The parameter's name, as the agent's meta-data lists it.",
    required=True,
)
PARAMETER_VALUE: Final = Attribute("value", kinds.text(), "Its value.", required=True)
PARAMETER: Final = Element(
    "parameter",
    "A parameter of the agent.",
    (PARAMETER_NAME, PARAMETER_VALUE),
    example='<parameter name="ip" value="10.0.0.5"/>',
    private=True,
)
OCF_AGENT: Final = Attribute(
    "agent", kinds.OCF_AGENT, "Standard, provider and agent.", required=True
)
OCF: Final = Element(
    "ocf",
    "An OCF resource agent, used unchanged.",
    (OCF_AGENT,),
    (Child(PARAMETER, 0, MANY, PARAMETER_NAME),),
    example='<ocf agent="ocf:heartbeat:pgsql"/>',
    private=True,
)
RUN: Final = Element(
    "run",
    "How the application is started and stopped. Without it the cluster provides the data and "
    "the addresses only.",
    children=(Child(SCRIPT), Child(UNIT), Child(OCF)),
    alternatives=True,
    example='<run><script path="/etc/cluster/orders/run"/></run>',
    private=True,
)

LIMITS_START: Final = Attribute(
    "start",
    kinds.duration(1, LIMIT_MAX_S),
    "A start that takes longer has failed.",
    default=kinds.duration_text(TimeLimits().start_s),
)
LIMITS_STOP: Final = Attribute(
    "stop",
    kinds.duration(1, LIMIT_MAX_S),
    "A stop that takes longer is enforced: the application's processes are ended.",
    default=kinds.duration_text(TimeLimits().stop_s),
)
LIMITS_MOUNT: Final = Attribute(
    "mount",
    kinds.duration(1, LIMIT_MAX_S),
    "A mount that takes longer, with the replay of its journal and a check, has failed; after "
    "three tries the other node may get it. What has begun goes on: the next try waits for it, "
    "and a check is never killed.",
    default=kinds.duration_text(TimeLimits().mount_s),
)
LIMITS: Final = Element(
    "limits",
    "How long starting, stopping and mounting may take.",
    (LIMITS_START, LIMITS_STOP, LIMITS_MOUNT),
    example='<limits start="60s" stop="60s"/>',
)

STOP_HANGS: Final = Attribute(
    "stop_hangs",
    kinds.choice("alarm", "reset"),
    "Every step of the stop ladder failed: wait for a person, or reset the node if the other "
    "node waits to start it. A reset ends everything else on the node too.",
    default="alarm",
)
WHEN: Final = Element(
    "when",
    "What to do when something fails that leaves a choice.",
    (
        Attribute(
            "disk_fails",
            kinds.choice("stay", "move"),
            "Use the peer's copy, or move.",
            default="stay",
            later="it stays, and uses the peer's copy",
        ),
        Attribute(
            "clients_lost",
            kinds.choice("stay", "move"),
            "The client network fails here and is proven better on the peer.",
            default="move",
            later="it stays where it is",
        ),
        STOP_HANGS,
    ),
    example='<when stop_hangs="reset"/>',
)

OTHER: Final = Attribute(
    "application", kinds.SIMPLE_NAME, "Another application of the cluster.", required=True
)
AFTER: Final = Element(
    "after",
    "It starts after that application, wherever that is: it waits while that one is on its way up, "
    "and not for one that is halted or failed. `clstat --why` says what it waits for.",
    (OTHER,),
    example='<after application="db"/>',
)
WITH: Final = Element(
    "with",
    "It runs on the same node as that application, and moves with it. Of several the one with the "
    "highest priority leads; who cannot follow it runs apart.",
    (OTHER,),
    example='<with application="db"/>',
)
APART_FROM: Final = Element(
    "apart-from",
    "It never runs on the same node as that application: while only one node is left, the one of "
    "the higher priority is started there. What runs is not stopped for it; where it could be on "
    "neither of two nodes, what has a lower priority and is on its node moves to the other one.",
    (OTHER,),
    example='<apart-from application="test"/>',
)

APPLICATION_NAME: Final = Attribute(
    "name",
    kinds.SIMPLE_NAME,
    "The application's name; its folder has the same name.",
    required=True,
)
APPLICATION_PREFERRED: Final = Attribute(
    "preferred", kinds.NODE_NAME, "The node that it runs on when both could run it.", required=True
)
APPLICATION_AUTOSTART: Final = Attribute(
    "autostart", kinds.flag(), "Start it when the cluster forms.", default="yes"
)
APPLICATION_FAILBACK: Final = Attribute(
    "failback",
    kinds.flag(),
    "Move it back by itself when the preferred node has returned and its data is UpToDate.",
    default="no",
)
APPLICATION_PRIORITY: Final = Attribute(
    "priority",
    kinds.whole(0, PRIORITY_MAX),
    "The higher one is started first, and leads those that run on the same node.",
    default="0",
)
APPLICATION: Final = Element(
    "application",
    "A service that runs on one node at a time, with its data and its addresses.",
    (
        APPLICATION_NAME,
        APPLICATION_PREFERRED,
        APPLICATION_AUTOSTART,
        APPLICATION_FAILBACK,
        APPLICATION_PRIORITY,
    ),
    (
        Child(VOLUME_GROUP, 0, 64, VOLUME_GROUP_NAME),
        Child(NETWORK, 0, NETWORKS_MAX, NETWORK_NAME),
        Child(RUN),
        Child(AFTER, 0, DEMANDS_MAX, OTHER),
        Child(WITH, 0, DEMANDS_MAX, OTHER),
        Child(APART_FROM, 0, DEMANDS_MAX, OTHER),
        Child(LIMITS),
        Child(MONITORS),
        Child(WHEN),
    ),
    example='<application name="orders" preferred="node1">',
)
