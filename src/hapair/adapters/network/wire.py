"""Send and hear frames on a card. One socket per card stays open: closing one takes 15 ms."""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

from hapair.adapters.network.frames import (
    ETH_P_ARP,
    NEIGHBOUR_ADVERTISEMENT,
    Address,
    Claim,
    advertisement_claim,
    arp_claim,
    ethernet_kind,
)
from hapair.adapters.network.netlink import Card

SEND_RETRIES: Final = 5
SEND_PAUSE_S: Final = 0.005
FRAMES_AT_ONCE: Final = 64  # Then others of the event loop get their turn.
_FRAME_BYTES: Final = 2048
_ICMP6_FILTER: Final = 1
_FULL: Final = (errno.ENOBUFS, errno.EAGAIN)


Heard = Callable[[Claim], None]


class Wire:
    """The raw sockets of all cards."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}
        # Several applications may probe on one card at the same time.
        self._listeners: dict[int, list[Heard]] = {}

    def close(self) -> None:
        for index in tuple(self._sockets):
            self._drop(index)

    async def send(
        self, card: Card, addresses: tuple[Address, ...], build: Callable[[Address, bytes], bytes]
    ) -> None:
        """Send one frame per address. A frame that the card does not take is lost.

        That is no error: callers send more than once, and a card may be without a link.
        """
        for number, address in enumerate(addresses):
            if number % FRAMES_AT_ONCE == FRAMES_AT_ONCE - 1:
                await asyncio.sleep(0)
            for _ in range(SEND_RETRIES):
                try:
                    self._socket(card).sendto(
                        build(address, card.mac), (card.name, ethernet_kind(address))
                    )
                except OSError as error:
                    if error.errno not in _FULL:
                        self._drop(card.index)
                        return
                    await asyncio.sleep(SEND_PAUSE_S)
                else:
                    break

    @contextlib.contextmanager
    def claims(self, card: Card, heard: Heard) -> Iterator[None]:
        """Within this block call ``heard`` for every address that somebody claims on ``card``."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # A card that is gone tells nothing.
                self._listen(card, heard)
                stack.callback(self._listen_no_more, card.index, heard)
            with contextlib.suppress(OSError):  # A host without IPv6 hears no advertisement.
                messages = stack.enter_context(_advertisements(card))
                loop.add_reader(messages, _hear, messages, advertisement_claim, heard)
                stack.callback(loop.remove_reader, messages)
            yield

    def _listen(self, card: Card, heard: Heard) -> None:
        frames = self._socket(card)
        listeners = self._listeners.setdefault(card.index, [])
        if not listeners:
            _drain(frames)

        def tell(claim: Claim) -> None:
            for listener in tuple(listeners):
                listener(claim)

        asyncio.get_running_loop().add_reader(frames, _hear, frames, arp_claim, tell)
        listeners.append(heard)

    def _listen_no_more(self, index: int, heard: Heard) -> None:
        listeners = self._listeners[index]
        listeners.remove(heard)
        if listeners:
            return
        del self._listeners[index]
        if frames := self._sockets.get(index):
            asyncio.get_running_loop().remove_reader(frames)

    def _socket(self, card: Card) -> socket.socket:
        if card.index not in self._sockets:
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
            try:
                opened.bind((card.name, ETH_P_ARP))
            except OSError:
                opened.close()
                raise
            self._sockets[card.index] = opened
        return self._sockets[card.index]

    def _drop(self, index: int) -> None:
        """Forget a socket that failed: its card may have been removed and come back."""
        if opened := self._sockets.pop(index, None):
            if index in self._listeners:
                asyncio.get_running_loop().remove_reader(opened)
            opened.close()


def _advertisements(card: Card) -> socket.socket:
    opened = socket.socket(
        socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMPV6
    )
    try:
        blocked = [0xFFFFFFFF] * 8
        blocked[NEIGHBOUR_ADVERTISEMENT >> 5] &= ~(1 << (NEIGHBOUR_ADVERTISEMENT & 31))
        opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *blocked))
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, card.name.encode() + b"\0")
    except OSError:
        opened.close()
        raise
    return opened


def _hear(
    opened: socket.socket,
    parse: Callable[[bytes], Claim | None],
    heard: Heard,
) -> None:
    with contextlib.suppress(OSError):  # Nothing waits any more, or the card went down.
        for _ in range(FRAMES_AT_ONCE):
            if claim := parse(opened.recv(_FRAME_BYTES)):
                heard(claim)


def _drain(opened: socket.socket) -> None:
    """Forget what came since the last time, as far as the buffer held it."""
    with contextlib.suppress(OSError):
        while opened.recv(_FRAME_BYTES):
            pass
