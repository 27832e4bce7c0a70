"""Ask the local daemon. Imports little: commands must start fast."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from hapair.rpc.messages import (
    LINE_BYTES_MAX,
    DaemonDown,
    ExitCode,
    JsonObject,
    Malformed,
    Progress,
    Request,
    Result,
    RpcError,
    dump_request,
    parse_answer,
)

SOCKET: Final = "run/hapair/control.sock"
ROOT_VARIABLE: Final = "HAPAIR_ROOT"  # For tests: everything of a node lies below this folder.
CONNECT_TIMEOUT_S: Final = 5.0
CHUNK_BYTES: Final = 256 * 1024
WAIT_MIN_S: Final = 0.001
# A signal that comes between Python's last look and the system call does not interrupt the call:
# Ctrl-C would be noticed with the next answer, which may never come.
WAIT_MAX_S: Final = 1.0


def socket_path() -> str:
    return os.path.join(os.environ.get(ROOT_VARIABLE, "/"), SOCKET)  # noqa: PTH118 - pathlib is slow


def call(
    verb: str,
    args: JsonObject | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float | None = None,
) -> JsonObject:
    """Ask the daemon and wait for its answer.

    Raises DaemonDown when nobody answers, RpcError when the request was not carried out; a
    time-out is an RpcError with exit code UNFINISHED. Leaving early, e.g. by Ctrl-C, closes the
    connection, which cancels a running job.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    with _connect() as connection:
        with suppress(ConnectionError):  # It may have said why before it closed the connection.
            connection.sendall(dump_request(Request(verb, args or {})))
        for line in _lines(connection, deadline_s):
            match _parsed(line):
                case Progress() as progress:
                    if on_progress is not None:
                        on_progress(progress)
                case Result(result):
                    return result
                case RpcError() as error:
                    raise error
    raise DaemonDown(
        "the daemon closed the connection before it answered",
        "look at: journalctl -u hapaird; then try again",
    )


def _connect() -> socket.socket:
    path = socket_path()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_TIMEOUT_S)
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise DaemonDown(
            f"the daemon does not answer at {path} ({error.strerror or error})",
            "start it: systemctl start hapaird",
        ) from None
    return connection


def _lines(connection: socket.socket, deadline_s: float | None) -> Iterator[bytes]:
    """Yield whole lines until the daemon closes the connection."""
    received = b""
    while True:
        line, separator, rest = received.partition(b"\n")
        if separator:
            received = rest
            yield line
            continue
        if len(received) > LINE_BYTES_MAX:
            raise RpcError("the daemon's answer is too long to be one")
        try:
            chunk = _receive(connection, deadline_s)
        except ConnectionError:
            return
        if not chunk:
            return
        received += chunk


def _receive(connection: socket.socket, deadline_s: float | None) -> bytes:
    while True:
        left_s = WAIT_MAX_S if deadline_s is None else deadline_s - time.monotonic()
        # Zero would mean "do not wait at all" and is reported by another error.
        connection.settimeout(min(max(left_s, WAIT_MIN_S), WAIT_MAX_S))
        try:
            return connection.recv(CHUNK_BYTES)
        except TimeoutError:
            if deadline_s is None or time.monotonic() < deadline_s:
                continue
            raise RpcError(
                "no answer in time; the daemon may still be working on it",
                "look at: clstat",
                exit_code=ExitCode.UNFINISHED,
            ) from None


def _parsed(line: bytes) -> Progress | Result | RpcError:
    try:
        return parse_answer(line)
    except Malformed as error:
        raise RpcError(
            f"the daemon's answer is not understood ({error})",
            "daemon and commands may be of different versions: systemctl restart hapaird",
        ) from None
