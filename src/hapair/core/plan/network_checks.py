"""What clbuild checks of cards, addresses, logins and ports."""

from collections.abc import Iterator
from ipaddress import ip_interface
from itertools import combinations
from typing import Final

from hapair.core.plan.situation import CLCONF, Problems, Side, Situation, addresses_of, on
from hapair.model.cluster import Attachment, Network, PortRange
from hapair.model.node_facts import BusyPort, Card, Link, SshTry
from hapair.model.problem import Problem

DAEMON: Final = "hapaird"
HEART: Final = "hapaird-heart"  # The daemon's process for the heartbeats.


def attachments(situation: Situation) -> Iterator[tuple[Side, Network, Attachment]]:
    for side in situation.sides:
        for network in situation.cluster.networks:
            yield side, network, network.attachment(side.node)


def known_cards(situation: Situation) -> Iterator[tuple[Side, Network, Card]]:
    for side, network, attachment in attachments(situation):
        for name in attachment.cards:
            card = side.facts.card(name)
            if card is not None:
                yield side, network, card


def is_default(network: Network, node: str, card: Card) -> bool:
    return network.attachment(node).cards[0] == card.name


def cards(situation: Situation) -> Problems:
    for side, network, attachment in attachments(situation):
        for name in attachment.cards:
            card = side.facts.card(name)
            if card is None:
                present = ", ".join(card.name for card in side.facts.cards) or "none"
                yield Problem(
                    side.node,
                    f"card {name}",
                    f"network {network.name} uses it and the node does not have it"
                    f" (it has: {present})",
                    "write the right name into clconf.xml, or put the card in",
                )
            elif card.master:
                yield Problem(
                    side.node,
                    f"card {name}",
                    f"it belongs to {card.master}, which holds its addresses",
                    f"write {card.master} instead of {name} into clconf.xml",
                )


def links(situation: Situation) -> Problems:
    for side, network, card in known_cards(situation):
        where = f"card {card.name}"
        if not card.enabled:
            yield Problem(
                side.node,
                where,
                f"it is switched off, and network {network.name} names it",
                on(side.node, f"ip link set {card.name} up, and have it switched on at boot"),
                warning=not is_default(network, side.node, card),
            )
        elif not card.reports_link and not network.crossover:
            yield Problem(
                side.node,
                where,
                "its driver does not report whether it has a link, so a broken cable would not"
                " be noticed",
                f'use another card, or write attribute="crossover" on network {network.name}'
                " to switch link checking off",
            )
        elif card.link is Link.DOWN and not network.crossover:
            yield Problem(
                side.node,
                where,
                f"it has no link: cable or switch port of network {network.name}",
                on(side.node, f"plug it in, then check: ethtool {card.name}"),
                warning=not is_default(network, side.node, card),
            )


def addresses(situation: Situation) -> Problems:
    for side, network, attachment in attachments(situation):
        for address in attachment.addresses:
            yield from _address(situation, side, network, str(address))


def _address(situation: Situation, side: Side, network: Network, wanted: str) -> Problems:
    names = network.attachment(side.node).cards
    default = names[0]
    holder = _holder(side, wanted)
    where = f"address {wanted}"
    of_network = f"{default}, the default card of network {network.name}"
    if holder is None:
        mend = f"ip address add {wanted} dev {default}, and configure it for the boot"
        yield Problem(
            side.node, where, f"it is not configured on {of_network}", on(side.node, mend)
        )
    elif holder.name != default:
        # A person may move it to another card of the network while the cluster is formed.
        moved = situation.formed and holder.name in names
        yield Problem(
            side.node,
            where,
            f"it is on {holder.name}, and not on {of_network}",
            f"write {holder.name} first in the cards of {side.node}; or "
            + on(side.node, f"move the address to {default}"),
            warning=moved,
        )
    elif any(each.address == wanted and each.leased for each in holder.addresses):
        yield Problem(
            side.node,
            where,
            f"{default} got it by DHCP or autoconfiguration; it may change or go away",
            on(side.node, f"configure {wanted} as a static address of {default}"),
            warning=True,
        )


