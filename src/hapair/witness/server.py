"""The TLS service: takes connections, reads requests, and bounds what strangers may cost."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final

from hapair.rpc.messages import Malformed
from hapair.witness import tls
from hapair.witness.book import Ask, stranger
from hapair.witness.commits import Commits
from hapair.witness.wire import (
    LINE_BYTES_MAX,
    Join,
    Joined,
    No,
    Reply,
    encode,
    parse,
)

ACCEPT_RETRY_S: Final = 0.2
CLOSE_TIMEOUT_S: Final = 2.0
BACKLOG: Final = 4096
HOST_BITS: Final = 64  # Of an IPv6 address: whoever has one has all of these.
KEEP_ALIVE: Final = (  # A node that vanished is noticed after about two minutes.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
ONLY_JOIN: Final = No(
    "without a certificate there is nothing to ask for but join", "run clbuild on the node"
)


@dataclass(frozen=True, slots=True)
class Limits:
    handshake_s: float = 5.0
    stranger_s: float = 5.0  # For all that somebody without a known certificate may do.
    reply_s: float = 5.0  # For a member to take its reply.
    strangers: int = 512  # Handshakes included. Beyond that the oldest one goes.
    strangers_per_source: int = 64  # The same.
    connections: int = 50_000
    connections_per_certificate: int = 4  # The oldest one goes.


@dataclass(eq=False, slots=True)
class _Caller:
    """One connection."""

    source: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fingerprint: str  # "": it presented no certificate.

    async def say(self, reply: Reply, within_s: float) -> None:
        self.writer.write(encode(reply))
        async with asyncio.timeout(within_s):
            await self.writer.drain()

    def hang_up(self) -> None:
        self.writer.transport.abort()


@dataclass(slots=True)
class Server:
    commits: Commits
    context: ssl.SSLContext
    limits: Limits = field(default_factory=Limits)
    _strangers: dict[asyncio.Task[None], str] = field(default_factory=dict)  # The oldest first.
    _members: dict[str, deque[_Caller]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    turned_away: int = 0

    @property
    def connections(self) -> int:
        return len(self._tasks) - 1  # One task takes the connections.

    def listen(self, listening: socket.socket) -> None:
        """Take connections from this socket until ``close``."""
        listening.settimeout(0.0)
        listening.listen(BACKLOG)
        _ = self._spawn(self._keep_accepting(listening))

    async def close(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep_accepting(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    incoming, address = await loop.sock_accept(listening)
                except OSError as error:  # The caller went away, or no descriptor is left.
                    print(f"clwitness: {error}", file=sys.stderr, flush=True)
                    await asyncio.sleep(ACCEPT_RETRY_S)
                    continue
                source = str(address[0])
                if self.connections >= self.limits.connections:
                    self.turned_away += 1
                    incoming.close()
                    continue
                self._make_room(network_of(source))
                self._strangers[self._spawn(self._serve(incoming, source))] = network_of(source)
                await asyncio.sleep(0)  # Each begins before it may be the oldest one.

    def _make_room(self, network: str) -> None:
        """Turn the oldest stranger away where there are too many.

        A member needs one moment to be none any more; who only waits must not keep it out.
        """
        alike = [task for task, its in self._strangers.items() if its == network]
        if len(alike) >= self.limits.strangers_per_source:
            oldest = alike[0]
        elif len(self._strangers) >= self.limits.strangers:
            oldest = next(iter(self._strangers))
        else:
            return
        self.turned_away += 1
        del self._strangers[oldest]
        oldest.cancel()

    async def _serve(self, incoming: socket.socket, source: str) -> None:
        """Serve a connection: as a stranger's until a known certificate was seen."""
        caller = None
        try:
            caller = await self._shake_hands(incoming, source)
            if caller is not None and not caller.fingerprint:
                async with asyncio.timeout(self.limits.stranger_s):
                    await self._serve_stranger(caller)
        except OSError:  # It went away, or its time was over.
            pass
        finally:
            if (task := asyncio.current_task()) is not None:
                self._strangers.pop(task, None)
            if caller is not None and not caller.fingerprint:
                caller.hang_up()
        if caller is not None and caller.fingerprint:
            await self._serve_member(caller)

    async def _shake_hands(self, incoming: socket.socket, source: str) -> _Caller | None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LINE_BYTES_MAX, loop=loop)
        try:
            incoming.settimeout(0.0)
            for level, option, value in KEEP_ALIVE:
                incoming.setsockopt(level, option, value)
            transport, protocol = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
                incoming,
                ssl=self.context,
                ssl_handshake_timeout=self.limits.handshake_s,
            )
        except OSError:
            incoming.close()
            return None
        presented = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        known = hashlib.sha256(presented).hexdigest() if presented else ""
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return _Caller(source, reader, writer, known)

    async def _serve_stranger(self, caller: _Caller) -> None:
        """Answer one request, which must be join."""
        try:
            request = parse(await caller.reader.readuntil(b"\n"))
        except (Malformed, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            await caller.say(_malformed(error), self.limits.reply_s)
            return
        reply = await self._joined(request) if isinstance(request, Join) else ONLY_JOIN
        await caller.say(reply, self.limits.reply_s)
        caller.writer.close()
        await caller.writer.wait_closed()

    async def _joined(self, join: Join) -> Reply:
        reply = await self.commits.run(lambda book: book.join(join, time.time()))
        if isinstance(reply, Joined):
            tls.admit(self.context, join.certificates)
        return reply

    async def _serve_member(self, caller: _Caller) -> None:
        """Answer until it goes. It may be silent for as long as it likes."""
        own = self._members.setdefault(caller.fingerprint, deque())
        own.append(caller)
        if len(own) > self.limits.connections_per_certificate:
            own[0].hang_up()
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answered(caller):
                    pass
        finally:
            caller.hang_up()
            own.remove(caller)
            if not own and self._members.get(caller.fingerprint) is own:
                del self._members[caller.fingerprint]

    async def _answered(self, caller: _Caller) -> bool:
        """Answer one request; tell whether the connection is worth keeping."""
        try:
            request = parse(await caller.reader.readuntil(b"\n"))
        except (Malformed, asyncio.LimitOverrunError) as error:
            await caller.say(_malformed(error), self.limits.reply_s)
            return False
        if isinstance(request, Join):
            reply: Reply = stranger(request.cluster)
        else:
            reply = await self.commits.ask(Ask(request, caller.fingerprint), caller.source)
        await caller.say(reply, self.limits.reply_s)
        return True


def _malformed(error: Exception) -> No:
    text = str(error) if isinstance(error, Malformed) else "a request is one short line"
    return No(text, "both sides need the same version of hapair")


def network_of(source: str) -> str:
    """Return what strangers are counted by: one of them may have many addresses of IPv6."""
    address = ip_address(source.partition("%")[0])
    if not isinstance(address, IPv6Address):
        return source
    return str(address.ipv4_mapped or int(address) >> HOST_BITS)
