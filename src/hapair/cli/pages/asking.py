"""Ask for the state of the cluster, and find in it what an option means."""

from typing import Final

from hapair.cli.pages.status import Status, read_status
from hapair.rpc.client import ask
from hapair.rpc.messages import ExitCode, RpcError

LOCAL: Final = "local"


def ask_status() -> Status:
    return read_status(ask("status"))


def named_node(status: Status, name: str) -> str:
    """Return the node that ``--node`` means; "local" is this one. RpcError for a stranger."""
    local = status.local
    if name == LOCAL:
        return local.node
    if name in {local.node, local.peer}:
        return name
    raise RpcError(
        f"there is no node {name} in cluster {local.cluster}",
        f"the nodes are {local.node} and {local.peer}",
        exit_code=ExitCode.USAGE,
    )
