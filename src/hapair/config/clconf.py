"""clconf.xml: text to Cluster, or problems."""

from collections.abc import Mapping
from typing import Final

from hapair.config import format_arbitration as arbitration_fmt
from hapair.config import format_clconf as fmt
from hapair.config.clconf_alerts import alerts_of, hook_lines
from hapair.config.clconf_checks import check_cluster
from hapair.config.clconf_timing import timing_of, watchdog_timeout_s
from hapair.config.document import Node
from hapair.config.grammar import checked, must, value_of
from hapair.config.reading import Format, Reading, examine
from hapair.config.witness_place import place_of
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    FenceMethod,
    Network,
    PortRange,
    Resync,
    Timing,
    Watchdog,
    Witness,
    WitnessKind,
)
from hapair.model.problem import Problem
from hapair.model.secret import IN_FILE

# Keys of Reading.places.
ORDER: Final = "order"
HOOK: Final = "hook "  # With the path of the program.


def read_clconf(text: bytes, *, file: str) -> Cluster | tuple[Problem, ...]:
    """Return the cluster, or everything that is wrong with the file."""
    return examine_clconf(text, file=file).value_or_problems()


def examine_clconf(text: bytes, *, file: str) -> Reading[Cluster]:
    """Return the cluster, if there is no error, and its warnings; else the errors."""
    return examine(text, _FORMAT, file=file)


def _build(root: Node) -> Cluster:
    first, second = (must(node, fmt.NODE_NAME) for node in root.named("node"))
    ports = must(root, fmt.CLUSTER_PORTS)
    networks = root.named("network")
    (arbitration,) = root.named("arbitration")
    timing = checked(timing_of(root))
    return Cluster(
        name=must(root, fmt.CLUSTER_NAME),
        nodes=(first, second),
        ports=PortRange(ports.first, ports.last),
        devices=must(root, fmt.CLUSTER_DEVICES),
        networks=tuple(
            _network(node, (first, second), only=len(networks) == 1) for node in networks
        ),
        arbitration=ArbitrationKind(must(arbitration, arbitration_fmt.ARBITRATION_BY)),
        timing=timing,
        witnesses=tuple(_witness(node) for node in arbitration.named("witness")),
        fence_methods=tuple(_method(node) for node in arbitration.named("method")),
        window_s=value_of(arbitration, arbitration_fmt.ARBITRATION_WINDOW),
        watchdog=_watchdog(root, timing),
        resync=_resync(root),
        alerts=alerts_of(root),
    )


def _network(node: Node, nodes: tuple[str, str], *, only: bool) -> Network:
    attachments = (_attachment(child) for child in node.named("on"))
    reference = value_of(node, fmt.NETWORK_REFERENCE)
    return Network(
        name=must(node, fmt.NETWORK_NAME),
        attachments=tuple(sorted(attachments, key=lambda a: nodes.index(a.node))),
        crossover=value_of(node, fmt.NETWORK_ATTRIBUTE) == "crossover",
        replication=only or must(node, fmt.NETWORK_REPLICATION),
        reference=None if reference is None else str(reference),
    )


def _attachment(node: Node) -> Attachment:
    address, *further = must(node, fmt.ON_ADDRESS)
    return Attachment(
        node=must(node, fmt.ON_NODE),
        address=address,
        cards=must(node, fmt.ON_CARDS),
        further=tuple(further),
    )


def _witness(node: Node) -> Witness:
    kind = WitnessKind(must(node, arbitration_fmt.WITNESS_KIND))
    return Witness(
        kind=kind,
        at=checked(place_of(kind, must(node, arbitration_fmt.WITNESS_AT))).text,
        timeout_s=must(node, arbitration_fmt.WITNESS_TIMEOUT),
        pin=(value_of(node, arbitration_fmt.WITNESS_PIN) or "").lower(),
    )


def _method(node: Node) -> FenceMethod:
    return FenceMethod(
        node=must(node, arbitration_fmt.METHOD_NODE),
        agent=must(node, arbitration_fmt.METHOD_AGENT),
        timeout_s=must(node, arbitration_fmt.METHOD_TIMEOUT),
        parameters=tuple(_parameter(child) for child in node.named("parameter")),
    )


def _parameter(node: Node) -> tuple[str, str]:
    file = value_of(node, arbitration_fmt.PARAMETER_FILE)
    value = f"{IN_FILE}{file}" if file else must(node, arbitration_fmt.PARAMETER_VALUE)
    return must(node, arbitration_fmt.PARAMETER_NAME), value


def _watchdog(root: Node, timing: Timing) -> Watchdog | None:
    for node in root.named("watchdog"):
        timeout_s = value_of(node, fmt.WATCHDOG_TIMEOUT)
        return Watchdog(
            device=must(node, fmt.WATCHDOG_DEVICE),
            timeout_s=watchdog_timeout_s(timing) if timeout_s is None else timeout_s,
        )
    return None


def _resync(root: Node) -> Resync:
    for node in root.named("resync"):
        return Resync(
            snapshot=must(node, fmt.RESYNC_SNAPSHOT),
            rate_bytes=value_of(node, fmt.RESYNC_RATE),
            order=value_of(node, fmt.RESYNC_ORDER) or (),
        )
    return Resync()


def _places(root: Node) -> Mapping[str, int]:
    lines = [node.line_of("order") for node in root.named("resync")]
    hooks = {HOOK + path: line for path, line in hook_lines(root).items()}
    return ({ORDER: lines[0]} if lines else {}) | hooks


_FORMAT: Final = Format(
    fmt.CLUSTER, "/usr/share/hapair/samples/clconf.xml", check_cluster, _build, _places
)
