"""The control socket: local tools ask, the kernel says who they are."""

import asyncio
import grp
import socket
import struct
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.core.words.effects import Severity
from hapair.rpc.messages import (
    REQUEST_BYTES_MAX,
    Answer,
    JsonObject,
    Malformed,
    Request,
    Result,
    RpcError,
    dump_answer,
    parse_request,
)
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.loop import contained
from hapair.runtime.verbs import Call, Rights, Verb, Verbs

READERS: Final = "hapair"  # The group whose members may read.
# How many requests are answered at once. Each kind has room of its own: a handler of DRBD's waits
# for each frozen volume until somebody types clconfirm, having looked at clstat.
HANDLERS_MAX: Final = 1024
READS_MAX: Final = 64
CHANGES_MAX: Final = 64
STRANGERS_MAX: Final = 16  # Connections of callers that are not root.
CONNECTIONS_MAX: Final = HANDLERS_MAX + READS_MAX + CHANGES_MAX  # Those that say nothing count too.
REQUEST_TIMEOUT_S: Final = 10.0
REFUSED_INTERVAL_S: Final = 60.0  # Between two lines about refused users.
UNSENT_BYTES_MAX: Final = 8 * 1024 * 1024
SO_PEERGROUPS: Final = 59  # Not in the socket module.
CREDENTIALS: Final = struct.Struct("3i")
GROUPS_BYTES_MAX: Final = 1024  # Of supplementary groups: Python's getsockopt reads no more.


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end, according to the kernel."""

    user: int
    groups: tuple[int, ...]

    def may(self, rights: Rights, readers: int | None) -> bool:
        if self.user == 0:
            return True
        return rights is Rights.READ and readers is not None and readers in self.groups


def caller_of(connection: socket.socket) -> Caller:
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, user, group = CREDENTIALS.unpack(content)
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_BYTES_MAX)
    except OSError:  # More groups than that: only the first one counts.
        return Caller(user, (group,))
    others = struct.unpack(f"{len(groups) // 4}I", groups)
    return Caller(user, (group, *others))


Identify = Callable[[socket.socket], Caller]


def readers_group() -> int | None:
    try:
        return grp.getgrnam(READERS).gr_gid
    except KeyError:
        return None


def refusal(verb: str, rights: Rights) -> RpcError:
    if rights is Rights.READ:
        return RpcError(
            f"only root and members of group {READERS} may read the cluster's state",
            f"ask an administrator for: usermod --append --groups {READERS} YOU",
        )
    return RpcError(f'only root may do "{verb}"', f"become root, e.g.: sudo cl{verb}")


class ControlServer:
    """One request per connection; ``verbs`` may grow while it serves."""

    def __init__(
        self, place: Path, verbs: Verbs, journal: Journal, identify: Identify = caller_of
    ) -> None:
        self._identify = identify
        self._place = place
        self._verbs = verbs
        self._journal = journal
        self._connections = 0
        self._unprivileged = 0
        self._answering: Counter[str] = Counter()
        self._refused_again_s = 0.0
        self._server: asyncio.Server | None = None
        self.readers = readers_group()  # Asked once: the name service may be slow.

    async def open(self) -> None:
        """Listen; a socket that a killed daemon left behind is replaced."""
        self._place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._place.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listening.bind(str(self._place))
        # Everybody may knock, so that everybody gets a clear answer.
        self._place.chmod(0o666)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listening, limit=REQUEST_BYTES_MAX, backlog=CONNECTIONS_MAX
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._place.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = self._identify(writer.get_extra_info("socket"))
        privileged = caller.user == 0
        self._connections += 1
        self._unprivileged += not privileged
        try:
            if self._connections > CONNECTIONS_MAX or self._unprivileged > STRANGERS_MAX:
                _write(writer, _too_many())
            else:
                await self._answer(caller, reader, writer)
            with suppress(OSError):
                writer.write_eof()
                await writer.drain()
        finally:
            self._connections -= 1
            self._unprivileged -= not privileged
            writer.close()

    async def _answer(
        self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                line = await reader.readuntil(b"\n")
            request = parse_request(line)
        except (Malformed, asyncio.LimitOverrunError) as error:
            _write(writer, RpcError(f"this is no request: {error}"))
            return
        except (TimeoutError, asyncio.IncompleteReadError, OSError):
            return
        kind, most = _budget(self._verbs.get(request.verb))
        self._answering[kind] += 1
        try:
            if self._answering[kind] > most:
                raise _too_many()
            handling = self._begin(request, caller, writer)
            await self._finish(request, handling, reader, writer)
        except RpcError as error:
            _write(writer, error)
        finally:
            self._answering[kind] -= 1

    def _begin(
        self, request: Request, caller: Caller, writer: asyncio.StreamWriter
    ) -> asyncio.Future[JsonObject]:
        verb = self._verbs.get(request.verb)
        readers = self.readers
        if verb is None:
            rights = Rights.READ
            if not caller.may(rights, readers):
                raise refusal(request.verb, rights)
            raise RpcError(
                f'the daemon does not know "{request.verb}"',
                "daemon and commands may be of different versions: systemctl restart hapaird",
            )
        if not caller.may(verb.rights, readers):
            self._tell_refused(caller.user, request.verb)
            raise refusal(request.verb, verb.rights)
        call = Call(request.args, lambda progress: _write(writer, progress))
        return asyncio.ensure_future(contained(lambda: verb.handler(call), self._journal))

    def _tell_refused(self, user: int, verb: str) -> None:
        """Write it down, but so rarely that it cannot drive other lines out of the history."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._refused_again_s:
            return
        self._refused_again_s = now_s + REFUSED_INTERVAL_S
        text = f'user {user} was refused "{verb}"'
        self._journal.add("refused", text, severity=Severity.WARNING)

    async def _finish(
        self,
        request: Request,
        handling: asyncio.Future[JsonObject],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Wait for the answer, or for the caller to go away; that cancels what can be."""
        gone = asyncio.ensure_future(_gone(reader))
        either: set[asyncio.Future[JsonObject] | asyncio.Future[None]] = {handling, gone}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not handling.done() and self._verbs[request.verb].cancellable:
                handling.cancel()
            await asyncio.wait([handling])
        finally:
            gone.cancel()
        if handling.cancelled():
            return
        error = handling.exception()
        if isinstance(error, RpcError):
            _write(writer, error)
        else:
            _write(writer, Result(handling.result(), request.verb))


def _budget(verb: Verb | None) -> tuple[str, int]:
    """Return of what kind a request is, and how many of them are answered at once."""
    if verb is not None and verb.by_kernel:
        return "handlers", HANDLERS_MAX
    if verb is not None and verb.rights is Rights.CHANGE:
        return verb.rights, CHANGES_MAX
    return Rights.READ, READS_MAX


def _too_many() -> RpcError:
    return RpcError("too many connections at once", "try again")


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the caller has closed; what it still says is not listened to."""
    with suppress(OSError):
        while await reader.read(REQUEST_BYTES_MAX):
            continue


def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Send without waiting; a caller that does not read is cut off."""
    if writer.is_closing():
        return
    if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
        writer.transport.abort()
        return
    writer.write(dump_answer(answer))
