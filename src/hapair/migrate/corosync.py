"""corosync.conf: nodes, rings, token."""

from dataclasses import dataclass
from ipaddress import ip_address

from hapair.migrate.blocks import Block, read_blocks
from hapair.migrate.lines import Place, Source, refuse_more
from hapair.migrate.notes import Notes
from hapair.migrate.words import FoundCluster, FoundNetwork

RINGS: tuple[str, ...] = tuple(f"ring{number}" for number in range(8))
MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    rings: tuple[tuple[str, str], ...]
    place: Place


def read_corosync(source: Source, notes: Notes) -> FoundCluster:
    """Return what corosync.conf says of the cluster; UnreadableError."""
    root = _colons_away(read_blocks(source, comments="#"))
    members = [_member(node) for each in root.named("nodelist") for node in each.named("node")]
    refuse_more(len(members), "nodes", root.place)
    name, detection_s, why = "", 0.0, {}
    for totem in root.named("totem"):
        name = totem.text("cluster_name")
        detection_s, said = _detection(totem, notes)
        if said:
            why["timing"] = said
        for ring in totem.named("interface"):
            what = f"interface {ring.text('bindnetaddr') or ring.text('ringnumber')}"
            notes.left(ring.place, what, "networks follow from the nodes' own addresses")
    witness = ""
    for quorum in root.named("quorum"):
        witness = _quorum(quorum, notes) or witness
    for each in root.inner:
        if each.name not in {"totem", "nodelist", "quorum"}:
            notes.left(each.place, each.name, "hapair has its own; nothing to do")
    for member in members:
        notes.took(member.place, f"node {member.name}", f'<node name="{member.name}"/>')
    if members:
        why["nodes"] = f"From {members[0].place}."
    return FoundCluster(
        name=name,
        nodes=tuple(each.name for each in members),
        networks=_networks(members),
        witness=witness,
        detection_s=detection_s,
        why=why,
    )


def _colons_away(block: Block) -> Block:
    """Make "name: value" the words name and value."""
    for each in block.inner:
        if each.words and not each.braced:
            name, _, rest = " ".join(each.words).partition(":")
            each.words = [name.strip(), rest.strip()]
        _colons_away(each)
    return block


def _member(node: Block) -> _Member:
    rings = tuple((ring, node.text(f"{ring}_addr")) for ring in RINGS)
    known = tuple((ring, address) for ring, address in rings if address)
    first = known[0][1] if known else ""
    return _Member(node.text("name") or ("" if _is_address(first) else first), known, node.place)


def _networks(members: list[_Member]) -> tuple[FoundNetwork, ...]:
    found = []
    for ring in RINGS:
        known = tuple(
            (member.name, address)
            for member in members
            for name, address in member.rings
            if name == ring and _is_address(address)
        )
        if any(name == ring for member in members for name, _ in member.rings):
            place = members[0].place
            why = f"{ring} of {place.file}. Prefix lengths and cards are not told there: ip address"
            found.append(FoundNetwork(ring, known, why=why))
    return tuple(found)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _detection(totem: Block, notes: Notes) -> tuple[float, str]:
    written = totem.text("token")
    if not written.isdigit() or len(written) > 9:  # noqa: PLR2004 - a week in milliseconds
        return 0.0, ""
    seconds = int(written) / MILLISECONDS
    place = next(each.place for each in totem.named("token"))
    notes.took(place, f"token {written}", f'<timing detection="{seconds:g}s"/>')
    return seconds, f"token: {written} of {place}. The default, 2s, suits most networks."


def _quorum(quorum: Block, notes: Notes) -> str:
    """Return the host that gave a third vote."""
    for device in quorum.named("device"):
        host = next((net.text("host") for net in device.named("net")), "")
        notes.left(
            device.place,
            f"quorum device {host}",
            'the same with a witness: clwitness on that machine, <arbitration by="witness">',
        )
        return host or "a quorum device"
    for each in quorum.named("two_node", "wait_for_all", "auto_tie_breaker", "expected_votes"):
        notes.left(each.place, " ".join(each.words), "<arbitration> says who may act alone")
    return ""
