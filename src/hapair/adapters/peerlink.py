"""The one connection to the peer: TLS 1.3, both sides with pinned certificates.

The second node dials the first one over each network in turn until one answers, and again when
the connection breaks. The source address is checked before any TLS byte is read, so that strangers
cost next to nothing. Messages are length-prefixed bytes; an empty one says "still here".
"""

import asyncio
import itertools
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.model.cluster import Cluster, Interface
from hapair.ports.peer import LinkListener

LENGTH: Final = struct.Struct(">I")
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
UNSENT_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
DIAL_TIMEOUT_S: Final = 1.0
HANDSHAKE_TIMEOUT_S: Final = 3.0
HANDSHAKES_MAX: Final = 4  # At the same time: the peer needs no more.
RETRY_S: Final = 0.2
SIGNS_OF_LIFE: Final = 4  # Sent within each dead_after_s.
DEAD_AFTER_MIN_S: Final = 2.0
IP_FREEBIND: Final = 15  # Not in the socket module of Python 3.11: listen before the card is up.
IPV6_FREEBIND: Final = 78
NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL.


@dataclass(frozen=True, slots=True)
class LinkFiles:
    key: Path
    certificate: Path
    peer_certificate: Path


@dataclass(frozen=True, slots=True)
class _Path:
    network: str
    own: Interface
    peer: Interface


