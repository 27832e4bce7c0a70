"""Unix sockets that have their name in a file system.

They keep it mounted, and no link in /proc shows that: it leads to the socket, not to its name.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Final

# From linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_REQUEST_ALL: Final = 0x301
_ERROR: Final = 2
_DONE: Final = 3
_SHOW_NAME: Final = 2
_NAME: Final = 1  # The attribute with inode and device of the name.
_ANY_STATE: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBHIIIII")
_SOCKET: Final = struct.Struct("=BBBBIII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_PLACE: Final = struct.Struct("=II")
_MINOR_BITS: Final = 20  # Of a device's number as the kernel keeps it.
_BUFFER_BYTES: Final = 1 << 17
_ANSWER_S: Final = 1.0


def bound_on(device: tuple[int, int]) -> frozenset[str]:
    """Return the sockets whose name lies on the device, as links in /proc call them.

    Of our own network name space; none where the kernel cannot tell (module ``unix_diag``).
    """
    wanted = device[0] << _MINOR_BITS | device[1]
    try:
        return frozenset(f"socket:[{inode}]" for inode, lies_on in _all() if lies_on == wanted)
    except OSError:
        return frozenset()


def _all() -> Iterator[tuple[int, int]]:
    """Return inode and device of each socket with a name."""
    body = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY_STATE, 0, _SHOW_NAME, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_ALL, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_ANSWER_S)
        kernel.send(header + body)
        while True:
            answer = kernel.recv(_BUFFER_BYTES)
            at = 0
            while at < len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, at)
                if kind in (_DONE, _ERROR):
                    return
                yield from _place(answer[at + _HEADER.size : at + length])
                at += _aligned(length)


def _place(message: bytes) -> Iterator[tuple[int, int]]:
    inode = _SOCKET.unpack_from(message)[4]
    at = _SOCKET.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if kind == _NAME:
            yield inode, _PLACE.unpack_from(message, at + _ATTRIBUTE.size)[1]
        at += max(_aligned(length), _ATTRIBUTE.size)


def _aligned(length: int) -> int:
    return length + 3 & ~3
