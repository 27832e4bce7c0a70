"""The few words of rtnetlink that we need: list cards and addresses, add and remove addresses."""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.adapters.shared.netlink import (
    ACKNOWLEDGE,
    ERROR,
    RECEIVE_BYTES,
    REQUEST,
    Message,
    answers,
    asking,
    attribute,
    attributes_of,
    dump,
    messages,
    request_of,
)
from hapair.model.cluster import Interface

_LINK: Final = struct.Struct("=BxHiII")  # Family, hardware kind, index, flags, change mask.
_ADDRESS: Final = struct.Struct("=BBBBI")  # Family, prefix length, flags, scope, card's index.
_LIFETIMES: Final = struct.Struct("=IIII")  # Preferred, valid, two time stamps that we leave 0.

NEW_LINK: Final = 16
DELETED_LINK: Final = 17
_GET_LINK: Final = 18
NEW_ADDRESS: Final = 20
DELETED_ADDRESS: Final = 21
_GET_ADDRESS: Final = 22
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
_NO_DUPLICATE_DETECTION: Final = 0x02  # Our own probes before the address is added are faster.
_NO_PREFIX_ROUTE: Final = 0x200  # The node's own address has brought the route already.
_FOR_EVER: Final = 0xFFFFFFFF
_LINK_GROUPS: Final = 0x1 | 0x10 | 0x100  # Links, IPv4 addresses, IPv6 addresses.

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
    every_link = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    every_address = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    links = dump(socket.NETLINK_ROUTE, _GET_LINK, every_link)
    return (*links, *dump(socket.NETLINK_ROUTE, _GET_ADDRESS, every_address))


def add_addresses(wanted: Sequence[tuple[int, Interface]]) -> list[int]:
    """Add each address to the card with that index; return an errno or 0 for each.

    An address that the card has already is no error.
    """
    flags = REQUEST | ACKNOWLEDGE | _CREATE | _EXCLUSIVE
    bodies = (_new_address(index, address) for index, address in wanted)
    codes = _request([(NEW_ADDRESS, flags, body) for body in bodies])
    return [0 if code == errno.EEXIST else code for code in codes]


def remove_addresses(held: Sequence[Held]) -> list[int]:
    """Remove each address; return an errno or 0 for each. A missing one is no error."""
    codes = _request([(DELETED_ADDRESS, REQUEST | ACKNOWLEDGE, _old_address(one)) for one in held])
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
    return tuple(messages(opened.recv(RECEIVE_BYTES)))


def card_of(message: Message) -> Card | None:
    """Return the card that a NEW_LINK message describes."""
    if message.kind != NEW_LINK:
        return None
    _, _, index, flags, _ = _LINK.unpack_from(message.body)
    attributes = attributes_of(message.body[_LINK.size :])
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
    attributes = attributes_of(message.body[_ADDRESS.size :])
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
        extra = attribute(_IFA_CACHEINFO, _LIFETIMES.pack(0, _FOR_EVER, 0, 0))
    return (
        _ADDRESS.pack(_family(packed), address.max_prefixlen, 0, 0, index)
        + attribute(_IFA_LOCAL, packed)
        + attribute(_IFA_ADDRESS, packed)
        + attribute(_IFA_FLAGS, struct.pack("=I", flags))
        + extra
    )


def _old_address(held: Held) -> bytes:
    return _ADDRESS.pack(_family(held.packed), held.prefix, 0, 0, held.card) + attribute(
        _IFA_LOCAL, held.packed
    )


def _family(packed: bytes) -> int:
    return socket.AF_INET if len(packed) == 4 else socket.AF_INET6  # noqa: PLR2004 - Its bytes.


def _request(requests: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Send the requests, many in one call; return the errno of each, 0 for success."""
    codes: list[int] = []
    with asking(socket.NETLINK_ROUTE) as kernel:
        for batch in _batches(requests):
            kernel.send(b"".join(request_of(kind, flags, body) for kind, flags, body in batch))
            left = len(batch)
            for message in answers(kernel):
                if message.kind == ERROR:
                    codes.append(message.code)
                    left -= 1
                if left == 0:
                    break
    return codes


def _batches(
    requests: Sequence[tuple[int, int, bytes]],
) -> Iterable[Sequence[tuple[int, int, bytes]]]:
    for first in range(0, len(requests), _BATCH):
        yield requests[first : first + _BATCH]
