"""The parts of the service put together: book, TLS door, status page, and their end."""

import asyncio
import fcntl
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair.durable import sync_folder
from hapair.rpc.messages import JsonObject, RpcError
from hapair.witness import tls
from hapair.witness.book import Book, Row
from hapair.witness.commits import Commits
from hapair.witness.page import REQUEST_BYTES_MAX, StatusPage
from hapair.witness.server import Limits, Server

PORT: Final = 7790
STATUS_PORT: Final = 7791
LOOPBACK: Final = "127.0.0.1"
NOTE_EVERY_S: Final = 10.0
PORT_SETTING: Final = "port"


@dataclass(frozen=True, slots=True)
class Settings:
    folder: Path
    address: str = ""  # "": all addresses of the machine.
    port: int = PORT  # 0: any free one.
    status_port: int = STATUS_PORT
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Running:
    """Which ports were really taken."""

    port: int
    status_port: int
    pin: str


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RpcError(
            f"{folder} cannot be made: {error.strerror}", "run it as root, or with --folder"
        ) from None


def listening_socket(address: str, port: int) -> socket.socket:
    """Bind without listening; all addresses means IPv4 and IPv6."""
    everywhere = not address
    six = (everywhere and socket.has_dualstack_ipv6()) or ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if everywhere else 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        raise RpcError(
            f"{address or 'all addresses'}, port {port}: {error.strerror or error}",
            "end what listens there, or choose another one with --listen or --status-port",
        ) from None
    return made


@asynccontextmanager
async def running(settings: Settings, book: Book | None = None) -> AsyncIterator[Running]:
    """Run the service while the block runs."""
    folder = settings.folder
    make_folder(folder)
    tls.use_small_buffers()
    with _only_one(folder), listening_socket(settings.address, settings.port) as door:
        tls.ensure_pair(folder)
        commits = Commits(book or Book(folder))
        sync_folder(folder)  # The names of the files must survive as well.
        certificates = await commits.run(lambda book: book.certificates())
        server = Server(commits, tls.server_context(folder, certificates), settings.limits)
        port = door.getsockname()[1]
        await commits.run(lambda book: book.set(PORT_SETTING, str(port)))
        started_s = time.time()

        async def facts() -> tuple[list[Row], JsonObject]:
            await commits.note_sightings()
            counts = commits.counts
            return await commits.run(lambda book: book.rows()), {
                "pin": tls.pin(folder),
                "port": port,
                "running_s": round(time.time() - started_s),
                "connections": server.connections,
                "requests": counts.requests,
                "commits": counts.commits,
                "failed_commits": counts.failures,
                "turned_away": server.turned_away,
            }

        page = await asyncio.start_server(
            StatusPage(facts).answer,
            sock=listening_socket(LOOPBACK, settings.status_port),
            limit=REQUEST_BYTES_MAX,
        )
        server.listen(door)
        noting = asyncio.create_task(_keep_noting(commits))
        try:
            yield Running(port, page.sockets[0].getsockname()[1], tls.pin(folder))
        finally:
            noting.cancel()
            page.close()
            await server.close()
            await commits.close()


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """While the block runs no other service uses the folder."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RpcError(
                f"another clwitness serve uses {folder}", "see: clwitness status"
            ) from None
        yield
    finally:
        os.close(descriptor)


async def _keep_noting(commits: Commits) -> None:
    while True:
        await asyncio.sleep(NOTE_EVERY_S)
        await commits.note_sightings()


def notify(line: str) -> None:
    """Tell systemd, when it started us; losing it is better than waiting."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.settimeout(1.0)
            sender.sendto(line.encode(), address.replace("@", "\0", 1))


async def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT."""
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with running(settings) as run:
        say(f"listens on port {run.port}, status on http://{LOOPBACK}:{run.status_port}/status")
        notify("READY=1")
        await end.wait()
        notify("STOPPING=1")