def _holder(side: Side, wanted: str) -> Card | None:
    for card in side.facts.cards:
        if any(each.address == wanted for each in card.addresses):
            return card
    return None


def standby_cards(situation: Situation) -> Problems:
    for side, network, card in known_cards(situation):
        if card.addresses and not is_default(network, side.node, card):
            own = {str(address) for address in network.attachment(side.node).addresses}
            live = situation.formed and any(each.address in own for each in card.addresses)
            if not live:
                first = card.addresses[0].address
                yield Problem(
                    side.node,
                    f"card {card.name}",
                    f"it stands by for network {network.name} and must have no address, but has"
                    f" {', '.join(each.address for each in card.addresses)}",
                    on(side.node, f"ip address del {first} dev {card.name}, at boot as well"),
                )


def cables(situation: Situation) -> Problems:
    """Two networks count as two only while one fault cannot silence both."""
    for side in situation.sides:
        for one, other in combinations(situation.cluster.networks, 2):
            first, second = (
                _lowest(side, each.attachment(side.node).cards[0]) for each in (one, other)
            )
            if shared := sorted(first & second):
                yield Problem(
                    side.node,
                    f"networks {one.name} and {other.name}",
                    f"both go through {' and '.join(shared)}: one fault silences them at once",
                    "give each network a card, a cable and a switch of its own",
                    warning=True,
                )


def _lowest(side: Side, name: str) -> set[str]:
    """Return the cards at the bottom of this one, below VLANs, bonds and bridges."""
    lowest: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        at = waiting.pop()
        seen.add(at)
        below = {each.name for each in side.facts.cards if each.master == at}
        below |= {each.carrier for each in side.facts.cards if each.name == at and each.carrier}
        waiting += below - seen  # Two ends of one virtual cable are on each other.
        if not below:
            lowest.add(at)
    return lowest


def subnets(situation: Situation) -> Problems:
    """Every network needs an own subnet, or the kernel sends its packets through another card."""
    networks = situation.cluster.networks
    for number, network in enumerate(networks):
        for other in networks[number + 1 :]:
            for subnet in network.subnets:
                if any(subnet.overlaps(each) for each in other.subnets):
                    yield Problem(
                        CLCONF,
                        f"network {other.name}",
                        f"its subnet overlaps with {subnet} of network {network.name}",
                        "give each network a subnet of its own",
                    )
    for side in situation.sides:
        yield from _foreign_subnets(situation, side)


def _foreign_subnets(situation: Situation, side: Side) -> Problems:
    networks = situation.cluster.networks
    ours = {name for each in networks for name in each.attachment(side.node).cards}
    strangers = [card for card in side.facts.cards if card.name not in ours]
    for card in strangers:
        for entry in card.addresses:
            subnet = ip_interface(entry.address).network
            for network in networks:
                if any(subnet.overlaps(each) for each in network.subnets):
                    yield Problem(
                        side.node,
                        f"card {card.name}",
                        f"its address {entry.address} lies in the subnet of network"
                        f" {network.name}, to which the card does not belong",
                        f"add {card.name} to the cards of network {network.name}, or give it an"
                        " address elsewhere",
                        warning=True,
                    )


def logins(situation: Situation) -> Problems:
    """Each node as root to all addresses of both nodes, without a prompt."""
    for asker in situation.sides:
        tries = {entry.address: entry for entry in asker.facts.logins}
        for side, _, attachment in attachments(situation):
            for interface in attachment.addresses:
                address = str(interface.ip)
                unknown = SshTry(address, error="it was not tried")
                yield from _login(asker.node, side, tries.get(address, unknown))


def _login(asker: str, side: Side, entry: SshTry) -> Problems:
    where = f"ssh root@{entry.address}"
    if not entry.boot_id:
        yield Problem(
            asker,
            where,
            f"no login without a prompt to this address of {side.node} ({entry.error})",
            login_mend(asker, side.node, entry),
        )
    elif entry.boot_id != side.facts.boot_id:
        yield Problem(
            asker,
            where,
            f"another machine than {side.node} answers at this address",
            f"look for a second user of {entry.address} (arping -D), or mend clconf.xml",
        )


