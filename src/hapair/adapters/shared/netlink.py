"""What all of netlink's families have in common: messages, attributes, and asking for a table.

The kernel answers a request within the call that sends it, so the calls are synchronous.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# From linux/netlink.h.
ERROR: Final = 2
DONE: Final = 3
REQUEST: Final = 0x1
ACKNOWLEDGE: Final = 0x4
RECEIVE_BYTES: Final = 1 << 16  # No datagram of the kernel's is longer.
_DUMP: Final = 0x300
_INTERRUPTED: Final = 0x10  # NLM_F_DUMP_INTR: the table changed, and something may be missing.
_DUMPS_MAX: Final = 10
_HEADER: Final = struct.Struct("=IHHII")  # Length with header, kind, flags, sequence, port.
_ATTRIBUTE: Final = struct.Struct("=HH")  # Length with header, kind.
_ERROR: Final = struct.Struct("=i")
_ATTRIBUTE_KIND_MASK: Final = 0x3FFF
_ANSWER_S: Final = 1.0  # For a datagram of an answer that has begun: the kernel has it ready.


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    body: bytes
    port: int = 0  # Whose request it answers or tells of; mostly the number of its process.
    interrupted: bool = False  # It is part of a table that changed while it was being told.

    @property
    def code(self) -> int:
        """Return the errno in a message of the kind ERROR; 0 is success."""
        return -int(_ERROR.unpack_from(self.body)[0])


def asking(family: int) -> socket.socket:
    """Return a socket for requests to a family, e.g. NETLINK_ROUTE."""
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family)
    made.bind((0, 0))
    made.settimeout(_ANSWER_S)
    return made


def dump(family: int, kind: int, body: bytes) -> list[Message]:
    """Return a whole table of the kernel's, as it was at one moment.

    Raises: OSError when it refuses or says no more; EAGAIN when the table never stops changing.
    """
    for _ in range(_DUMPS_MAX):
        told = _told(family, kind, body)
        if not any(message.interrupted for message in told):
            return [message for message in told if message.kind != DONE]
    raise OSError(errno.EAGAIN, "the kernel's table changes all the time")


def _told(family: int, kind: int, body: bytes) -> list[Message]:
    """Ask once; the last message is the one of the kind DONE."""
    found: list[Message] = []
    with asking(family) as kernel:
        kernel.send(request_of(kind, REQUEST | _DUMP, body))
        for message in answers(kernel):
            if message.kind == ERROR:
                raise OSError(message.code, os.strerror(message.code))
            found.append(message)
            if message.kind == DONE:
                break
    return found


def answers(kernel: socket.socket) -> Iterator[Message]:
    """Return what comes, without an end: the reader knows when all is there."""
    while True:
        yield from messages(kernel.recv(RECEIVE_BYTES))


def messages(datagram: bytes) -> Iterator[Message]:
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        size, kind, flags, _, port = _HEADER.unpack_from(datagram, offset)
        if size < _HEADER.size:
            break
        body = datagram[offset + _HEADER.size : offset + size]
        yield Message(kind, body, port, bool(flags & _INTERRUPTED))
        offset += size + -size % 4


def request_of(kind: int, flags: int, body: bytes) -> bytes:
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, kind, flags, 1, 0) + body + bytes(-size % 4)


def attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def attributes_of(body: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, offset)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_KIND_MASK] = body[offset + _ATTRIBUTE.size : offset + size]
        offset += size + -size % 4
    return found
