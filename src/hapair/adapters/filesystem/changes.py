"""Hear that something was mounted or unmounted on this machine."""

import asyncio
import select
from collections.abc import Callable
from typing import BinaryIO

from hapair.adapters.shared.bursts import Burst
from hapair.adapters.shared.mounts import MOUNT_INFO


class MountChanges:
    """Listens from ``listen`` on: the kernel marks its list of mounts as urgent when it changes."""

    def __init__(self) -> None:
        self._list: BinaryIO | None = None
        # The list can always be read, so only an epoll of its own can wait for a change alone.
        self._epoll: select.epoll | None = None
        self._burst: Burst | None = None

    def listen(self, callback: Callable[[], None]) -> None:
        """Call back after changes. Called once, in the event loop."""
        self._burst = Burst(callback)
        self._list = MOUNT_INFO.open("rb")
        self._epoll = select.epoll()
        self._epoll.register(self._list, select.EPOLLPRI)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._epoll, self._changed, self._epoll, self._burst)

    def close(self) -> None:
        if self._burst is not None:
            self._burst.close()
        if self._epoll is not None and self._list is not None:
            asyncio.get_running_loop().remove_reader(self._epoll)
            self._epoll.close()
            self._list.close()
            self._epoll = self._list = None

    @staticmethod
    def _changed(epoll: select.epoll, burst: Burst) -> None:
        epoll.poll(0)
        burst.changed()
