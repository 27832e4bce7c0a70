"""clstart.xml: text to Startup, or problems."""

from typing import Final

from hapair.config import format_clstart as fmt
from hapair.config.complaints import Complaints
from hapair.config.document import Node
from hapair.config.grammar import must, value_of
from hapair.config.reading import Format, Reading, examine, nowhere
from hapair.model.problem import Problem
from hapair.model.startup import Startup


def read_clstart(text: bytes, *, file: str) -> Startup | tuple[Problem, ...]:
    """Return how to start at boot, or everything that is wrong with the file."""
    return examine_clstart(text, file=file).value_or_problems()


def examine_clstart(text: bytes, *, file: str) -> Reading[Startup]:
    """Return how to start at boot, if there is no error, and its warnings; else the errors."""
    return examine(text, _FORMAT, file=file)


def _check(root: Node, complaints: Complaints) -> None:
    ways = (fmt.ALLOW_SINGLE_NODE, fmt.JOIN_EXISTING_CLUSTER)
    if all(value_of(root, way) is False for way in ways):
        complaints.warning(
            root.line,
            "<clstart>",
            "after a boot this node neither joins a running cluster nor forms one alone",
            "type clform by hand, or allow one of the two",
        )


def _build(root: Node) -> Startup:
    return Startup(
        allow_single_node=must(root, fmt.ALLOW_SINGLE_NODE),
        join_existing_cluster=must(root, fmt.JOIN_EXISTING_CLUSTER),
        autostart_apps=must(root, fmt.AUTOSTART_APPS),
        timeout_s=must(root, fmt.TIMEOUT),
    )


_FORMAT: Final = Format(
    fmt.CLSTART, "/usr/share/hapair/samples/clstart.xml", _check, _build, nowhere
)
