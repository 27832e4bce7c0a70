"""The connection to the peer: only the peer gets in, and a dead path is left."""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair.adapters.peerlink import LENGTH, MESSAGE_BYTES_MAX, LinkFiles, TlsPeerLink
from tests.runtime.conftest import WAIT_S, eventually
from tests.runtime.fakes import cluster


@dataclass(slots=True)
class End:
    """One end of the connection and what it reported."""

    link: TlsPeerLink
    networks: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def opened(self, network: str) -> None:
        self.networks.append(network)

    def received(self, message: bytes) -> None:
        self.messages.append(message)

    def closed(self, why: str) -> None:
        self.ends.append(why)

    async def until(self, count: int, of: list[str] | list[bytes]) -> None:
        await eventually(lambda: len(of) >= count)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        number: int = probe.getsockname()[1]
        return number


def end(certificates: Path, me: str, peer: str, port: int, *, presents: str = "") -> End:
    shows = presents or me
    files = LinkFiles(
        certificates / f"{shows}.key", certificates / f"{shows}.crt", certificates / f"{peer}.crt"
    )
    return End(TlsPeerLink(cluster(port=port, loopback=True), me, files))


@pytest.fixture
async def first(certificates: Path, port: int) -> AsyncIterator[End]:
    """Return the listening node."""
    made = end(certificates, "node1", "node2", port)
    made.link.open(made)
    yield made
    await made.link.close()


@pytest.fixture
async def second(certificates: Path, port: int, first: End) -> AsyncIterator[End]:
    """Return the node that dials, connected."""
    made = end(certificates, "node2", "node1", port)
    made.link.open(made)
    await first.until(1, first.networks)
    await made.until(1, made.networks)
    yield made
    await made.link.close()


async def test_messages_pass_in_both_directions_over_the_first_network(
    first: End, second: End
) -> None:
    first.link.send(b"to the second")
    second.link.send(b"to the first")
    second.link.send(b"x" * 1_000_000)
    await first.until(2, first.messages)
    await second.until(1, second.messages)
    assert first.messages == [b"to the first", b"x" * 1_000_000]
    assert second.messages == [b"to the second"]
    assert (first.networks, second.networks) == (["public"], ["public"])


async def test_a_peer_that_starts_anew_replaces_its_old_connection(
    certificates: Path, port: int, first: End, second: End
) -> None:
    assert second.networks
    again = end(certificates, "node2", "node1", port)
    again.link.open(again)
    await again.until(1, again.networks)
    again.link.send(b"from the new one")
    await first.until(1, first.messages)
    assert first.messages == [b"from the new one"]
    assert first.ends[0] == "the peer connected anew"
    await again.link.close()


async def test_a_closed_connection_is_dialled_again(first: End, second: End) -> None:
    first.link.send(b"before")
    await second.until(1, second.messages)
    await first.link.close()
    await second.until(1, second.ends)
    first.link.open(first)
    await first.until(2, first.networks)
    first.link.send(b"after")
    await second.until(2, second.messages)
    assert second.messages == [b"before", b"after"]


async def refused(
    certificates: Path, port: int, *, presents: str | None, source: str = "127.77.1.2"
) -> None:
    """Connect as a client does, and see that nothing is said to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if presents is not None:
        context.load_cert_chain(certificates / f"{presents}.crt", certificates / f"{presents}.key")
    try:
        reader, writer = await asyncio.open_connection(
            "127.77.1.1", port, ssl=context, local_addr=(source, 0), server_hostname=""
        )
    except OSError:
        return
    try:
        async with asyncio.timeout(WAIT_S):
            said = await reader.read(100)
    except OSError:
        said = b""
    writer.transport.abort()
    assert said == b""


@pytest.mark.parametrize("presents", [None, "stranger", "node1"])
async def test_only_the_pinned_certificate_is_let_in(
    certificates: Path, port: int, first: End, presents: str | None
) -> None:
    await refused(certificates, port, presents=presents)
    assert first.networks == []


async def test_even_the_right_certificate_is_let_in_only_from_the_peers_address(
    certificates: Path, port: int, first: End
) -> None:
    await refused(certificates, port, presents="node2", source="127.77.1.9")
    assert first.networks == []


async def test_a_server_that_is_not_the_peer_is_told_nothing(certificates: Path, port: int) -> None:
    impostor = end(certificates, "node1", "node2", port, presents="stranger")
    impostor.link.open(impostor)
    dialling = end(certificates, "node2", "node1", port)
    dialling.link.open(dialling)
    await eventually(lambda: "certificate" in dialling.link.trouble())
    assert dialling.networks == []
    assert impostor.messages == []
    await dialling.link.close()
    await impostor.link.close()


async def test_junk_instead_of_tls_disturbs_nobody(first: End, second: End, port: int) -> None:
    with socket.socket() as junk:
        junk.bind(("127.77.1.2", 0))
        junk.settimeout(0.0)
        await asyncio.get_running_loop().sock_connect(junk, ("127.77.1.1", port))
        junk.send(b"GET / HTTP/1.0\r\n\r\n" * 100)
        second.link.send(b"still here")
        await first.until(1, first.messages)
    assert first.ends == []


async def test_a_message_that_is_too_long_ends_the_connection(first: End, second: End) -> None:
    current = second.link._current  # noqa: SLF001 - there is no way to send that by accident
    assert current is not None
    current._writer.write(LENGTH.pack(MESSAGE_BYTES_MAX + 1))  # noqa: SLF001
    await first.until(1, first.ends)
    assert "is no message of ours" in first.ends[0]
    await second.until(2, second.networks)


async def test_a_call_that_cannot_be_taken_does_not_end_the_listening(
    certificates: Path, port: int, first: End
) -> None:
    """The kernel gives no descriptor, or the caller went away before it was taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as caller:
        caller.bind(("127.77.1.2", 0))
        await asyncio.sleep(0)  # The listening begins.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            caller.connect(("127.77.1.1", port))
            await eventually(lambda: "Too many open files" in first.link.trouble())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        second = end(certificates, "node2", "node1", port)
        second.link.open(second)
        await first.until(1, first.networks)
        await second.link.close()
