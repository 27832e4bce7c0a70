"""Hear that addresses of this machine change, and who removed one where the kernel tells it."""

import asyncio
import os
import socket
from collections.abc import Callable, Container
from typing import Final

from hapair.adapters.network import netlink
from hapair.adapters.shared.bursts import Burst
from hapair.adapters.shared.spaces import name_of

_PROCESSES_MAX: Final = 1 << 22  # Greater ports are no process numbers.


class Removals:
    """Listens from ``listen`` on; ``by`` tells who removed which of the ``own`` addresses."""

    def __init__(self, own: Container[bytes]) -> None:
        self._own = own
        self._monitor: socket.socket | None = None
        self._burst: Burst | None = None
        self.by: dict[bytes, str] = {}

    def listen(self, callback: Callable[[], None]) -> None:
        """Call back after changes of cards and addresses. Called once, in the event loop."""
        self._burst = Burst(callback)
        self._monitor = netlink.open_monitor()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._monitor, self._hear, self._monitor, self._burst)

    def close(self) -> None:
        if self._burst is not None:
            self._burst.close()
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor)
            self._monitor.close()
            self._monitor = None

    def _hear(self, monitor: socket.socket, burst: Burst) -> None:
        burst.changed()
        try:
            while True:
                for message in netlink.receive(monitor):
                    held = netlink.held_of(message)
                    gone = held is not None and message.kind == netlink.DELETED_ADDRESS
                    if held is not None and gone and held.packed in self._own:
                        self.by[held.packed] = _who(message.port)
        except OSError:  # Nothing is left, or the buffer overflowed: what is here is looked at.
            return


def _who(port: int) -> str:
    """Name the process that asked for a removal; empty where nobody, or nobody known, did."""
    if not 0 < port < _PROCESSES_MAX or port == os.getpid():
        return ""
    name = name_of(port)
    return f"{name} (process {port})" if name else f"process {port}, which has ended"
