"""Ask the local daemon. Imports little: commands must start fast."""

import os
import socket
import time
from collections.abc import Callable, Iterator
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
PATIENCE_VARIABLE: Final = "HAPAIR_PATIENCE"  # For tests: a factor of the time limits below.
CONNECT_TIMEOUT_S: Final = 5.0
# What needs no work is answered within this; after so much silence a long request is doubted.
ANSWER_S: Final = 10.0
CHUNK_BYTES: Final = 256 * 1024
WAIT_MIN_S: Final = 0.001
# A signal that comes between Python's last look and the system call does not interrupt the call:
# Ctrl-C would be noticed with the next answer, which may never come.
WAIT_MAX_S: Final = 1.0
# What each answer has at least: without it nobody can say that anything was done.
NEEDED: Final[dict[str, dict[str, type]]] = {
    "ping": {"node": str},
    "status": {"local": str, "nodes": dict},
    "events": {"events": list},
    "why": {"nodes": list},
    "loss": {"applications": list},
    **{
        verb: {"text": str}
        for verb in ("form", "leave", "run", "halt", "move", "maintain", "confirm", "confirm-copy")
    },
    "monitors": {"application": str, "monitors": list},
    "monitor-change": {"application": str, "text": str},
    "monitor-check": {"application": str, "state": str},
    "alerts": {"boards": dict},
    "alerts-answer": {"answered": list},
    "alerts-test": {"receivers": list},
    "abandon": {"steps": list, "told": list},
    "buildapp": {"application": str, "steps": list},
    "release": {"application": str, "steps": list, "told": list},
    "split-look": {"application": str, "split": bool},
    "split-resolve": {"application": str, "steps": list},
}


class NoAnswerInTimeError(RpcError):
    """The caller's own time limit is over; the daemon may still be working on it."""


def socket_path() -> str:
    return os.path.join(os.environ.get(ROOT_VARIABLE, "/"), SOCKET)  # noqa: PTH118 - pathlib is slow


def patience_s(limit_s: float) -> float:
    """Return a time limit for the daemon; tests shorten all of them."""
    return limit_s * float(os.environ.get(PATIENCE_VARIABLE, "1"))


def ask(verb: str, args: JsonObject | None = None) -> JsonObject:
    """Ask for what the daemon knows and need not wait for.

    Raises DaemonDown also when it is silent: nothing is under way that could be followed.
    """
    try:
        return call(verb, args, timeout_s=patience_s(ANSWER_S))
    except NoAnswerInTimeError:
        raise _silent("") from None


def call(
    verb: str,
    args: JsonObject | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float | None = None,
) -> JsonObject:
    """Ask the daemon and wait for its answer.

    Raises DaemonDown when nobody answers, RpcError when the request was not carried out or its
    answer makes no sense; a time-out is a NoAnswerInTimeError with exit code UNFINISHED. Without
    a time limit a daemon may work as long as it shows signs of life. Leaving early, e.g. by
    Ctrl-C, closes the connection, which cancels a running job.
    """
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    with _connect() as connection:
        _send(connection, Request(verb, args or {}))
        for line in _lines(connection, deadline_s):
            match _parsed(line):
                case Progress() as progress:
                    if on_progress is not None:
                        on_progress(progress)
                case Result() as answer:
                    return _complete(verb, answer)
                case RpcError() as error:
                    raise error
    raise DaemonDown(
        "the daemon closed the connection before it answered",
        "look at: journalctl -u hapaird; then try again",
    )


def _connect() -> socket.socket:
    path = socket_path()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience_s(CONNECT_TIMEOUT_S))
    try:
        connection.connect(path)
    except OSError as error:
        connection.close()
        raise DaemonDown(
            f"the daemon does not answer at {path} ({error.strerror or error})",
            "start it: systemctl start hapaird",
        ) from None
    return connection


def _send(connection: socket.socket, request: Request) -> None:
    try:
        connection.sendall(dump_request(request))
    except TimeoutError:
        raise _silent("; it has not read the request") from None
    except OSError:
        return  # It may have said why before it closed the connection.


def _lines(connection: socket.socket, deadline_s: float | None) -> Iterator[bytes]:
    """Yield whole lines until the daemon closes the connection."""
    rest = bytearray()
    while chunk := _receive(connection, deadline_s):
        *lines, last = chunk.split(b"\n")
        for line in lines:
            rest += line
            yield bytes(rest)
            rest.clear()
        rest += last
        if len(rest) > LINE_BYTES_MAX:
            raise not_understood("it is too long to be one")


def _receive(connection: socket.socket, deadline_s: float | None) -> bytes:
    """Return what came, nothing at the end of the connection."""
    doubted_s = time.monotonic() + patience_s(ANSWER_S)
    while True:
        now_s = time.monotonic()
        if deadline_s is not None and now_s >= deadline_s:
            raise NoAnswerInTimeError(
                "no answer in time; the daemon may still be working on it",
                "look at: clstat",
                exit_code=ExitCode.UNFINISHED,
            )
        if now_s >= doubted_s:
            still_alive()
            doubted_s = time.monotonic() + patience_s(ANSWER_S)
        next_s = doubted_s if deadline_s is None else min(doubted_s, deadline_s)
        # Zero would mean "do not wait at all" and is reported by another error.
        connection.settimeout(min(max(next_s - time.monotonic(), WAIT_MIN_S), WAIT_MAX_S))
        try:
            return connection.recv(CHUNK_BYTES)
        except TimeoutError:
            continue
        except OSError:
            return b""


def still_alive() -> None:
    """Return when the daemon answers another question; DaemonDown when it hangs."""
    try:
        ask("ping")
    except DaemonDown:
        raise _silent("; whether it carries the request out is not known") from None
    except RpcError as error:
        if error.exit_code is ExitCode.NOT_NOW:
            raise  # That made no sense; any other refusal does.


def _silent(more: str) -> DaemonDown:
    return DaemonDown(
        f"the daemon is there but does not answer{more}",
        "look at: journalctl -u hapaird; then: systemctl restart hapaird (applications go on)",
    )


def _complete(verb: str, answer: Result) -> JsonObject:
    if answer.verb not in {"", verb}:
        raise not_understood(f'it belongs to "{answer.verb}"')
    for name, kind in NEEDED.get(verb, {}).items():
        if not isinstance(answer.result.get(name), kind):
            raise not_understood(f'it has no "{name}"')
    return answer.result


def not_understood(why: str) -> RpcError:
    return RpcError(
        f"the daemon's answer is not understood ({why})",
        "daemon and commands may be of different versions: systemctl restart hapaird",
        exit_code=ExitCode.NOT_NOW,
    )


def _parsed(line: bytes) -> Progress | Result | RpcError:
    try:
        return parse_answer(line)
    except Malformed as error:
        raise not_understood(str(error)) from None
