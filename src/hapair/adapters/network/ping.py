"""Ask one address with ICMP echo whether it answers."""

import asyncio
import contextlib
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from hapair.adapters.network.frames import Address, checksum

TRIES: Final = 3
_ECHO: Final = struct.Struct("!BBHHH")
_ECHO_REQUEST_V4: Final = 8
_ECHO_REPLY_V4: Final = 0
_ECHO_REQUEST_V6: Final = 128
_ECHO_REPLY_V6: Final = 129
_IP_PKTINFO: Final = 8  # Not in the socket module.
_PKTINFO_V4: Final = struct.Struct("@i4s4x")  # Card and source; the rest is not used here.
_PKTINFO_V6: Final = struct.Struct("@16si")
_TOKEN_BYTES: Final = 8
_PACKET_BYTES: Final = 2048


async def answers(target: Address, source: Address, card: str, *, timeout_s: float) -> bool:
    """Tell whether ``target`` answers through ``card`` within ``timeout_s``, asked three times."""
    token = os.urandom(_TOKEN_BYTES)
    try:
        opened = _open(source)
    except OSError:  # The card or the own address is gone: nothing answers through it.
        return False
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()

    def heard() -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, sender = opened.recvfrom(_PACKET_BYTES)
                if _is_reply(packet, target, token) and sender[0].split("%")[0] == str(target):
                    answered.set()

    with opened:
        loop.add_reader(opened, heard)
        try:
            for number in range(TRIES):
                with contextlib.suppress(OSError):  # No route, no link: it just does not answer.
                    _send(opened, _request(target, number, token), source, target, card)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s / TRIES):
                        await answered.wait()
                        return True
        finally:
            loop.remove_reader(opened)
    return False


def _open(source: Address) -> socket.socket:
    v4 = isinstance(source, IPv4Address)
    opened = socket.socket(
        socket.AF_INET if v4 else socket.AF_INET6,
        socket.SOCK_RAW | socket.SOCK_NONBLOCK,
        socket.IPPROTO_ICMP if v4 else socket.IPPROTO_ICMPV6,
    )
    try:
        opened.bind((str(source), 0))
    except OSError:
        opened.close()
        raise
    return opened


def _send(
    opened: socket.socket, request: bytes, source: Address, target: Address, card: str
) -> None:
    """Send through ``card``. The reply may come in by a stand-by card of the same segment."""
    index = socket.if_nametoindex(card)
    if isinstance(target, IPv4Address):
        control = (socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO_V4.pack(index, source.packed))
    else:
        control = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO_V6.pack(source.packed, index))
    opened.sendmsg([request], [control], 0, (str(target), 0))


def _request(target: Address, number: int, token: bytes) -> bytes:
    kind = _ECHO_REQUEST_V4 if isinstance(target, IPv4Address) else _ECHO_REQUEST_V6
    head = _ECHO.pack(kind, 0, 0, 0, number)
    # The kernel fills in the checksum of ICMPv6 itself.
    summed = checksum(head + token) if isinstance(target, IPv4Address) else 0
    return _ECHO.pack(kind, 0, summed, 0, number) + token


def _is_reply(packet: bytes, target: Address, token: bytes) -> bool:
    """Compare the packet: the kernel leaves the header of IPv4 in front, but not that of IPv6."""
    if isinstance(target, IPv6Address):
        kind, icmp = _ECHO_REPLY_V6, packet
    else:
        kind, icmp = _ECHO_REPLY_V4, packet[4 * (packet[0] & 0x0F) :] if packet else b""
    return icmp[:1] == bytes([kind]) and icmp[_ECHO.size :].startswith(token)
