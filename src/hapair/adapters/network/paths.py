"""The port ``Paths``: do the own cards have a link, does a network's reference answer."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from ipaddress import ip_address

from hapair.adapters.network import netlink, ping
from hapair.adapters.network.cards import Cards
from hapair.model.cluster import Cluster


class NetworkPaths:
    """Listens to the kernel; never polls."""

    def __init__(self, cluster: Cluster, me: str) -> None:
        self._cards = Cards(cluster, me)
        self._references: dict[str, str] = {}
        self._links: dict[str, bool] = {}
        self._callbacks: list[Callable[[str, bool], None]] = []
        self._monitor: socket.socket | None = None
        self.use(cluster)

    def use(self, cluster: Cluster) -> None:
        self._cards.use(cluster)
        self._references = {
            network.name: network.reference for network in cluster.networks if network.reference
        }
        self._refresh()

    def close(self) -> None:
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor)
            self._monitor.close()
            self._monitor = None

    def link_up(self, network: str) -> bool:
        return self._links.get(network, False)

    def on_link_change(self, callback: Callable[[str, bool], None]) -> None:
        """Must be called while the event loop runs; starts the listening."""
        self._callbacks.append(callback)
        if self._monitor is None:
            self._monitor = netlink.open_monitor()
            asyncio.get_running_loop().add_reader(self._monitor, self._heard, self._monitor)
            self._refresh()

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        """Ping through the card of this very network; another way to the address is no proof."""
        attachment = self._cards.attachment(network)
        reference = self._references.get(network)
        card = self._cards.by_network(netlink.tables_now()).get(network)
        if attachment is None or reference is None or card is None:
            return False
        return await ping.answers(
            ip_address(reference), attachment.address.ip, card.name, timeout_s=timeout_s
        )

    def _heard(self, monitor: socket.socket) -> None:
        own = self._cards.own_addresses()
        concerned = False
        try:
            while True:
                for message in netlink.receive(monitor):
                    held = netlink.held_of(message)
                    concerned = concerned or held is None or held.packed in own
        except BlockingIOError:
            pass
        except OSError:  # The buffer overflowed: look at everything again.
            concerned = True
        if concerned:
            self._refresh()

    def _refresh(self) -> None:
        by_network = {}
        with contextlib.suppress(OSError):
            by_network = self._cards.by_network(netlink.tables_now())
        for gone in set(self._links) - set(self._cards.networks()):
            del self._links[gone]
        for network in self._cards.networks():
            card = by_network.get(network)
            up = card is not None and card.link_up
            if self._links.get(network) != up:
                self._links[network] = up
                for callback in self._callbacks:
                    callback(network, up)
