"""The few words of rtnetlink that we need: list cards and addresses, add and remove addresses.

The kernel answers these requests within the call, so the calls are synchronous.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.model.cluster import Interface

_HEADER: Final = struct.Struct("=IHHII")  # Length with header, kind, flags, sequence, port.
_LINK: Final = struct.Struct("=BxHiII")  # Family, hardware kind, index, flags, change mask.
_ADDRESS: Final = struct.Struct("=BBBBI")  # Family, prefix length, flags, scope, card's index.
_ATTRIBUTE: Final = struct.Struct("=HH")  # Length with header, kind.
_LIFETIMES: Final = struct.Struct("=IIII")  # Preferred, valid, two time stamps that we leave 0.
_ERROR: Final = struct.Struct("=i")

_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
NEW_LINK: Final = 16
DELETED_LINK: Final = 17
_GET_LINK: Final = 18
NEW_ADDRESS: Final = 20
DELETED_ADDRESS: Final = 21
_GET_ADDRESS: Final = 22
_REQUEST: Final = 0x1
_ACKNOWLEDGE: Final = 0x4
_DUMP: Final = 0x300
_CREATE: Final = 0x400
_EXCLUSIVE: Final = 0x200

_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_CARRIER: Final = 33
_IFF_UP: Final = 0x1
_IFF_NOARP: Final = 0x80
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_CACHEINFO: Final = 6
_IFA_FLAGS: Final = 8
_ATTRIBUTE_KIND_MASK: Final = 0x3FFF
_NO_DUPLICATE_DETECTION: Final = 0x02  # Our own probes before the address is added are faster.
_NO_PREFIX_ROUTE: Final = 0x200  # The node's own address has brought the route already.
_FOR_EVER: Final = 0xFFFFFFFF
_LINK_GROUPS: Final = 0x1 | 0x10 | 0x100  # Links, IPv4 addresses, IPv6 addresses.

_RECEIVE_BYTES: Final = 1 << 16
_BATCH: Final = 64  # Requests in one call; their answers fit into a socket's buffer.


@dataclass(frozen=True, slots=True)
class Card:
    index: int
    name: str
    mac: bytes
    up: bool  # Switched on by the administrator.
    carrier: bool
    resolves: bool  # Speaks ARP and neighbour discovery; a loopback or tunnel does not.

    @property
    def link_up(self) -> bool:
        return self.up and self.carrier


@dataclass(frozen=True, slots=True)
class Held:
    """An address that this machine has now."""

    card: int
    packed: bytes  # 4 or 16 bytes.
    prefix: int


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    body: bytes
    port: int = 0  # Whose request it answers or tells of; mostly the number of its process.


@dataclass(frozen=True, slots=True)
class Tables:
    cards: tuple[Card, ...]
    held: tuple[Held, ...]

    @staticmethod
    def of(messages: Sequence[Message]) -> "Tables":
        return Tables(
            tuple(card for message in messages if (card := card_of(message)) is not None),
            tuple(held for message in messages if (held := held_of(message)) is not None),
        )


def read_tables() -> tuple[Message, ...]:
    """Return what the kernel says of all cards and addresses; OSError when it refuses."""
    links = _dump(_GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0))
    return (*links, *_dump(_GET_ADDRESS, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)))


def tables_now() -> Tables:
    return Tables.of(read_tables())


def add_addresses(wanted: Sequence[tuple[int, Interface]]) -> list[int]:
    """Add each address to the card with that index; return an errno or 0 for each.

    An address that the card has already is no error.
    """
    flags = _REQUEST | _ACKNOWLEDGE | _CREATE | _EXCLUSIVE
    bodies = (_new_address(index, address) for index, address in wanted)
    codes = _request([(NEW_ADDRESS, flags, body) for body in bodies])
    return [0 if code == errno.EEXIST else code for code in codes]


def remove_addresses(held: Sequence[Held]) -> list[int]:
    """Remove each address; return an errno or 0 for each. A missing one is no error."""
    codes = _request(
        [(DELETED_ADDRESS, _REQUEST | _ACKNOWLEDGE, _old_address(one)) for one in held]
    )
    return [0 if code in (errno.EADDRNOTAVAIL, errno.ENODEV) else code for code in codes]


def open_monitor() -> socket.socket:
    """Return a socket that receives every change of links and addresses; never blocks."""
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    opened.bind((0, _LINK_GROUPS))
    return opened


def receive(opened: socket.socket) -> tuple[Message, ...]:
    """Return the messages of one datagram; BlockingIOError when there is none."""
    return tuple(_messages(opened.recv(_RECEIVE_BYTES)))


def card_of(message: Message) -> Card | None:
    """Return the card that a NEW_LINK message describes."""
    if message.kind != NEW_LINK:
        return None
    _, _, index, flags, _ = _LINK.unpack_from(message.body)
    attributes = _attributes(message.body[_LINK.size :])
    return Card(
        index=index,
        name=attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        mac=attributes.get(_IFLA_ADDRESS, b""),
        up=bool(flags & _IFF_UP),
        carrier=attributes.get(_IFLA_CARRIER, b"\0") == b"\1",
        resolves=not flags & _IFF_NOARP and len(attributes.get(_IFLA_ADDRESS, b"")) == MAC_BYTES,
    )


MAC_BYTES: Final = 6


def held_of(message: Message) -> Held | None:
    """Return the address that a NEW_ADDRESS or DELETED_ADDRESS message is about."""
    if message.kind not in (NEW_ADDRESS, DELETED_ADDRESS):
        return None
    _, prefix, _, _, index = _ADDRESS.unpack_from(message.body)
    attributes = _attributes(message.body[_ADDRESS.size :])
    packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
    return None if packed is None else Held(index, packed, prefix)


def reason(code: int) -> str:
    return os.strerror(code)


def _new_address(index: int, address: Interface) -> bytes:
    """Return the body of a request for an address that no other address depends on.

    With the prefix of its subnet the kernel would remove it together with the subnet's first
    address, and the node's own address, were it added later, would depend on ours.
    """
    packed = address.ip.packed
    flags = _NO_PREFIX_ROUTE
    extra = b""
    if address.version == 6:  # noqa: PLR2004 - The protocol's own name.
        flags |= _NO_DUPLICATE_DETECTION
        # Deprecated: it serves, but connections that the node itself opens do not start from it.
        extra = _attribute(_IFA_CACHEINFO, _LIFETIMES.pack(0, _FOR_EVER, 0, 0))
    return (
        _ADDRESS.pack(_family(packed), address.max_prefixlen, 0, 0, index)
        + _attribute(_IFA_LOCAL, packed)
        + _attribute(_IFA_ADDRESS, packed)
        + _attribute(_IFA_FLAGS, struct.pack("=I", flags))
        + extra
    )


def _old_address(held: Held) -> bytes:
    return _ADDRESS.pack(_family(held.packed), held.prefix, 0, 0, held.card) + _attribute(
        _IFA_LOCAL, held.packed
    )


def _family(packed: bytes) -> int:
    return socket.AF_INET if len(packed) == 4 else socket.AF_INET6  # noqa: PLR2004 - Its bytes.


def _attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def _attributes(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, offset)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_KIND_MASK] = body[offset + _ATTRIBUTE.size : offset + size]
        offset += size + -size % 4
    return found


def _messages(datagram: bytes) -> Iterator[Message]:
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        size, kind, _, _, port = _HEADER.unpack_from(datagram, offset)
        if size < _HEADER.size:
            break
        yield Message(kind, datagram[offset + _HEADER.size : offset + size], port)
        offset += size + -size % 4


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, kind, flags, sequence, 0) + body + bytes(-size % 4)


def _open() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    opened.bind((0, 0))
    return opened


def _answers(opened: socket.socket) -> Iterator[Message]:
    while True:
        yield from _messages(opened.recv(_RECEIVE_BYTES))


def _dump(kind: int, body: bytes) -> list[Message]:
    """Raises: OSError when the kernel refuses."""
    found: list[Message] = []
    with _open() as opened:
        opened.send(_message(kind, _REQUEST | _DUMP, 1, body))
        for message in _answers(opened):
            if message.kind == _NLMSG_DONE:
                break
            if message.kind == _NLMSG_ERROR:
                code = -_ERROR.unpack_from(message.body)[0]
                raise OSError(code, os.strerror(code))
            found.append(message)
    return found


def _request(requests: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Send the requests, many in one call; return the errno of each, 0 for success."""
    codes: list[int] = []
    with _open() as opened:
        for batch in _batches(requests):
            opened.send(b"".join(_message(kind, flags, 1, body) for kind, flags, body in batch))
            left = len(batch)
            for message in _answers(opened):
                if message.kind == _NLMSG_ERROR:
                    codes.append(-_ERROR.unpack_from(message.body)[0])
                    left -= 1
                if left == 0:
                    break
    return codes


def _batches(
    requests: Sequence[tuple[int, int, bytes]],
) -> Iterable[Sequence[tuple[int, int, bytes]]]:
    for first in range(0, len(requests), _BATCH):
        yield requests[first : first + _BATCH]
