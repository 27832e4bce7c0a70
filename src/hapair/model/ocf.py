"""What an OCF agent is told when it is called, and what its exit codes mean."""

from enum import IntEnum
from typing import Final

from hapair.model.application import OcfAgent

ROOT: Final = "/usr/lib/ocf"
# The agents' HA_RSCTMP, in memory: it must be empty after a boot, and is made where it is missing.
STATE_FOLDER: Final = "/run/resource-agents"
STATE_FOLDER_MODE: Final = 0o1755


class Code(IntEnum):
    SUCCESS = 0
    ERROR = 1
    WRONG_ARGUMENTS = 2
    UNIMPLEMENTED = 3
    NOT_PERMITTED = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7
    PROMOTED = 8
    FAILED_PROMOTED = 9
    DEGRADED = 190  # It runs, and may fail soon.
    DEGRADED_PROMOTED = 191


RUNNING: Final = (Code.SUCCESS, Code.PROMOTED, Code.DEGRADED, Code.DEGRADED_PROMOTED)


def path(agent: OcfAgent, root: str = ROOT) -> str:
    return f"{root}/resource.d/{agent.provider}/{agent.kind}"


def name(agent: OcfAgent) -> str:
    """Return what appconf.xml calls it."""
    return f"ocf:{agent.provider}:{agent.kind}"


def variables(agent: OcfAgent, application: str, node: str) -> dict[str, str]:
    """Return what every action of an agent finds in its environment.

    An interval of 0 makes a monitor a probe: the agent answers "not running" also where what it
    needs is not mounted. With the name of the node no agent asks Pacemaker's tools for it.
    """
    return {
        "OCF_ROOT": ROOT,
        "OCF_RA_VERSION_MAJOR": "1",
        "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": application,
        "OCF_RESOURCE_TYPE": agent.kind,
        "OCF_RESOURCE_PROVIDER": agent.provider,
        "OCF_CHECK_LEVEL": "0",
        "HA_RSCTMP": STATE_FOLDER,
        "OCF_RESKEY_CRM_meta_interval": "0",
        "OCF_RESKEY_CRM_meta_on_node": node,
        **{f"OCF_RESKEY_{key}": value for key, value in agent.parameters},
    }


# They end with an error unless one instance of several is promoted.
PROMOTED_ONLY: Final = (
    "Stateful", "conntrackd", "drbd", "galera", "mariadb", "mpathpersist", "rabbitmq-cluster",
    "rabbitmq-server-ha", "sg_persist",
)  # fmt: skip
# Parameters by which an agent is told to replicate by itself, and the values that do not say so.
REPLICATES: Final = {"rep_mode": ("", "none", "slave")}


def is_promoted(agent: OcfAgent) -> bool:
    """Tell whether it can run only with promoted instances, which hapair has none of."""
    asked = any(value not in REPLICATES.get(key, (value,)) for key, value in agent.parameters)
    return asked or agent.kind in PROMOTED_ONLY
