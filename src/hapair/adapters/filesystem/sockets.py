"""Unix sockets that have their name in a file system.

They keep it mounted, and no link in /proc shows that: it leads to the socket, not to its name.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Final

from hapair.adapters.shared.netlink import attributes_of, dump

# From linux/netlink.h, linux/sock_diag.h and linux/unix_diag.h.
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_SHOW_NAME: Final = 2
_NAME: Final = 1  # The attribute with inode and device of the name.
_ANY_STATE: Final = 0xFFFFFFFF
_REQUEST: Final = struct.Struct("=BBHIIIII")
_SOCKET: Final = struct.Struct("=BBBBIII")
_PLACE: Final = struct.Struct("=II")
_MINOR_BITS: Final = 20  # Of a device's number as the kernel keeps it.


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
    asked = _REQUEST.pack(socket.AF_UNIX, 0, 0, _ANY_STATE, 0, _SHOW_NAME, 0, 0)
    for message in dump(_SOCK_DIAG, _BY_FAMILY, asked):
        inode = _SOCKET.unpack_from(message.body)[4]
        if name := attributes_of(message.body[_SOCKET.size :]).get(_NAME):
            yield inode, _PLACE.unpack_from(name)[1]
