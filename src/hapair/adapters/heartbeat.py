"""Heartbeats: one small authenticated datagram per network and interval.

A datagram is a fixed header, a keyed BLAKE2b tag and a body that is not read here. The tag covers
the sender, the network and the body, so a datagram can neither be forged, nor sent back to its
author, nor be repeated on another network. Within one incarnation of the sender the sequence must
grow on each network, and by heartbeats alone incarnations never go back: a recorded datagram is
worth nothing. What fails any of this is counted and dropped before the body is looked at.
"""

import asyncio
import hashlib
import hmac
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair.model.cluster import Cluster, Interface
from hapair.ports.peer import HEARTBEAT_BYTES_MAX, HeardDatagram, TooLongError

MAGIC: Final = b"hb"
VERSION: Final = 1  # Of the body: another kind than JSON would have another one.
# Magic, version, index of the sender, identifier of the cluster, incarnation, sequence.
HEADER: Final = struct.Struct(">2sBB8sQQ")
TAG_BYTES: Final = 16
DATAGRAM_BYTES_MAX: Final = HEADER.size + TAG_BYTES + HEARTBEAT_BYTES_MAX
DRAIN_MAX: Final = 2000  # Per network: more than a socket buffer holds.
IP_FREEBIND: Final = 15  # Not in the socket module of Python 3.11: bind before the card is up.
IPV6_FREEBIND: Final = 78
NETWORK_CONTROL: Final = 0xC0  # Traffic class CS6: switches and queues let it pass first.


@dataclass(slots=True)
class ReplayGuard:
    """The newest numbers that came from the peer; kept as long as the daemon lives."""

    incarnation: int = 0  # The one that is heard.
    highest: int = 0  # That ever was: only what follows it is heard without being introduced.
    older: int = 0  # How many of other ones came since one was admitted.
    sequences: dict[str, int] = field(default_factory=dict)  # By network.

    def admit(self, network: str, incarnation: int, sequence: int) -> bool:
        """Tell whether an authenticated datagram is new, and remember it."""
        if incarnation > self.highest:
            self.introduce(incarnation)
        if incarnation != self.incarnation:
            self.older += 1
            return False
        if sequence <= self.sequences.get(network, -1):
            return False
        self.sequences[network] = sequence
        self.older = 0
        return True

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        """Hear this incarnation from now on; another way than a heartbeat has proved it."""
        if incarnation != self.incarnation:
            self.sequences.clear()
        self.incarnation = incarnation
        self.highest = max(self.highest, incarnation, highest)


@dataclass(frozen=True, slots=True)
class Sealer:
    """Makes and checks datagrams of one cluster; ``me`` is the index of this node."""

    cluster: str
    key: bytes
    me: int

    def seal(self, network: str, incarnation: int, sequence: int, body: bytes) -> bytes:
        """Return the datagram; TooLongError for a body that ``unseal`` would not take."""
        if len(body) > HEARTBEAT_BYTES_MAX:
            raise TooLongError(
                f"a heartbeat of {len(body)} bytes, of which {HEARTBEAT_BYTES_MAX} are heard"
            )
        header = HEADER.pack(MAGIC, VERSION, self.me, self._cluster_id(), incarnation, sequence)
        return header + self._tag(network, header, body) + body

    def unseal(self, network: str, datagram: bytes) -> tuple[int, int, bytes] | None:
        """Return incarnation, sequence and body of what the peer sent; None for anything else.

        The header and the tag are the same in every version, so that each hears that a peer of any
        other one is alive. A body of another kind is empty: nobody reads it.
        """
        if not HEADER.size + TAG_BYTES <= len(datagram) <= DATAGRAM_BYTES_MAX:
            return None
        header = datagram[: HEADER.size]
        magic, version, sender, cluster_id, incarnation, sequence = HEADER.unpack(header)
        expected = (MAGIC, 1 - self.me, self._cluster_id())
        if (magic, sender, cluster_id) != expected:
            return None
        body = datagram[HEADER.size + TAG_BYTES :]
        tag = datagram[HEADER.size : HEADER.size + TAG_BYTES]
        if not hmac.compare_digest(tag, self._tag(network, header, body)):
            return None
        return incarnation, sequence, body if version == VERSION else b""

    def _cluster_id(self) -> bytes:
        return hashlib.blake2b(self.cluster.encode(), digest_size=8).digest()

    def _tag(self, network: str, header: bytes, body: bytes) -> bytes:
        name = network.encode()
        content = b"".join((header, struct.pack(">H", len(name)), name, body))
        return hashlib.blake2b(content, digest_size=TAG_BYTES, key=self.key).digest()


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


class UdpHeartbeats:
    def __init__(self, cluster: Cluster, me: str, key: bytes, guard: ReplayGuard) -> None:
        self._paths = paths_of(cluster, me)
        self._port = cluster.ports.peer
        self._sealer = Sealer(cluster.name, key, cluster.nodes.index(me))
        self._guard = guard
        self._sockets: dict[str, socket.socket] = {}
        self._heard: Callable[[HeardDatagram], None] = lambda _: None
        self._rejected = 0
        self._sequence = 0
        self._open = False

    def open(self, heard: Callable[[HeardDatagram], None]) -> None:
        self._heard = heard
        self._open = True
        for path in self._paths:
            self._socket(path)

    def _socket(self, path: Path) -> socket.socket | None:
        """Return the socket of a network; None while its address cannot be used, or when closed.

        Once closed it opens no socket again, which would keep the port from its successor.
        """
        if path.network in self._sockets or not self._open:
            return self._sockets.get(path.network)
        opened = _open(path.own, self._port)
        if opened is not None:
            self._sockets[path.network] = opened
            asyncio.get_running_loop().add_reader(opened, self._receive, path, opened)
        return opened

    def send(self, incarnation: int, body: bytes) -> None:
        # Nanoseconds since boot grow with every send, also when the sockets are opened anew.
        self._sequence = sequence = max(time.monotonic_ns(), self._sequence + 1)
        for path in self._paths:
            sender = self._socket(path)
            if sender is None:
                continue
            datagram = self._sealer.seal(path.network, incarnation, sequence, body)
            # A card without carrier or route refuses it: a lost heartbeat like any other.
            with suppress(OSError):
                sender.sendto(datagram, (str(path.peer.ip), self._port))

    def drain(self) -> None:
        for path in self._paths:
            if path.network in self._sockets:
                self._receive(path, self._sockets[path.network])

    def _receive(self, path: Path, receiver: socket.socket) -> None:
        for datagram, source in _waiting(receiver):
            opened = None
            if source == str(path.peer.ip):
                opened = self._sealer.unseal(path.network, datagram)
            if opened is None or not self._guard.admit(path.network, opened[0], opened[1]):
                self._rejected += 1
                continue
            self._heard(HeardDatagram(path.network, opened[0], opened[2]))

    def rejected(self) -> int:
        return self._rejected

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        self._guard.introduce(incarnation, highest)

    def older(self) -> int:
        return self._guard.older

    def close(self) -> None:
        self._open = False
        for opened in self._sockets.values():
            asyncio.get_running_loop().remove_reader(opened)
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
