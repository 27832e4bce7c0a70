"""The clients of ``bank.py``: some tellers commit at once, each its own numbers, and never stop.

    teller.py --address 10.77.1.51 --port 7001 --tellers 3 --log /var/tmp/tellers.log

A commit is sent again until it is acknowledged. The log has one line for each fact:

    begun MONOTONIC_S WALL_CLOCK_S
    ok TELLER NUMBER MONOTONIC_S
    lost TELLER FIRST LAST MONOTONIC_S     the bank no longer has these acknowledged commits
    ended MONOTONIC_S
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TextIO

ANSWER_MAX_BYTES = 256
CONNECT_S = 0.3
ANSWER_S = 1.5


class Notes:
    """The log, which all tellers write."""

    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._lock = threading.Lock()

    def write(self, text: str, ending: str = "") -> None:
        """Write a fact with its time."""
        with self._lock:
            self._log.write(f"{text} {time.monotonic():.6f}{ending}\n")


class Teller:
    """One connection at a time, made anew whenever something is wrong with it."""

    def __init__(self, name: str, address: tuple[str, int], notes: Notes) -> None:
        self._name = name
        self._address = address
        self._notes = notes
        self._next = 1
        self._connection: socket.socket | None = None

    def work(self, pause_s: float) -> None:
        """Commit for ever."""
        while True:
            begun_s = time.monotonic()
            try:
                self._take(self._ask())
            except OSError:
                self._disconnect()
            time.sleep(max(0.0, pause_s - (time.monotonic() - begun_s)))

    def _ask(self) -> list[str]:
        if self._connection is None:
            self._connection = socket.create_connection(self._address, CONNECT_S)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(ANSWER_S)
        line = f"commit {self._name} {self._next} at {time.time():.6f}\n"
        self._connection.sendall(line.encode())
        return self._connection.recv(ANSWER_MAX_BYTES).decode(errors="replace").split()

    def _take(self, answer: list[str]) -> None:
        match answer:
            case ["ok", number] if number == str(self._next):
                self._notes.write(f"ok {self._name} {number}")
                self._next += 1
            case ["lost", number]:
                self._notes.write(f"lost {self._name} {number} {self._next - 1}")
                self._next = int(number)
            case _:
                raise OSError("no answer")

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Stopped(BaseException):
    """The lab wants the tellers to end."""


def stop(_signal: int, _frame: object) -> None:
    """Leave the wait."""
    raise Stopped


def main() -> None:
    """Ask until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=7001)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--tellers", type=int, default=3)
    parser.add_argument("--pause-s", type=float, default=0.1, help="between two commits of each")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    with options.log.open("w", buffering=1) as log, contextlib.suppress(Stopped):
        notes = Notes(log)
        notes.write("begun", f" {time.time():.6f}")
        for number in range(options.tellers):
            teller = Teller(f"w{number + 1}", (options.address, options.port), notes)
            threading.Thread(target=teller.work, args=(options.pause_s,), daemon=True).start()
        try:
            signal.pause()
        finally:
            notes.write("ended")


if __name__ == "__main__":
    main()