class _Connection:
    """One open connection: reads messages until it is dead."""

    def __init__(
        self, network: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.network = network
        self._reader = reader
        self._writer = writer
        self._idle = 0  # Signs of life sent since something was received.
        self._given_up = False

    def send(self, message: bytes) -> None:
        if self._writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.abort()
            return
        self._writer.write(LENGTH.pack(len(message)) + message)

    def abort(self) -> None:
        """End it; what has come and was not read yet may be older than what another one says."""
        self._given_up = True
        self._writer.transport.abort()

    async def run(self, listener: LinkListener, dead_after_s: float) -> str:
        """Hand messages over until the connection ends; return why it ended."""
        living = asyncio.create_task(self._show_life(dead_after_s))
        try:
            while True:
                (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                if length > MESSAGE_BYTES_MAX:
                    return f"a message of {length} bytes is no message of ours"
                message = await self._reader.readexactly(length)
                self._idle = 0
                if self._given_up:
                    return "another one took its place"
                if message:
                    listener.received(message)
        except asyncio.IncompleteReadError:
            silent = self._idle > SIGNS_OF_LIFE
            return "the path is dead" if silent else "the peer closed it"
        except OSError as error:
            return str(error)
        finally:
            living.cancel()
            self.abort()

    async def _show_life(self, dead_after_s: float) -> None:
        """Send signs of life, and end the connection when several in a row brought none back.

        Signs are counted, not seconds: a pause of this node is not the peer's silence.
        """
        while self._idle <= SIGNS_OF_LIFE:
            self.send(b"")
            await asyncio.sleep(dead_after_s / SIGNS_OF_LIFE)
            self._idle += 1
        self.abort()


class TlsPeerLink:
    def __init__(self, cluster: Cluster, me: str, files: LinkFiles) -> None:
        peer = cluster.peer_of(me)
        ordered = sorted(cluster.networks, key=lambda network: network.replication)
        self._paths = tuple(
            _Path(n.name, n.attachment(me).address, n.attachment(peer).address) for n in ordered
        )
        self._port = cluster.ports.peer
        self._dials = me == cluster.nodes[1]
        self._files = files
        self._dead_after_s = max(cluster.timing.detection_s, DEAD_AFTER_MIN_S)
        self._pinned = ssl.PEM_cert_to_DER_cert(files.peer_certificate.read_text())
        self._tls = self._context()
        self._current: _Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes = 0
        self._trouble = ""

    def _context(self) -> ssl.SSLContext:
        protocol = ssl.PROTOCOL_TLS_CLIENT if self._dials else ssl.PROTOCOL_TLS_SERVER
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # The certificate itself is pinned.
        context.verify_mode = ssl.CERT_REQUIRED
        # A node whose clock is wrong must still be able to join.
        context.verify_flags |= NO_CHECK_TIME
        context.load_cert_chain(self._files.certificate, self._files.key)
        context.load_verify_locations(self._files.peer_certificate)
        return context

    def open(self, listener: LinkListener) -> None:
        if self._dials:
            self._spawn(self._keep_dialling(listener))
            return
        for path in self._paths:
            self._spawn(self._keep_listening(path, listener))

    def send(self, message: bytes) -> None:
        if self._current is not None:
            self._current.send(message)

    def trouble(self) -> str:
        return self._trouble

    async def close(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_dialling(self, listener: LinkListener) -> None:
        for path in itertools.cycle(self._paths):
            connection = await self._dial(path)
            if connection is not None:
                await self._use(connection, listener)
            await asyncio.sleep(RETRY_S)

    async def _dial(self, path: _Path) -> _Connection | None:
        """Connect from our own address of the network; None when that did not work in time."""
        outgoing: socket.socket | None = None
        try:
            outgoing = _socket(path.own)
            outgoing.bind((str(path.own.ip), 0))
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await asyncio.get_running_loop().sock_connect(
                    outgoing, (str(path.peer.ip), self._port)
                )
            reader, writer = await asyncio.open_connection(
                sock=outgoing,
                ssl=self._tls,
                server_hostname="",
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
        except OSError as error:  # Includes time-outs and everything that TLS refuses.
            if outgoing is not None:
                outgoing.close()
            self._trouble = f"{path.network}: {str(error) or 'no answer'}"
            return None
        return self._checked(_Connection(path.network, reader, writer), writer)

    def _checked(self, connection: _Connection, writer: asyncio.StreamWriter) -> _Connection | None:
        """Accept exactly the pinned certificate, not merely one that it might have signed."""
        tls = writer.get_extra_info("ssl_object")
        if tls.getpeercert(binary_form=True) == self._pinned:
            return connection
        connection.abort()
        self._trouble = f"{connection.network}: it did not present the pinned certificate"
        return None

    async def _keep_listening(self, path: _Path, listener: LinkListener) -> None:
        loop = asyncio.get_running_loop()
        for listening in _listening(path.own, self._port):
            if listening is None:  # Another program has the port: try again.
                await asyncio.sleep(RETRY_S * 5)
                continue
            with listening:
                while True:
                    try:
                        incoming, source = await loop.sock_accept(listening)
                    except OSError as error:  # The caller went away, or no descriptor is left.
                        self._trouble = f"{path.network}: {error}"
                        await asyncio.sleep(RETRY_S)
                        continue
                    stranger = source[0] != str(path.peer.ip)
                    if stranger or self._handshakes >= HANDSHAKES_MAX:
                        incoming.close()
                        continue
                    self._handshakes += 1
                    self._spawn(self._answer(path, incoming, listener))

    async def _answer(self, path: _Path, incoming: socket.socket, listener: LinkListener) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        try:
            _tune(incoming)
            transport, protocol = await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, loop=loop),
                incoming,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
            )
        except OSError as error:
            incoming.close()
            self._trouble = f"{path.network}: {str(error) or 'no answer'}"
            return
        finally:
            self._handshakes -= 1
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        connection = self._checked(_Connection(path.network, reader, writer), writer)
        if connection is not None:
            await self._use(connection, listener)

    async def _use(self, connection: _Connection, listener: LinkListener) -> None:
        """Make this the current connection until it ends; a newer one replaces an older one."""
        if self._current is not None:
            self._current.abort()
            listener.closed("the peer connected anew")
        self._current = connection
        self._trouble = ""
        listener.opened(connection.network)
        why = "closed"
        try:
            why = await connection.run(listener, self._dead_after_s)
        finally:
            if self._current is connection:
                self._current = None
                listener.closed(why)


def _socket(own: Interface) -> socket.socket:
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6  # noqa: PLR2004
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    _tune(made)
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    return made


def _tune(connected: socket.socket) -> None:
    connected.settimeout(0.0)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _listening(own: Interface, port: int) -> Iterator[socket.socket | None]:
    """Yield a listening socket, or None while the port is taken; again after each failure."""
    while True:
        try:
            made = _socket(own)
        except OSError:
            yield None
            continue
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            made.bind((str(own.ip), port))
            made.listen(HANDSHAKES_MAX)
            yield made
            continue
        made.close()
        yield None
