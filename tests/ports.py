"""Ports of this machine for servers that tests start a little later."""

import os
import socket
from itertools import count
from typing import Final

# Below those that Linux gives to callers (from 32768 on): who calls such a port again and again
# while nobody listens there meets itself in the end, and the server finds its port taken.
FIRST: Final = 12_000
LAST: Final = 32_000
_taken: Final = count(os.getpid() * 61)  # Those who run beside this process begin elsewhere.


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, each time another one."""
    for number in _taken:
        port = FIRST + number % (LAST - FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError
