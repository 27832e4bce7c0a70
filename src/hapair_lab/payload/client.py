"""The client that never stops asking: sends numbered lines, notes when each was acknowledged.

    client.py --address 10.77.1.100 --port 7000 --log /var/tmp/client.log

A line to the lab's own server is sent again, over a new connection, until it is acknowledged, so
the noted numbers have no holes; the server may well have a line twice. To another program
(``--speaks``) each try has a number of its own, which it then must have once, whatever was cut off.
The log has one line for each fact:

    begun MONOTONIC_S WALL_CLOCK_S
    ok NUMBER MONOTONIC_S
    ended MONOTONIC_S
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TextIO

ANSWER_MAX_BYTES = 256
PASSWORD = "lab"  # noqa: S105 - of the lab's guests, which nobody else reaches.
NFS_FOLDER = "/mnt"
SAMBA_FILE = "/etc/hostname"  # Its name stands in no answer that matters.


class Stopped(BaseException):
    """The lab wants the client to end."""


def stop(_signal: int, _frame: object) -> None:
    """Leave whatever the client is doing."""
    raise Stopped


class Client:
    """One connection at a time, made anew whenever something is wrong with it."""

    sends_again = True

    def __init__(self, address: tuple[str, int], connect_s: float, answer_s: float) -> None:
        self._address = address
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._connection: socket.socket | None = None

    def try_once(self, number: int) -> bool:
        """Send a line; tell whether it was acknowledged in time."""
        try:
            if self._connection is None:
                self._connection = self.connect()
                self._connection.settimeout(self._answer_s)
            if self.write(self._connection, number):
                return True
        except OSError:
            pass
        self.disconnect()
        return False

    def connect(self) -> socket.socket:
        """Return a new connection."""
        made = socket.create_connection(self._address, self._connect_s)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def write(self, connection: socket.socket, number: int) -> bool:
        """Send one line over the connection; tell whether the answer is that it is stored."""
        connection.sendall(f"{number} {time.time():.6f}\n".encode())
        return connection.recv(ANSWER_MAX_BYTES) == f"ok {number}\n".encode()

    def disconnect(self) -> None:
        """Forget the connection, so that no late answer is taken for that to a later line."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Once(Client):
    """The lab's own server, as if it were another program."""

    sends_again = False


