"""Tell systemd how the daemon is (sd_notify), without its library."""

import os
import socket
from collections.abc import Mapping
from typing import Final

MICROSECONDS: Final = 1_000_000


class SystemdSupervisor:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        every_us = environment.get("WATCHDOG_USEC", "") if watched else ""
        self._watchdog_s = int(every_us) / MICROSECONDS if every_us.isdecimal() else None

    def notify(self, *lines: str) -> None:
        """Send the lines as one datagram; losing it is better than waiting for systemd."""
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):  # An abstract socket.
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto("\n".join(lines).encode(), address)
            except OSError:
                return

    def watchdog_s(self) -> float | None:
        return self._watchdog_s