def login_mend(asker: str, target: str, entry: SshTry) -> str:
    """Name the command that makes the login work, as far as the error tells."""
    address, error = entry.address, entry.error.lower()
    if "host key verification failed" in error or "identification has changed" in error:
        return on(
            asker,
            f"ssh-keygen -R {address}; ssh-keyscan {address} >> /root/.ssh/known_hosts"
            " (compare the key's fingerprint)",
        )
    if "permission denied" in error:
        return on(
            asker,
            f"ssh-copy-id root@{address} (first, without a key: ssh-keygen); with PermitRootLogin"
            f" no in the sshd_config of {target} no key is taken: prohibit-password allows keys",
        )
    if "connection refused" in error:
        return on(target, "systemctl enable --now ssh, and let sshd listen on all addresses")
    return on(asker, f"ssh root@{address} true, until it neither asks nor fails")


def unreachable(me: str, peer: str, tries: tuple[tuple[str, str], ...]) -> tuple[Problem, ...]:
    """Say why none of the peer's addresses let this node in; ``tries`` holds address and reason."""
    return tuple(
        Problem(
            me,
            f"ssh root@{address}",
            f"no login without a prompt to {peer} ({why})",
            login_mend(me, peer, SshTry(address, error=why)),
        )
        for address, why in tries
    )


def ports(situation: Situation) -> Problems:
    previous = situation.previous
    before = previous.cluster.ports if previous else None
    for side in situation.sides:
        for entry in side.facts.busy_ports:
            if not needed_port(situation, entry) or _is_ours(entry, before):
                continue
            owner = entry.owner or "the kernel"
            yield Problem(
                side.node,
                f"port {entry.port}/{entry.protocol}",
                f"{owner} uses it, and it lies in the ports of the cluster",
                f"choose other ports in clconf.xml, or {on(side.node, f'stop {owner}')}",
            )


def needed_port(situation: Situation, entry: BusyPort) -> bool:
    """Tell whether the cluster would use the port: the first by both protocols, then DRBD's."""
    ports = situation.cluster.ports
    if entry.port == ports.peer:
        return True
    last = ports.replication(situation.cluster.devices - 1, 0)
    return entry.protocol == "tcp" and ports.first < entry.port <= last


def _is_ours(entry: BusyPort, before: PortRange | None) -> bool:
    """Our daemon and its heart hold the first port; the kernel's own sockets here are DRBD's."""
    if before is None or not before.first <= entry.port <= before.last:
        return False
    return entry.owner in {"", DAEMON, HEART}


def ephemeral_ports(situation: Situation) -> Problems:
    ports = situation.cluster.ports
    wanted = f"{ports.first}-{ports.last}"
    for side in situation.sides:
        facts = side.facts
        overlap = ports.first <= facts.ephemeral_last and facts.ephemeral_first <= ports.last
        if overlap and wanted not in facts.reserved_ports.split(","):
            yield Problem(
                side.node,
                f"ports {wanted}",
                "the kernel gives them to outgoing connections too"
                f" ({facts.ephemeral_first}-{facts.ephemeral_last})",
                on(
                    side.node,
                    f"echo net.ipv4.ip_local_reserved_ports={wanted}"
                    " > /etc/sysctl.d/hapair.conf; sysctl --system",
                ),
                warning=True,
            )


def firewall(situation: Situation) -> Problems:
    ports = situation.cluster.ports
    last = ports.replication(situation.cluster.devices - 1, 0)
    for side in situation.sides:
        if side.facts.firewall:
            peer = situation.cluster.peer_of(side.node)
            sources = ", ".join(addresses_of(situation.cluster, peer))
            yield Problem(
                side.node,
                "firewall",
                f"{side.facts.firewall} filters incoming packets",
                on(
                    side.node,
                    f"let in from {sources}: udp {ports.peer}, tcp {ports.peer}-{last}, ping",
                ),
                warning=True,
            )