class Http(Client):
    """A page of a web site that stores numbers."""

    sends_again = False
    folder = "/cgi"

    def write(self, connection: socket.socket, number: int) -> bool:
        """Ask for the page; it answers when the number is on the disk."""
        host, _ = self._address
        page = f"{self.folder}/ledger?{number}"
        connection.sendall(f"GET {page} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(f"\nok {number}\n".encode()):
            more = connection.recv(ANSWER_MAX_BYTES)
            if not more:
                return False
            answer += more
        if b"\nConnection: close" in answer:
            self.disconnect()
        return answer.startswith(b"HTTP/1.1 200 ")


class CgiBin(Http):
    """The same where the server says in which folder programs lie."""

    folder = "/cgi-bin"


class Mail(Client):
    """A mail server: each number is a mail."""

    sends_again = False

    def connect(self) -> socket.socket:
        """Return a new connection that was greeted."""
        made = super().connect()
        made.settimeout(self._answer_s)
        self._is_told(made, b"220")
        made.sendall(b"EHLO outside\r\n")
        self._is_told(made, b"250")
        return made

    def write(self, connection: socket.socket, number: int) -> bool:
        """Send a mail; it is accepted when it is on the disk."""
        for line, code in (
            ("MAIL FROM:<outside@example.net>", b"250"),
            ("RCPT TO:<ledger@example.org>", b"250"),
            ("DATA", b"354"),
            (f"Subject: {number}\r\n\r\n.", b"250"),
        ):
            connection.sendall(f"{line}\r\n".encode())
            if not self._is_told(connection, code):
                return False
        return True

    @staticmethod
    def _is_told(connection: socket.socket, code: bytes) -> bool:
        """Read an answer; all its lines but the last one have a "-" behind the code."""
        answer = b""
        while not answer.endswith(b"\n") or answer.splitlines()[-1][3:4] == b"-":
            more = connection.recv(ANSWER_MAX_BYTES)
            if not more:
                return False
            answer += more
        return answer.startswith(code)


class Nfs(Client):
    """A file on a mounted NFS server, opened and locked once: what is down only makes it wait."""

    sends_again = False
    _file: TextIO | None = None

    def try_once(self, number: int) -> bool:
        """Append to the file; only a full file system is an error, any other ends the client."""
        if self._file is None:
            self._file = self._open()
        try:
            print(f"<{number}>", file=self._file, flush=True)
            os.fsync(self._file.fileno())
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return False
        return True

    def _open(self) -> TextIO:
        host, _ = self._address
        subprocess.run(["mount", "-t", "nfs4", f"{host}:/", NFS_FOLDER], check=True)
        opened = Path(NFS_FOLDER, "ledger.txt").open("a")  # noqa: SIM115 - to the end.
        fcntl.lockf(opened, fcntl.LOCK_EX)
        return opened


class Redis(Client):
    """A list of numbers in Redis."""

    sends_again = False

    def connect(self) -> socket.socket:
        """Return a new connection that has shown the password."""
        made = super().connect()
        made.settimeout(self._answer_s)
        made.sendall(f"AUTH {PASSWORD}\r\n".encode())
        made.recv(ANSWER_MAX_BYTES)
        return made

    def write(self, connection: socket.socket, number: int) -> bool:
        """Append; the answer is the list's length."""
        connection.sendall(f"RPUSH ledger {number}\r\n".encode())
        return connection.recv(ANSWER_MAX_BYTES).startswith(b":")


class Database(Client):
    """A table in a database, through its own client that lives as long as its connection."""

    sends_again = False
    argv = ""
    password = ""  # The variable that it is in.
    stderr = subprocess.DEVNULL
    _program: subprocess.Popen[bytes] | None = None

    def connect(self) -> socket.socket:
        """Return our end of the program's input and output."""
        ours, its = socket.socketpair()
        host, port = self._address
        with its:
            self._program = subprocess.Popen(
                self.argv.format(host=host, port=port).split(),
                env={**os.environ, self.password: PASSWORD},
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=self.stderr,
            )
        return ours

    def write(self, connection: socket.socket, number: int) -> bool:
        """Insert a row, which is a transaction; the answer comes after its commit."""
        connection.sendall(b"INSERT INTO ledger (number) VALUES (%d) RETURNING number;\n" % number)
        return connection.recv(ANSWER_MAX_BYTES) == f"{number}\n".encode()

    def disconnect(self) -> None:
        """End the program at once: one that waits for an answer would wait for minutes."""
        super().disconnect()
        if self._program is not None:
            self._program.kill()
            self._program.wait()
            self._program = None


class Mariadb(Database):
    """MariaDB by ``mariadb``; it ends at the first error."""

    argv = "mariadb --batch --skip-column-names --unbuffered -h {host} -P {port} -u ledger ledger"
    password = "MYSQL_PWD"  # noqa: S105


class Samba(Database):
    """A share by ``smbclient``: each number is a file."""

    argv = "smbclient //{host}/files -p {port} -U ledger"
    password = "PASSWD"  # noqa: S105
    stderr = subprocess.STDOUT

    def write(self, connection: socket.socket, number: int) -> bool:
        """Copy a file to the share; its rate is told when it is closed there."""
        connection.sendall(f"put {SAMBA_FILE} {number}\n".encode())
        answer = b""
        while b"(average " not in answer or not answer.endswith(b"\n"):
            more = connection.recv(ANSWER_MAX_BYTES)
            answer += more
            if not more or b"NT_STATUS_" in answer:
                return False
        return True


class Postgresql(Database):
    """PostgreSQL by ``psql``."""

    argv = "psql -qAtX -v ON_ERROR_STOP=1 -h {host} -p {port} -U ledger -w ledger"
    password = "PGPASSWORD"  # noqa: S105


SPEAKS: dict[str, type[Client]] = {
    "cgi-bin": CgiBin,
    "http": Http,
    "lines": Client,
    "mail": Mail,
    "mariadb": Mariadb,
    "nfs": Nfs,
    "once": Once,
    "postgresql": Postgresql,
    "redis": Redis,
    "samba": Samba,
}


def ask_for_ever(client: Client, log: TextIO, pause_s: float) -> None:
    """Send one line after the other, without a pause for the one that was not acknowledged."""
    number = 1
    while True:
        begun_s = time.monotonic()
        acknowledged = client.try_once(number)
        if acknowledged:
            log.write(f"ok {number} {time.monotonic():.6f}\n")
        if acknowledged or not client.sends_again:
            number += 1
        time.sleep(max(0.0, pause_s - (time.monotonic() - begun_s)))


def main() -> None:
    """Ask until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=7000)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--speaks", choices=sorted(SPEAKS), default="lines", help="to what program")
    parser.add_argument("--pause-s", type=float, default=0.05, help="between two lines")
    parser.add_argument("--connect-s", type=float, default=0.2, help="time for a connection")
    parser.add_argument("--answer-s", type=float, default=1.0, help="time for an answer")
    options = parser.parse_args()
    address = (options.address, options.port)
    client = SPEAKS[options.speaks](address, options.connect_s, options.answer_s)
    signal.signal(signal.SIGTERM, stop)
    with options.log.open("w", buffering=1) as log:
        log.write(f"begun {time.monotonic():.6f} {time.time():.6f}\n")
        with contextlib.suppress(Stopped):
            ask_for_ever(client, log, options.pause_s)
        log.write(f"ended {time.monotonic():.6f}\n")


if __name__ == "__main__":
    main()
