"""The port ``Paths``: is there a link, does a network's reference answer."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

from hapair.adapters.network import netlink, ping
from hapair.adapters.network.cards import Cards
from hapair.adapters.network.netlink import Tables
from hapair.adapters.shared.netlink import Message
from hapair.adapters.shared.readings import Readings
from hapair.model.cluster import Cluster

LIMIT_S: Final = 2.0  # A kernel that has not answered then tells nothing; it is asked again.
NOTHING: Final = Tables((), ())


class NetworkPaths:
    """Listens to the kernel; polls only while the kernel does not tell what it has.

    A network whose card nobody can look at counts as one without a link.
    """

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        *,
        read: Callable[[], Sequence[Message]] = netlink.read_tables,
        limit_s: float = LIMIT_S,
    ) -> None:
        """Read once and wait for it: nothing runs yet that this could hold up."""
        self._cards = Cards(cluster, me)
        self._references: dict[str, str] = {}
        self._links: dict[str, bool] = {}
        self._callbacks: list[Callable[[str, bool], None]] = []
        self._monitor: socket.socket | None = None
        self._tables = Readings(read, Tables.of)
        self._limit_s = limit_s
        self._seen = NOTHING
        self._in_doubt = False
        self._looking: asyncio.Task[None] | None = None
        with contextlib.suppress(OSError):
            self._seen = Tables.of(read())
        self.use(cluster)

    def use(self, cluster: Cluster) -> None:
        self._cards.use(cluster)
        self._references = {
            network.name: network.reference for network in cluster.networks if network.reference
        }
        self._tell()
        if self._monitor is not None:  # Of addresses that were none of ours no change was noticed.
            self._look()

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
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
            self._look()

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        """Ping through the card of this very network; another way to the address is no proof."""
        attachment = self._cards.attachment(network)
        reference = self._references.get(network)
        if attachment is None or reference is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                card = self._cards.by_network(await self._tables.now()).get(network)
                return card is not None and await ping.answers(
                    ip_address(reference), attachment.address.ip, card.name, timeout_s=timeout_s
                )
        except OSError:  # Nobody could look, or not in time.
            return False

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
            self._look()

    def _look(self) -> None:
        self._in_doubt = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._until_sure(), name="links")

    async def _until_sure(self) -> None:
        """Look until nothing has changed since; a kernel that tells nothing is asked again."""
        while self._in_doubt:
            self._in_doubt = False
            try:
                async with asyncio.timeout(self._limit_s):
                    self._seen = await self._tables.now()
            except OSError:
                self._seen, self._in_doubt = NOTHING, True
            self._tell()
            if self._seen is NOTHING:
                await asyncio.sleep(self._limit_s)

    def _tell(self) -> None:
        by_network = self._cards.by_network(self._seen)
        for gone in set(self._links) - set(self._cards.networks()):
            del self._links[gone]
        for network in self._cards.networks():
            card = by_network.get(network)
            up = card is not None and card.link_up
            if self._links.get(network) != up:
                self._links[network] = up
                for callback in self._callbacks:
                    callback(network, up)
