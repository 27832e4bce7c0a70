"""The client that never stops asking: sends numbered lines, notes when each was acknowledged.

    client.py --address 10.77.1.100 --port 7000 --log /var/tmp/client.log

Every line is sent again, over a new connection, until it is acknowledged, so the noted numbers have
no holes; the server may well have a line twice. The log has one line for each fact:

    begun MONOTONIC_S WALL_CLOCK_S
    ok NUMBER MONOTONIC_S
    ended MONOTONIC_S
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import time
from pathlib import Path
from typing import TextIO

ANSWER_MAX_BYTES = 256


class Stopped(BaseException):
    """The lab wants the client to end."""


def stop(_signal: int, _frame: object) -> None:
    """Leave whatever the client is doing."""
    raise Stopped


class Client:
    """One connection at a time, made anew whenever something is wrong with it."""

    def __init__(self, address: tuple[str, int], connect_s: float, answer_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._connection: socket.socket | None = None

    def try_once(self, number: int) -> bool:
        """Send a line; tell whether it was acknowledged in time."""
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._address, self._connect_s)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.settimeout(self._answer_s)
            self._connection.sendall(f"{number} {time.time():.6f}\n".encode())
            if self._connection.recv(ANSWER_MAX_BYTES) == f"ok {number}\n".encode():
                return True
        except OSError:
            pass
        self.disconnect()
        return False

    def disconnect(self) -> None:
        """Forget the connection, so that no late answer is taken for that to a later line."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def ask_for_ever(client: Client, log: TextIO, pause_s: float) -> None:
    """Send one line after the other; a line that was not acknowledged is sent again at once."""
    number = 1
    while True:
        begun_s = time.monotonic()
        if client.try_once(number):
            log.write(f"ok {number} {time.monotonic():.6f}\n")
            number += 1
        time.sleep(max(0.0, pause_s - (time.monotonic() - begun_s)))


def main() -> None:
    """Ask until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=7000)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--pause-s", type=float, default=0.05, help="between two lines")
    parser.add_argument("--connect-s", type=float, default=0.2, help="time for a connection")
    parser.add_argument("--answer-s", type=float, default=1.0, help="time for an answer")
    options = parser.parse_args()
    client = Client((options.address, options.port), options.connect_s, options.answer_s)
    signal.signal(signal.SIGTERM, stop)
    with options.log.open("w", buffering=1) as log:
        log.write(f"begun {time.monotonic():.6f} {time.time():.6f}\n")
        with contextlib.suppress(Stopped):
            ask_for_ever(client, log, options.pause_s)
        log.write(f"ended {time.monotonic():.6f}\n")


if __name__ == "__main__":
    main()
