"""What must be true of <arbitration> besides its grammar."""

from collections.abc import Sequence
from typing import Final

from hapair.config import format_arbitration as fmt
from hapair.config.clconf_fencing import check_methods
from hapair.config.complaints import Complaints
from hapair.config.document import Node, shown
from hapair.config.format_clconf import NODE_NAME, ON_ADDRESS
from hapair.config.grammar import value_of
from hapair.config.kinds import Wrong
from hapair.config.witness_place import Place, is_loopback, place_of
from hapair.model.cluster import ArbitrationKind, WitnessKind

NETWORKS_FOR_PATHS: Final = 2
WITHOUT_MAJORITY_OF_HALF: Final = 2  # Of so many witnesses both must answer.


def node_names(root: Node) -> tuple[str, ...]:
    """Return the names of the nodes, as far as they are right."""
    names = (value_of(node, NODE_NAME) for node in root.named("node"))
    return tuple(name for name in names if name is not None)


def check_arbitration(root: Node, complaints: Complaints) -> None:
    """Report what the chosen arbitration lacks, and what does not belong to it."""
    for arbitration in root.named("arbitration"):
        match value_of(arbitration, fmt.ARBITRATION_BY):
            case ArbitrationKind.WITNESS:
                _check_witnesses(root, arbitration, complaints)
                mend = 'remove it, or let agents decide: by="fencing" without a <witness>'
                _refuse(arbitration, "method", mend, complaints)
            case ArbitrationKind.FENCING:
                _refuse(arbitration, "witness", 'write by="witness", or remove it', complaints)
                check_methods(arbitration, node_names(root), complaints)
            case ArbitrationKind.PATHS:
                _refuse_what_others_need(arbitration, complaints)
                _check_paths(arbitration, root.named("network"), complaints)
            case ArbitrationKind.OPERATOR:
                _refuse_what_others_need(arbitration, complaints)
                complaints.warning(
                    arbitration.line_of("by"),
                    "<arbitration> by",
                    '"operator" means that after the loss of a node nothing is taken over until a '
                    "person types clconfirm",
                    'have somebody on call, or let a third place decide: by="witness"',
                )
            case _:
                pass  # A missing or unknown word was reported by the grammar.


def _refuse(arbitration: Node, name: str, mend: str, complaints: Complaints) -> None:
    for node in arbitration.named(name)[:1]:
        by = arbitration.attributes.get("by", "")
        complaints.error(node.line, f"<{name}>", f'by="{by}" never asks a <{name}>', mend)


def _refuse_what_others_need(arbitration: Node, complaints: Complaints) -> None:
    _refuse(arbitration, "witness", 'write by="witness", or remove it', complaints)
    mend = 'write by="fencing", or remove it'
    _refuse(arbitration, "method", mend, complaints)
    if "window" in arbitration.attributes:
        complaints.error(
            arbitration.line_of("window"),
            "<arbitration> window",
            "it is for witness and fencing: here neither node goes first",
            "remove it",
        )


def _check_paths(arbitration: Node, networks: tuple[Node, ...], complaints: Complaints) -> None:
    line, field = arbitration.line_of("by"), "<arbitration> by"
    if not networks:
        return  # The networks must be mended first.
    if len(networks) < NETWORKS_FOR_PATHS:
        what = '"paths" needs at least two networks'
        complaints.error(line, field, what, 'add a network, or write by="operator"')
    if not any("reference" in network.attributes for network in networks):
        what = '"paths" needs a network with a reference address'
        mend = 'write reference="..." (usually the gateway) at the network of the clients'
        complaints.error(line, field, what, mend)
    complaints.warning(
        line,
        field,
        '"paths" has no third party to ask: two cables cut at once can leave both nodes '
        "running the same application, and their data then diverges",
        "lay the networks on separate cables and switches, or let a third place decide: "
        'by="witness"',
    )


# --- Witnesses -----------------------------------------------------------------------------------


