"""Heartbeats: one small authenticated datagram per network and interval.

A datagram is a fixed header, a keyed BLAKE2b tag and a body that is not read here. The tag covers
the sender, the network and the body, so a datagram can neither be forged, nor sent back to its
author, nor be repeated on another network. Within one incarnation of the sender the sequence must
grow on each network, and by heartbeats alone incarnations never go back: a recorded datagram is
worth nothing. What fails any of this is counted and dropped before the body is looked at.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field
from typing import Final

from hapair.ports.peer import HEARTBEAT_BYTES_MAX, TooLongError

MAGIC: Final = b"hb"
VERSION: Final = 1  # Of the body: another kind than JSON would have another one.
# Magic, version, index of the sender, identifier of the cluster, incarnation, sequence.
HEADER: Final = struct.Struct(">2sBB8sQQ")
TAG_BYTES: Final = 16
DATAGRAM_BYTES_MAX: Final = HEADER.size + TAG_BYTES + HEARTBEAT_BYTES_MAX


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
