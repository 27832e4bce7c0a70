"""The networks between the nodes: one socket for datagrams on each."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from hapair.adapters.heartbeat.datagrams import DATAGRAM_BYTES_MAX, ReplayGuard, Sealer
from hapair.model.cluster import Cluster, Interface

DRAIN_MAX: Final = 2000  # Per network: more than a socket buffer holds.
IP_FREEBIND: Final = 15  # Not in the socket module of Python 3.11: bind before the card is up.
IPV6_FREEBIND: Final = 78
NETWORK_CONTROL: Final = 0xC0  # Traffic class CS6: switches and queues let it pass first.


@dataclass(frozen=True, slots=True)
class Path:
    """One network as this node sees it."""

    network: str
    own: Interface
    peer: Interface


def paths_of(cluster: Cluster, me: str) -> tuple[Path, ...]:
    peer = cluster.peer_of(me)
    return tuple(
        Path(network.name, network.attachment(me).address, network.attachment(peer).address)
        for network in cluster.networks
    )


@dataclass(frozen=True, slots=True)
class Arrived:
    """An authenticated heartbeat of the peer that is no replay."""

    network: str
    incarnation: int
    sequence: int
    body: bytes


class Sockets:
    def __init__(self, cluster: Cluster, me: str, key: bytes, guard: ReplayGuard) -> None:
        self.rejected = 0  # Datagrams that were forged, replayed or damaged.
        self._paths = paths_of(cluster, me)
        self._port = cluster.ports.peer
        self._sealer = Sealer(cluster.name, key, cluster.nodes.index(me))
        self._guard = guard
        self._sockets: dict[str, socket.socket] = {}
        self._sequence = 0

    def open(self) -> tuple[socket.socket, ...]:
        """Return all that can be opened by now."""
        for path in self._paths:
            if path.network not in self._sockets:
                opened = _open(path.own, self._port)
                if opened is not None:
                    self._sockets[path.network] = opened
        return tuple(self._sockets.values())

    def send(self, incarnation: int, body: bytes) -> None:
        """Send on every network; TooLongError for what no receiver takes in."""
        # Nanoseconds since boot grow with every send, also when the sockets are opened anew.
        self._sequence = sequence = max(time.monotonic_ns(), self._sequence + 1)
        self.open()
        for path in self._paths:
            sender = self._sockets.get(path.network)
            if sender is None:
                continue
            datagram = self._sealer.seal(path.network, incarnation, sequence, body)
            # A card without carrier or route refuses it: a lost heartbeat like any other.
            with suppress(OSError):
                sender.sendto(datagram, (str(path.peer.ip), self._port))

    def receive(self) -> Iterator[Arrived]:
        """Yield all that the kernel has received."""
        for path in self._paths:
            if path.network in self._sockets:
                yield from self._receive(path, self._sockets[path.network])

    def _receive(self, path: Path, receiver: socket.socket) -> Iterator[Arrived]:
        for datagram, source in _waiting(receiver):
            opened = None
            if source == str(path.peer.ip):
                opened = self._sealer.unseal(path.network, datagram)
            if opened is None or not self._guard.admit(path.network, opened[0], opened[1]):
                self.rejected += 1
                continue
            yield Arrived(path.network, *opened)

    def introduce(self, incarnation: int, highest: int) -> None:
        """Hear this incarnation, unless a later one was heard that the daemon does not know yet."""
        if highest >= self._guard.highest:
            self._guard.introduce(incarnation, highest)

    @property
    def older(self) -> int:
        return self._guard.older

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()


def _waiting(receiver: socket.socket) -> Iterator[tuple[bytes, str]]:
    """Yield what the kernel has received, and from which address."""
    for _ in range(DRAIN_MAX):
        try:
            datagram, source = receiver.recvfrom(DATAGRAM_BYTES_MAX + 1)
        except OSError:  # Nothing waits, or the network reports an error of an earlier send.
            return
        yield datagram, str(source[0])


def _open(own: Interface, port: int) -> socket.socket | None:
    """Return None while the address cannot be used."""
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6  # noqa: PLR2004
    try:
        opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError:  # No IPv6 in this kernel, or no descriptor left: tried again at each send.
        return None
    try:
        if family == socket.AF_INET:
            opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, NETWORK_CONTROL)
        else:
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, NETWORK_CONTROL)
        opened.bind((str(own.ip), port))
    except OSError:
        opened.close()
        return None
    return opened