def _check_witnesses(root: Node, arbitration: Node, complaints: Complaints) -> None:
    witnesses = arbitration.named("witness")
    if not witnesses:
        complaints.error(
            arbitration.line_of("by"),
            "<arbitration> by",
            '"witness" needs a <witness> that can be asked',
            f"add {fmt.WITNESS.example}; `clwitness invite NAME` prints the line",
        )
    if len(witnesses) == WITHOUT_MAJORITY_OF_HALF:
        complaints.warning(
            witnesses[1].line,
            "<witness>",
            "with two witnesses both must answer before a node may act alone: more than half "
            "decides, and two fail more often than one",
            "take one witness, or three",
        )
    own = _own_hosts(root)
    seen: list[tuple[Node, Place]] = []
    for witness in witnesses:
        _check_pin(witness, complaints)
        place = _place(witness, complaints)
        if place is not None:
            _check_hosts(witness, place, own, complaints)
            _check_twice(witness, place, seen, complaints)
            seen.append((witness, place))


def _place(witness: Node, complaints: Complaints) -> Place | None:
    kind, at = value_of(witness, fmt.WITNESS_KIND), value_of(witness, fmt.WITNESS_AT)
    if kind is None or at is None:
        return None
    place = place_of(WitnessKind(kind), at)
    if isinstance(place, Wrong):
        complaints.error(witness.line_of("at"), "<witness> at", place.what, place.mend)
        return None
    return place


def _check_pin(witness: Node, complaints: Complaints) -> None:
    kind, at = value_of(witness, fmt.WITNESS_KIND), value_of(witness, fmt.WITNESS_AT)
    given = "pin" in witness.attributes
    if kind == WitnessKind.CLWITNESS and not given:
        complaints.error(
            witness.line,
            "<witness> pin",
            "it is missing: without it anybody could answer in the witness's place",
            "type `clwitness invite NAME` on the witness: it prints the whole line",
        )
    if kind == WitnessKind.FILE and given:
        what, mend = "only clwitness and etcd have a pin, and this is file", "remove it"
        complaints.error(witness.line_of("pin"), "<witness> pin", what, mend)
    if kind == WitnessKind.ETCD and given and at is not None:
        place = place_of(WitnessKind.ETCD, at)
        if isinstance(place, Place) and place.plain:
            what = f"{place.plain[0]} is asked without TLS, and shows no certificate"
            mend = f"write https://{place.plain[0]}, or remove it"
            complaints.error(witness.line_of("pin"), "<witness> pin", what, mend)


def _own_hosts(root: Node) -> dict[str, str]:
    """Return what the nodes themselves are reached by, with the words for its owner."""
    own = {name.lower(): f"the node {name}" for name in node_names(root)}
    for network in root.named("network"):
        for on in network.named("on"):
            for interface in value_of(on, ON_ADDRESS) or ():
                place = f"a node's own address (line {on.line_of('address')})"
                own[str(interface.ip)] = place
    return own


def _check_hosts(witness: Node, place: Place, own: dict[str, str], complaints: Complaints) -> None:
    line, field = witness.line_of("at"), "<witness> at"
    mend = "let it run on a third machine, best in another room and on another power supply"
    for host in dict.fromkeys(place.hosts):
        if host in own:
            what = f"{host} is {own[host]}: a witness that is lost with a node is no third place"
            complaints.error(line, field, what, mend)
        elif is_loopback(host) and witness.attributes.get("kind") == WitnessKind.ETCD:
            complaints.warning(
                line,
                field,
                f"{host} is each node itself",
                "that is right only where a proxy leads from there to an etcd elsewhere; else "
                "write the URLs of its members",
            )
        elif is_loopback(host):
            what = f"{host} is each node itself: both would be told that they may go on"
            complaints.error(line, field, what, mend)
    for host in dict.fromkeys(place.plain):
        if not is_loopback(host):
            complaints.warning(
                line,
                field,
                f"{host} is asked without TLS: who is on the way can answer in its place",
                f"let etcd listen with a certificate, and write https://{host}",
            )


def _check_twice(
    witness: Node, place: Place, seen: Sequence[tuple[Node, Place]], complaints: Complaints
) -> None:
    """Report a witness that is asked twice: it would be half of a majority with itself."""
    pin = value_of(witness, fmt.WITNESS_PIN)
    for other, known in seen:
        line = other.line_of("at")
        shared = set(place.ends) & set(known.ends)
        other_pin = value_of(other, fmt.WITNESS_PIN)
        if shared or (
            pin is not None and other_pin is not None and pin.lower() == other_pin.lower()
        ):
            reason = shown(place.text) if shared else "by its pin it"
            complaints.error(
                witness.line_of("at"),
                "<witness> at",
                f"{reason} is the witness of line {line} once more",
                "write another third place, or remove one of the two",
            )
            return
