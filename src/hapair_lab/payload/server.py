"""The application of the lab: appends numbered lines to a file and acknowledges what is on disk.

    server.py /srv/ledger/lines 7000

A client sends ``17 some text``, the server appends that line, flushes it to the disk and only then
answers ``ok 17``. A line without its end is what a crash left of a write that nobody was told of:
it is cut off at the start. A write that fails ends the server: it may not acknowledge any more.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from pathlib import Path

LINE_MAX_BYTES = 4096
BACKLOG = 32


def cut_torn_line(path: Path) -> int:
    """Cut off a last line that has no end; return how many bytes that were."""
    content = path.read_bytes()
    torn = len(content) - (content.rfind(b"\n") + 1)
    if torn:
        os.truncate(path, len(content) - torn)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return torn


class Ledger:
    """The file of lines. One writer at a time."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def append(self, line: bytes) -> None:
        """Append a line and return when it is on the disk."""
        with self._lock:
            if os.write(self._file, line) != len(line):
                raise OSError("a line was written in part")
            os.fdatasync(self._file)


def serve(client: socket.socket, ledger: Ledger) -> None:
    """Take lines from one client until it goes."""
    with client, client.makefile("rb") as lines:
        while line := lines.readline(LINE_MAX_BYTES):
            if not line.endswith(b"\n"):
                return
            try:
                ledger.append(line)
            except OSError as error:
                print(f"the disk failed: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            client.sendall(b"ok " + line.split()[0] + b"\n")


def serve_quietly(client: socket.socket, ledger: Ledger) -> None:
    """Serve a client; one that breaks off is no error."""
    try:
        serve(client, ledger)
    except OSError:
        return


def go_to_background(pid_file: Path) -> None:
    """End the process that was started: to its starter that means that the server listens."""
    child = os.fork()
    if child:
        pid_file.write_text(f"{child}\n")
        os._exit(0)
    os.setsid()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path, help="where the lines are appended")
    parser.add_argument("port", type=int, nargs="?", default=7000)
    parser.add_argument(
        "--pid-file", type=Path, help="go to the background once it listens, and leave the pid here"
    )
    options = parser.parse_args()
    if options.file.exists():
        cut_torn_line(options.file)
    ledger = Ledger(options.file)
    with socket.create_server(
        ("", options.port),
        family=socket.AF_INET6,
        dualstack_ipv6=True,
        backlog=BACKLOG,
    ) as listener:
        print(f"listening on port {options.port}", flush=True)
        if options.pid_file is not None:
            go_to_background(options.pid_file)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve_quietly, args=(client, ledger), daemon=True).start()


if __name__ == "__main__":
    main()
