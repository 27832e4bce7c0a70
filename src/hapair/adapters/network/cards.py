"""Which card is a network's card: the one that holds the node's own address on it."""

from hapair.adapters.network.netlink import Card, Tables
from hapair.model.cluster import Attachment, Cluster


class Cards:
    """Keeps no card: a person may have moved the address to another one."""

    def __init__(self, cluster: Cluster, me: str) -> None:
        self._me = me
        self._attachments: dict[str, Attachment] = {}
        self.use(cluster)

    def use(self, cluster: Cluster) -> None:
        self._attachments = {
            network.name: network.attachment(self._me) for network in cluster.networks
        }

    def attachment(self, network: str) -> Attachment | None:
        return self._attachments.get(network)

    def networks(self) -> tuple[str, ...]:
        return tuple(self._attachments)

    def own_addresses(self) -> frozenset[bytes]:
        return frozenset(one.address.ip.packed for one in self._attachments.values())

    def holders(self, tables: Tables) -> dict[str, Card]:
        """Return the card of each network whose own address is on one."""
        by_index = {card.index: card for card in tables.cards}
        holder = {one.packed: by_index[one.card] for one in tables.held if one.card in by_index}
        return {
            network: holder[packed]
            for network, attachment in self._attachments.items()
            if (packed := attachment.address.ip.packed) in holder
        }

    def by_network(self, tables: Tables) -> dict[str, Card]:
        """Return the card of each network; a network without one is missing.

        Where the node's own address is on no card, the default card counts: it may have lost the
        address together with its link.
        """
        by_name = {card.name: card for card in tables.cards}
        default = {
            network: by_name[attachment.cards[0]]
            for network, attachment in self._attachments.items()
            if attachment.cards[0] in by_name
        }
        return default | self.holders(tables)
