"""keepalived.conf of one node, or of both, to what hapair needs to know."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from hapair.config import kinds
from hapair.migrate import times
from hapair.migrate.blocks import Block, read_blocks
from hapair.migrate.lines import Place, Source, UnreadableError, refuse_more
from hapair.migrate.notes import Notes
from hapair.migrate.words import (
    Found,
    FoundAddress,
    FoundApplication,
    FoundCluster,
    FoundNetwork,
    named_apart,
    simple_name,
)
from hapair.migrate.xml_text import Tag, left_open, settled

COMMENTS: Final = "#!"
INCLUDES_MAX: Final = 64
INCLUDE_DEPTH_MAX: Final = 4
Include = Callable[[str, Place], tuple[Source, ...]]  # The files that a pattern names.

WAYS: Final = {
    "virtual_server": "balancing is no part of hapair: keep keepalived for it, without VRRP",
    "virtual_server_group": "balancing is no part of hapair",
    "static_ipaddress": "the network configuration of the system",
    "static_routes": "the network configuration of the system",
    "static_rules": "the network configuration of the system",
    "vrrp_track_file": "a <check> monitor with a script that looks at the file",
}
OF_AN_INSTANCE: Final = {
    "authentication": "hapair's own keys, made by clbuild",
    "virtual_router_id": "hapair needs none",
    "advert_int": '<timing heartbeat="..." detection="..."/>',
    "mcast_src_ip": "the nodes' addresses in <network>",
    "virtual_routes": "the program sets and removes them",
    "virtual_rules": "the program sets and removes them",
    "track_interface": "hapair looks at the cards of each network by itself",
    "garp_master_delay": "hapair announces addresses itself",
    "garp_master_refresh": "hapair announces addresses itself",
    "use_vmac": "hapair announces addresses with the card's own hardware address",
    "preempt_delay": 'failback="yes" waits until the data is current',
    "notify": "a script in <run>, called with start and stop",
    "notify_fault": "clalert, and the hooks of <notify>",
    "notify_stop": "a script in <run>, called with start and stop",
    "smtp_alert": "<notify>",
}


@dataclass(frozen=True, slots=True)
class _Node:
    """One file: that of one node."""

    name: str
    root: Block


def found_in_keepalived(sources: tuple[Source, ...], include: Include, notes: Notes) -> Found:
    """Return what one or two files say; UnreadableError."""
    nodes = []
    for source in sources[:2]:
        root = _included(read_blocks(source, comments=COMMENTS), include, 0, [INCLUDES_MAX])
        name = next((each.text("router_id") for each in root.named("global_defs")), "")
        nodes.append(_Node(name, root))
    for surplus in sources[2:]:
        notes.left(Place(surplus.name, 1), surplus.name, "hapair has two nodes")
    if len(nodes) == 2 and nodes[0].name == nodes[1].name:  # noqa: PLR2004 - a pair
        nodes = [replace(each, name="") for each in nodes]
    for node in nodes:
        refuse_more(len(node.root.inner), "statements", node.root.place)
        _say_the_rest(node.root, notes)
    first = nodes[0].root
    scripts = {each.value: each for each in first.named("vrrp_script")}
    together = [_instances_of(group, first) for group in first.named("vrrp_sync_group")]
    grouped = {each.value for _, instances in together for each in instances}
    together += [
        (each, [each]) for each in first.named("vrrp_instance") if each.value not in grouped
    ]
    applications = [
        _application(holder, instances, nodes, scripts, notes)
        for holder, instances in together
        if instances
    ]
    names = tuple(each.name for each in nodes if each.name)
    why = {"nodes": "router_id of each file; it has to be what `uname -n` prints."}
    cluster = FoundCluster(nodes=names, networks=_networks(nodes, notes), why=why)
    return Found(cluster, named_apart(applications))


def _included(block: Block, include: Include, depth: int, left: list[int]) -> Block:
    """Put what files that are included say in the place of the statement."""
    inner: list[Block] = []
    for each in block.inner:
        if each.name != "include" or each.braced:
            inner.append(_included(each, include, depth, left))
            continue
        if depth >= INCLUDE_DEPTH_MAX:
            what = f"files are included more than {INCLUDE_DEPTH_MAX} deep"
            raise UnreadableError(each.place, what, "does a file include itself?")
        for source in include(each.value, each.place):
            left[0] -= 1
            if left[0] < 0:
                what = f"more than {INCLUDES_MAX} files are included"
                raise UnreadableError(each.place, what, "give the files that matter")
            read = read_blocks(source, comments=COMMENTS)
            inner += _included(read, include, depth + 1, left).inner
    block.inner = inner
    return block


def _instances_of(group: Block, root: Block) -> tuple[Block, list[Block]]:
    listed = [each.name for holder in group.named("group") for each in holder.inner]
    listed += [word for holder in group.named("group") for word in holder.words[1:]]
    by_name = {each.value: each for each in root.named("vrrp_instance")}
    return group, [by_name[name] for name in listed if name in by_name]


def _application(
    holder: Block,
    instances: list[Block],
    nodes: list[_Node],
    scripts: dict[str, Block],
    notes: Notes,
) -> FoundApplication:
    found: list[FoundAddress] = []
    monitors: dict[str, Tag] = {}
    program: Tag | None = None
    for instance in instances:
        card = instance.text("interface")
        for section in instance.named("virtual_ipaddress", "virtual_ipaddress_excluded"):
            found += [_address(each, card, notes) for each in section.inner]
        for section in instance.named("track_script"):
            for each in section.inner:
                monitors.setdefault(each.name, _monitor(each, scripts.get(each.name), notes))
        program = program or _program(instance, notes)
        for each in instance.inner:
            if way := OF_AN_INSTANCE.get(each.name):
                notes.left(each.place, f"{instance.value} {each.name}", way)
    program = program or (_program(holder, notes) if holder not in instances else None)
    why = {
        "application": f"{holder.name} {holder.value} of {holder.place}.",
        "run": "keepalived called a script when the node became master: here it is called with"
        " the one argument start, and later with stop. Adapt it.",
        "monitors": "From track_script. A failure restarts the program here, then moves it.",
    }
    return FoundApplication(
        simple_name(holder.value),
        preferred=_preferred(instances[0], nodes, notes),
        addresses=tuple(found),
        program=program,
        monitors=tuple(monitors.values()),
        why=why,
        before=(
            "keepalived keeps no data: name the volume group of the data, if there is any.",
            "When hapair takes over: systemctl disable keepalived; systemctl stop keepalived.",
        ),
    )


def _preferred(instance: Block, nodes: list[_Node], notes: Notes) -> str:
    """Return the node with the highest priority, or the one that begins as master."""
    ranks: list[tuple[float, str]] = []
    for node in nodes:
        own = next((e for e in node.root.named("vrrp_instance") if e.value == instance.value), None)
        if own is None:
            continue
        priority = times.seconds_of(own.text("priority"))
        ranks.append((priority + (0.5 if own.text("state") == "MASTER" else 0.0), node.name))
        for each in own.named("priority", "state"):
            notes.took(each.place, f"{own.value} {' '.join(each.words)}", "preferred=...")
        if not list(own.named("nopreempt")):
            way = 'write failback="yes" where it shall move back by itself'
            notes.left(own.place, f"{own.value} moves back (no nopreempt)", way)
    return max(ranks)[1] if ranks and len(nodes) > 1 else ""


def _address(each: Block, card: str, notes: Notes) -> FoundAddress:
    address, _, prefix = each.name.partition("/")
    notes.took(each.place, " ".join(each.words), f"<address>{address}</address>")
    return FoundAddress(address, prefix, _card(each, card), f"{each.place}.")


def _monitor(each: Block, script: Block | None, notes: Notes) -> Tag:
    name = ("name", settled(kinds.SIMPLE_NAME, each.name, "a name for the monitor"))
    if script is None:
        notes.left(each.place, f"track_script {each.name}", "a <check> monitor with its script")
        path = ("path", left_open(f"the script of {each.name}"[:50]))
        return Tag("check", (name, path), why=(f"{each.place}; its vrrp_script was not told.",))
    told = script.text("script")
    words = told.split()
    attributes = [
        name,
        ("path", settled(kinds.absolute_path(), words[0] if words else "", "the script's path")),
    ]
    if words[1:]:
        attributes.append(("arguments", settled(kinds.text(), " ".join(words[1:]), "arguments")))
    attributes += [
        (ours, times.written(seconds, 0.1, 3600))
        for ours in ("interval", "timeout")
        if (seconds := times.seconds_of(script.text(ours)))
    ]
    if (fall := script.text("fall")).isdigit() and 0 < int(fall[:3]) <= 100:  # noqa: PLR2004
        attributes.append(("failures", fall))
    if script.text("weight"):
        way = "a failed monitor restarts and then moves the application; there are no weights"
        notes.left(script.place, f"{script.value} weight {script.text('weight')}", way)
    notes.took(script.place, f"vrrp_script {script.value}", "<monitors><check>")
    return Tag("check", tuple(attributes), why=(f"vrrp_script of {script.place}.",))


def _program(holder: Block, notes: Notes) -> Tag | None:
    for each in holder.named("notify_master"):
        path, _, rest = each.value.partition(" ")
        if rest:
            notes.left(each.place, f"its arguments {rest}", "it is called with start or stop alone")
        notes.took(each.place, " ".join(each.words), "<run><script>: called with start")
        program = settled(kinds.absolute_path(), path, "a program called with start and stop")
        return Tag("script", (("path", program),))
    return None


def _networks(nodes: list[_Node], notes: Notes) -> tuple[FoundNetwork, ...]:
    """Return a network for each card that has addresses; its own ones where unicast tells them."""
    found: dict[str, FoundNetwork] = {}
    names = [*(each.name for each in nodes), ""]
    for instance in nodes[0].root.named("vrrp_instance"):
        card = instance.text("interface")
        own = instance.text("unicast_src_ip")
        peers = [each for holder in instance.named("unicast_peer") for each in holder.inner]
        why = f"The interface {card} of {instance.place}."
        pairs: tuple[tuple[str, str], ...] = ()
        if own and peers:
            place = next(instance.named("unicast_src_ip")).place
            notes.took(place, f"unicast_src_ip {own}", f"<on> of the first node, {own}")
            notes.took(peers[0].place, f"unicast_peer {peers[0].name}", "<on> of the second node")
            pairs, why = ((names[0], own), (names[1], peers[0].name)), f"unicast_src_ip of {place}."
        sections = instance.named("virtual_ipaddress", "virtual_ipaddress_excluded")
        others = [_card(each, card) for section in sections for each in section.inner]
        for each in dict.fromkeys((card, *others)):
            cards = tuple((name, each) for name in names)
            network = FoundNetwork(simple_name(f"net-{each}"), pairs, cards, why=why)
            found.setdefault(each, network)
            pairs = ()
    found.pop("", None)
    return tuple(found.values())


def _card(address: Block, card: str) -> str:
    """Return the card of an address, which may differ from the one of its instance."""
    words = address.words
    return words[words.index("dev") + 1] if "dev" in words[:-1] else card


def _say_the_rest(root: Block, notes: Notes) -> None:
    known = {"vrrp_instance", "vrrp_sync_group", "vrrp_script", "global_defs"}
    for each in root.inner:
        if each.name not in known:
            way = WAYS.get(each.name, "hapair has nothing of the kind")
            notes.left(each.place, " ".join(each.words[:3]), way)
    for holder in root.named("global_defs"):
        for each in holder.inner:
            if each.name == "router_id":
                notes.took(each.place, f"router_id {each.value}", f'<node name="{each.value}"/>')
            else:
                notes.left(each.place, each.name, "<notify>, or nothing: hapair has its own")
