"""The port ``Addresses``: add and remove service addresses, and tell the neighbours."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from hapair.adapters.network import netlink
from hapair.adapters.network.cards import Cards
from hapair.adapters.network.frames import Address, Claim, announcement, mac_text, question
from hapair.adapters.network.neighbours import answer_for_own_only
from hapair.adapters.network.netlink import Card, Held
from hapair.adapters.network.removals import Removals
from hapair.adapters.network.wire import Wire
from hapair.adapters.shared.passing import passes
from hapair.adapters.shared.readings import Readings
from hapair.model.application import ServiceAddress
from hapair.model.cluster import Cluster
from hapair.model.outcome import Done, HeldByPeer, NotNow, Outcome, Refused, Unknown
from hapair.model.presence import Presence

# A live machine answers within a millisecond; two questions, because one may be lost.
PROBES: Final = 2
PROBE_INTERVAL_S: Final = 0.05
# Neighbours may miss an announcement, and a switch may not forward yet.
ANNOUNCE_AGAIN_AFTER_S: Final = (0.2, 1.0, 3.0)

# So many addresses are named in a sentence.
NAMED_MAX: Final = 3


class Place(StrEnum):
    """Where an address of ours is."""

    RIGHT = "the card of its network"
    ELSEWHERE = "another card than this node's own address"
    NOWHERE = "no card"


ByCard = dict[Card, tuple[ServiceAddress, ...]]


class ServiceAddresses:
    """Keeps no state but open sockets and announcements that are still to be repeated."""

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        *,
        former: Path | None = None,  # Where the cards' former settings are noted.
        probes: int = PROBES,
        probe_interval_s: float = PROBE_INTERVAL_S,
        announce_again_after_s: tuple[float, ...] = ANNOUNCE_AGAIN_AFTER_S,
    ) -> None:
        self._cluster = cluster
        self._me = me
        self._former = former
        self._cards = Cards(cluster, me)
        self._wire = Wire()
        self._probes = probes
        self._probe_interval_s = probe_interval_s
        self._announce_again_after_s = announce_again_after_s
        self._announcing: set[asyncio.Task[None]] = set()
        self._present: set[bytes] = set()  # Only these are announced again.
        self._changes = 0  # How often they changed by our own doing.
        self._removals = Removals(self._present)
        self._tables = Readings(netlink.read_tables, netlink.Tables.of)
        self._settle_cards()

    def use(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._cards.use(cluster)
        self._settle_cards()

    def close(self) -> None:
        for task in self._announcing:
            task.cancel()
        self._wire.close()
        self._removals.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        def changed() -> None:
            self._settle_cards()  # A card may be new.
            callback()

        self._removals.listen(changed)

    def _settle_cards(self) -> None:
        answer_for_own_only(self._cluster, self._me, self._former)

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        """Tell of each whether this machine has the addresses, each on its network's card.

        One on another card is neither here nor gone. Where the node's own address is on no card,
        any card will do. The length of the prefix makes no difference.
        """
        changes = self._changes
        tables = await self._tables.now()
        holders = self._cards.holders(tables)
        on_cards: defaultdict[bytes, set[int]] = defaultdict(set)
        for one in tables.held:
            on_cards[one.packed].add(one.card)

        def place(address: ServiceAddress) -> Place:
            cards, right = on_cards.get(address.address.ip.packed), holders.get(address.network)
            if not cards:
                return Place.NOWHERE
            return Place.RIGHT if right is None or right.index in cards else Place.ELSEWHERE

        places = [[(one, place(one)) for one in each] for each in wanted]
        if changes == self._changes:  # Else it may be older than what we added or removed.
            asked = {one.address.ip.packed for each in wanted for one in each}
            self._present -= asked
            self._present |= asked & set(on_cards)
        return tuple(self._presence(each, set(holders)) for each in places)

    async def add(
        self,
        addresses: tuple[ServiceAddress, ...],
        *,
        timeout_s: float,
        despite_peer: bool = False,
    ) -> Outcome:
        """Probe, add and announce. An address on another card of ours is moved to the right one.

        Refused: another machine answers, or a card is missing; nothing was added. A card is the
        peer's if it answers for the peer's own address on that network, too.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._add(addresses, despite_peer=despite_peer)
        except TimeoutError:
            return Unknown(f"the addresses were not added within {timeout_s} s")
        except OSError as error:
            why = f"the kernel's list of addresses cannot be read: {error.strerror}"
            return NotNow(why) if passes(error) else Unknown(why)

    async def announce(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        """Announce, now and a few times later, those of the addresses that this machine has."""
        try:
            async with asyncio.timeout(timeout_s):
                tables = await self._tables.now()
                cards = self._cards.by_network(tables)
                held = {one.packed for one in tables.held}
                self._present |= held & {one.address.ip.packed for one in addresses}
                by_card = _grouped((one for one in addresses if one.network in cards), cards)
                await self._announce(by_card)
        except (TimeoutError, OSError) as error:
            return Unknown(f"the addresses were not announced: {error}")
        self._announce_again(by_card)
        return Done()

    async def remove(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        """Remove the addresses wherever this machine has them; Done also when it has none."""
        wanted = {address.address.ip.packed for address in addresses}
        self._forget(wanted)
        try:
            async with asyncio.timeout(timeout_s):
                tables = await self._tables.now()
            self._forget(wanted)  # A look may have seen them meanwhile.
            held = [one for one in tables.held if one.packed in wanted]
            codes = netlink.remove_addresses(held)
        except TimeoutError:
            return Unknown(f"the kernel did not list the addresses within {timeout_s} s")
        except OSError as error:
            return Unknown(f"the addresses cannot be removed: {error.strerror}")
        for code in filter(None, codes):
            return Unknown(f"not all addresses were removed: {netlink.reason(code)}")
        return Done(f"{len(held)} removed")

    def _presence(self, places: list[tuple[ServiceAddress, Place]], held: set[str]) -> Presence:
        """Name those that are not in their place, and who removed them; else what they lack.

        ``held`` are the networks on which a card holds the node's own address.
        """
        said = [
            f"{one.address.ip} is on {place}{self._removed_by(one)}"
            for one, place in places
            if place is not Place.RIGHT
        ]
        if said:
            more = len(said) - NAMED_MAX
            named = [*said[:NAMED_MAX], *([f"and {more} more"] if more > 0 else [])]
            some = any(place is not Place.NOWHERE for _, place in places)
            return Presence(None if some else False, ", ".join(named))
        for network in sorted({one.network for one, _ in places} - held):
            attachment = self._cards.attachment(network)
            own = f" {attachment.address.ip}" if attachment is not None else ""
            said.append(f"this node's own address{own} on network {network} is on no card")
        return Presence(up=True, trouble=", ".join(said))

    def _forget(self, wanted: set[bytes]) -> None:
        self._changes += 1
        self._present -= wanted

    def _removed_by(self, address: ServiceAddress) -> str:
        who = self._removals.by.get(address.address.ip.packed)
        return f" (removed by {who})" if who else ""

    async def _add(self, addresses: tuple[ServiceAddress, ...], *, despite_peer: bool) -> Outcome:
        tables = await self._tables.now()
        by_network = self._cards.by_network(tables)
        for network in sorted({one.network for one in addresses} - set(by_network)):
            return Refused(f"no card of this node holds its own address on network {network}")
        by_card = _grouped(addresses, by_network)
        held: dict[bytes, Held] = {one.packed: one for one in tables.held}
        conflict = await self._conflict(by_card, frozenset(held))
        if isinstance(conflict, Refused) and not (
            despite_peer and isinstance(conflict, HeldByPeer)
        ):
            return conflict
        missing = [
            (card, one)
            for card, ones in by_card.items()
            for one in ones
            if (there := held.get(one.address.ip.packed)) is None or there.card != card.index
        ]
        codes = netlink.add_addresses([(card.index, one.address) for card, one in missing])
        for (card, one), code in zip(missing, codes, strict=True):
            if code:
                why = f"{one.address.ip} cannot be added to {card.name}: {netlink.reason(code)}"
                return self._taken_back([(card, one) for card, one in missing], held, why)
        elsewhere = [there for _, one in missing if (there := held.get(one.address.ip.packed))]
        netlink.remove_addresses(elsewhere)
        self._changes += 1
        self._present |= {one.address.ip.packed for one in addresses}
        for one in addresses:
            self._removals.by.pop(one.address.ip.packed, None)
        await self._announce(by_card)
        self._announce_again(by_card)
        return Done(f"{len(missing)} added{f', although {conflict.why}' if conflict else ''}")

    async def _conflict(self, by_card: ByCard, ours: frozenset[bytes]) -> Refused | None:
        """Return what is to be said of an address that another machine has: a stranger's first."""
        found: dict[bytes, bytes] = {}
        peers = {card: self._peers_own(ones[0].network) for card, ones in by_card.items()}
        async with asyncio.TaskGroup() as group:
            for card, ones in by_card.items():
                asked = tuple(one.address.ip for one in ones if one.address.ip.packed not in ours)
                if asked and card.resolves and card.link_up:
                    group.create_task(self._probe(card, (*asked, *peers[card]), found))
        of_the_peer: Refused | None = None
        for card, ones in by_card.items():
            peer_macs = {found.get(own.packed) for own in peers[card]}
            for one in ones:
                if one.address.ip.packed in ours:
                    continue
                if (mac := found.get(one.address.ip.packed)) is None:
                    continue
                where = f"{one.address.ip} already answers on network {one.network} from"
                if mac not in peer_macs:
                    why = f"{where} {mac_text(mac)}: another machine has this address"
                    return Refused(why)
                peer = self._cluster.peer_of(self._me)
                of_the_peer = HeldByPeer(f"{where} a card of {peer} ({mac_text(mac)})")
        return of_the_peer

    def _peers_own(self, network: str) -> tuple[Address, ...]:
        """Return the addresses by which the peer's card on this network is known."""
        peer = self._cluster.peer_of(self._me)
        attachments = [
            each.attachment(peer) for each in self._cluster.networks if each.name == network
        ]
        return tuple(own.ip for each in attachments for own in each.addresses)

    async def _probe(
        self, card: Card, asked: tuple[Address, ...], found: dict[bytes, bytes]
    ) -> None:
        wanted = {address.packed for address in asked}

        def heard(claim: Claim) -> None:
            if claim.packed in wanted and claim.mac != card.mac:
                found.setdefault(claim.packed, claim.mac)

        with self._wire.claims(card, heard):
            for _ in range(self._probes):
                await self._wire.send(card, asked, question)
                await asyncio.sleep(self._probe_interval_s)

    def _taken_back(
        self,
        added: list[tuple[Card, ServiceAddress]],
        before: dict[bytes, Held],
        why: str,
    ) -> Outcome:
        """Remove what this call added. An address that was here before stays."""
        codes = netlink.remove_addresses(
            [
                Held(card.index, one.address.ip.packed, one.address.max_prefixlen)
                for card, one in added
                if one.address.ip.packed not in before
            ]
        )
        return (
            Unknown(f"{why}; the others could not be removed again") if any(codes) else Refused(why)
        )

    async def _announce(self, by_card: ByCard) -> None:
        for card, ones in by_card.items():
            here = tuple(one.address.ip for one in ones if one.address.ip.packed in self._present)
            if here and card.resolves:
                await self._wire.send(card, here, announcement)

    def _announce_again(self, by_card: ByCard) -> None:
        async def repeat() -> None:
            for pause_s in self._announce_again_after_s:
                await asyncio.sleep(pause_s)
                await self._announce(by_card)

        task = asyncio.get_running_loop().create_task(repeat(), name="announce addresses")
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)


def _grouped(addresses: Iterable[ServiceAddress], by_network: dict[str, Card]) -> ByCard:
    grouped: defaultdict[Card, list[ServiceAddress]] = defaultdict(list)
    for address in addresses:
        grouped[by_network[address.network]].append(address)
    return {card: tuple(ones) for card, ones in grouped.items()}
