"""The service and the world: who gets in, what strangers may cost, what survives."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from hapair.adapters.witness.clwitness import client_context
from hapair.adapters.witness.join import join
from hapair.model.cluster import Witness
from hapair.model.outcome import Done, Refused
from hapair.model.witness import Answer, WitnessAnswer
from hapair.witness.server import Limits, network_of
from hapair.witness.service import Running, running
from hapair.witness.wire import LINE_BYTES_MAX
from tests.runtime.conftest import WAIT_S
from tests.witness.parties import (
    CLUSTER,
    NODES,
    TIMEOUT_S,
    asker,
    files_of,
    invited,
    joined,
    settings,
    witness_at,
)

LOOK = b'{"ask": "look", "cluster": "shop"}\n'
# A handshake takes a busy host a while; who is dropped, is dropped after that.
FEW = Limits(handshake_s=5.0, stranger_s=WAIT_S, strangers_per_source=3)
SHORT = Limits(handshake_s=WAIT_S, stranger_s=0.3)


@asynccontextmanager
async def talk(
    run: Running, certificates: Path, node: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Speak TLS to the service, with a node's certificate or without one."""
    context = client_context(None if node is None else files_of(certificates, node))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", run.port, ssl=context, server_hostname=""
    )
    try:
        async with asyncio.timeout(WAIT_S):
            yield reader, writer
    finally:
        writer.transport.abort()


async def said(
    run: Running, certificates: Path, node: str | None, sent: bytes
) -> dict[str, object] | None:
    """Return the reply; None when it hung up without one."""
    async with talk(run, certificates, node) as (reader, writer):
        writer.write(sent)
        try:
            line = await reader.readline()
        except OSError:
            return None
    found = json.loads(line) if line else None
    assert found is None or isinstance(found, dict)
    return found


def paths_of(certificates: Path, *names: str) -> list[Path]:
    return [certificates / f"{name}.crt" for name in names]


async def test_a_code_admits_a_cluster_and_its_nodes_may_ask(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    witness = await joined(run, tmp_path, certificates)
    for node in NODES:
        clients = asker(certificates, node)
        answer = await clients.look(witness, timeout_s=TIMEOUT_S)
        assert answer == WitnessAnswer(Answer.SEEN)
        clients.close()


async def test_before_it_has_joined_a_node_is_told_how(run: Running, certificates: Path) -> None:
    clients = asker(certificates, NODES[0])
    answer = await clients.look(witness_at(run), timeout_s=TIMEOUT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert "does not know this node's certificate" in answer.why
    assert "clwitness invite" in answer.why


async def test_a_server_with_another_certificate_is_told_nothing(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    witness = await joined(run, tmp_path, certificates)
    impostor = Witness(witness.kind, witness.at, TIMEOUT_S, "ab" * 32)
    clients = asker(certificates, NODES[0])
    answer = await clients.grant(impostor, 1, timeout_s=TIMEOUT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert "another certificate" in answer.why
    assert await clients.look(witness, timeout_s=TIMEOUT_S) == WitnessAnswer(Answer.SEEN)
    refused = await join(impostor, CLUSTER, "code", [certificates / "node1.crt"])
    assert isinstance(refused, Refused)
    clients.close()


async def test_a_code_works_once_and_again_only_for_the_same_certificates(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    code = invited(tmp_path)
    witness = witness_at(run)
    both = paths_of(certificates, *NODES)
    for typed in (code, code.lower().replace("-", " ")):
        assert isinstance(await join(witness, CLUSTER, typed, both), Done)
    other = await join(witness, CLUSTER, code, paths_of(certificates, "stranger"))
    assert isinstance(other, Refused)
    assert "wrong, used, or too old" in other.why


@pytest.mark.parametrize("life_s", [-1.0, 900.0])
async def test_a_code_that_is_too_old_or_of_another_cluster_admits_nobody(
    run: Running, tmp_path: Path, certificates: Path, life_s: float
) -> None:
    code = invited(tmp_path, life_s=life_s)
    cluster = CLUSTER if life_s < 0 else "other"
    outcome = await join(witness_at(run), cluster, code, paths_of(certificates, *NODES))
    assert isinstance(outcome, Refused)
    assert f"clwitness invite {cluster}" in outcome.why


async def test_joining_again_replaces_the_certificates_and_keeps_the_record(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    witness = await joined(run, tmp_path, certificates)
    first, second = (asker(certificates, node) for node in NODES)
    await first.grant(witness, 4, timeout_s=TIMEOUT_S)
    await second.look(witness, timeout_s=TIMEOUT_S)
    again = paths_of(certificates, "node1", "renewed")
    assert isinstance(await join(witness, CLUSTER, invited(tmp_path), again), Done)
    assert (await first.look(witness, timeout_s=TIMEOUT_S)).epoch == 4
    former = await second.look(witness, timeout_s=TIMEOUT_S)
    assert "does not belong to the cluster shop" in former.why
    first.close()
    second.close()


async def test_a_certificate_belongs_to_one_cluster(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    witness = await joined(run, tmp_path, certificates)
    code = invited(tmp_path, "other")
    taken = await join(witness, "other", code, paths_of(certificates, "node1", "stranger"))
    assert isinstance(taken, Refused)
    assert "belongs to another cluster" in taken.why
    shop = asker(certificates, "node1", "other")
    answer = await shop.grant(witness, 1, timeout_s=TIMEOUT_S)
    assert answer.answer is Answer.UNREACHABLE
    shop.close()


async def test_what_is_no_certificate_admits_nobody(run: Running, tmp_path: Path) -> None:
    (tmp_path / "junk.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    outcome = await join(witness_at(run), CLUSTER, invited(tmp_path), [tmp_path / "junk.crt"])
    assert isinstance(outcome, Refused)
    assert "no certificate" in outcome.why


MALFORMED = [
    b"\n",
    b"\xff\xfe\x00\n",
    b"[]\n",
    b"null\n",
    b"{}\n",
    b"[" * 10_000 + b"\n",
    b"1" * 10_000 + b"\n",
    b'{"ask": "look", "cluster": "../etc"}\n',
    b'{"ask": "look", "cluster": 7}\n',
    b'{"ask": "drop", "cluster": "shop"}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "node1"}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "node1", "epoch": true}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "node1", "epoch": 1.5}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "node1", "epoch": 0}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "node1", "epoch": 9223372036854775808}\n',
    b'{"ask": "grant", "cluster": "shop", "node": "no de", "epoch": 1}\n',
    b'{"ask": "join", "cluster": "shop", "code": 5, "certificates": ["a"]}\n',
    b'{"ask": "join", "cluster": "shop", "code": "a", "certificates": []}\n',
    b'{"ask": "join", "cluster": "shop", "code": "a", "certificates": [1]}\n',
    b"x" * (4 * LINE_BYTES_MAX),
]


@pytest.mark.parametrize("sent", MALFORMED, ids=lambda sent: ascii(sent[:60]))
async def test_whatever_is_no_request_is_refused_and_disturbs_nobody(
    run: Running, tmp_path: Path, certificates: Path, sent: bytes
) -> None:
    witness = await joined(run, tmp_path, certificates)
    for node in (NODES[0], None):
        reply = await said(run, certificates, node, sent)
        assert reply is None or reply["answer"] == "refused"
    clients = asker(certificates, NODES[1])
    assert (await clients.grant(witness, 1, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
    clients.close()


async def test_without_a_certificate_nothing_is_told(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    await joined(run, tmp_path, certificates)
    reply = await said(run, certificates, None, LOOK)
    assert reply is not None
    assert (reply["answer"], "epoch" in reply) == ("refused", False)


async def test_a_stranger_does_not_get_through_the_handshake(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    await joined(run, tmp_path, certificates)
    assert await said(run, certificates, "stranger", LOOK) is None


async def test_bytes_that_are_no_tls_are_dropped(run: Running) -> None:
    for sent in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(sent)
        async with asyncio.timeout(WAIT_S):
            with suppress(OSError):
                assert b"clwitness" not in await reader.read()
        writer.transport.abort()


async def test_who_connects_and_says_nothing_is_dropped_and_blocks_no_member(
    tmp_path: Path, certificates: Path
) -> None:
    async with running(settings(tmp_path, FEW)) as run:
        witness = await joined(run, tmp_path, certificates)
        clients = asker(certificates, NODES[0])
        assert (await clients.look(witness, timeout_s=TIMEOUT_S)).answer is Answer.SEEN
        silent = [
            await asyncio.open_connection("127.0.0.1", run.port)
            for _ in range(FEW.strangers_per_source * 3)
        ]
        kept = await clients.grant(witness, 1, timeout_s=TIMEOUT_S)
        assert kept.answer is Answer.GRANTED, "a member's connection is its own"
        async with asyncio.timeout(WAIT_S):
            for reader, writer in silent:
                with suppress(OSError):
                    await reader.read()
                writer.transport.abort()
        newcomer = asker(certificates, NODES[1])
        assert (await newcomer.look(witness, timeout_s=TIMEOUT_S)).epoch == 1
        newcomer.close()
        clients.close()


async def test_strangers_who_take_every_place_keep_no_member_out(
    tmp_path: Path, certificates: Path
) -> None:
    """They come from as many addresses as they need, one of them the member's own."""
    limits = Limits(handshake_s=WAIT_S, stranger_s=WAIT_S, strangers=12, strangers_per_source=4)
    async with running(settings(tmp_path, limits)) as run:
        witness = await joined(run, tmp_path, certificates)
        silent = [
            await asyncio.open_connection("127.0.0.1", run.port, local_addr=(source, 0))
            for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
            for _ in range(limits.strangers_per_source)
        ]
        for node in (*NODES, *NODES):  # Who was cut off has to dial.
            member = asker(certificates, node)
            assert (await member.look(witness, timeout_s=TIMEOUT_S)).answer is Answer.SEEN
            member.close()
        for _, writer in silent:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("2001:db8:1:2::3", "2001:db8:1:2:ffff::4", True),
        ("2001:db8:1:2::3", "2001:db8:1:3::3", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_strangers_are_counted_by_what_one_of_them_has(one: str, other: str, alike: bool) -> None:  # noqa: FBT001
    assert (network_of(one) == network_of(other)) is alike


async def test_a_stranger_who_speaks_tls_and_then_falls_silent_is_dropped(
    tmp_path: Path, certificates: Path
) -> None:
    async with running(settings(tmp_path, SHORT)) as run, talk(run, certificates) as (reader, _):
        assert await reader.read() == b""


async def test_the_oldest_connection_of_a_certificate_goes_when_there_are_too_many(
    tmp_path: Path, certificates: Path
) -> None:
    limits = Limits(connections_per_certificate=2)
    async with running(settings(tmp_path, limits)) as run:
        await joined(run, tmp_path, certificates)
        async with talk(run, certificates, NODES[0]) as (first, writer):
            writer.write(LOOK)
            assert b"seen" in await first.readline()
            for _ in range(2):
                async with talk(run, certificates, NODES[0]) as (reader, other):
                    other.write(LOOK)
                    assert b"seen" in await reader.readline()
            async with (
                talk(run, certificates, NODES[0]) as (second, one),
                talk(run, certificates, NODES[0]) as (third, two),
            ):
                one.write(LOOK)
                assert b"seen" in await second.readline()
                two.write(LOOK)
                assert b"seen" in await third.readline()
                assert await first.read() == b""


async def test_requests_in_a_row_are_answered_in_order(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    await joined(run, tmp_path, certificates)
    async with talk(run, certificates, NODES[0]) as (reader, writer):
        for epoch in range(1, 50):
            request = {"ask": "grant", "cluster": CLUSTER, "node": NODES[0], "epoch": epoch}
            writer.write(json.dumps(request).encode() + b"\n")
        for epoch in range(1, 50):
            assert json.loads(await reader.readline())["epoch"] == epoch


async def test_after_a_restart_the_record_the_pin_and_the_members_are_the_same(
    tmp_path: Path, certificates: Path
) -> None:
    async with running(settings(tmp_path)) as run:
        witness = await joined(run, tmp_path, certificates)
        clients = asker(certificates, NODES[0])
        await clients.grant(witness, 9, timeout_s=TIMEOUT_S)
    async with running(settings(tmp_path)) as again:
        assert again.pin == run.pin
        for node in NODES:
            after = asker(certificates, node)
            seen = await after.look(witness_at(again), timeout_s=TIMEOUT_S)
            assert seen == WitnessAnswer(Answer.SEEN, 9, NODES[0])
            after.close()
    clients.close()


async def test_a_kept_connection_that_broke_is_made_anew(
    run: Running, tmp_path: Path, certificates: Path
) -> None:
    relayed = await _Relay.to(run.port)
    witness = await joined(run, tmp_path, certificates)
    through = Witness(witness.kind, f"127.0.0.1:{relayed.port}", TIMEOUT_S, witness.pin)
    clients = asker(certificates, NODES[0])
    assert (await clients.grant(through, 1, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
    assert (await clients.grant(through, 2, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
    assert relayed.taken == 1, "one connection is kept"
    relayed.cut()
    assert (await clients.grant(through, 3, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
    relayed.deaf = True
    assert (await clients.grant(through, 4, timeout_s=8.0)).answer is Answer.GRANTED
    assert relayed.taken == 3
    clients.close()
    await relayed.close()


class _Relay:
    """A path to the witness that can be cut, or go silent without a word."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.taken = 0
        self.deaf = False  # Connections made until now pass nothing on.

    @staticmethod
    async def to(target: int) -> "_Relay":
        made = _Relay(target)
        made._server = await asyncio.start_server(made._take, "127.0.0.1", 0)
        return made

    @property
    def port(self) -> int:
        assert self._server is not None
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        assert self._server is not None
        self.cut()
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken += 1
        self.deaf = False
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        number = self.taken
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(source, target, number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            while chunk := await source.read(65536):
                if not (self.deaf and number == self.taken):
                    target.write(chunk)
        except OSError:
            pass


@pytest.mark.parametrize("path", ["/status", "/status.json", "/", ""])
async def test_the_status_page_shows_who_asked_and_what_is_recorded(
    run: Running, tmp_path: Path, certificates: Path, path: str
) -> None:
    witness = await joined(run, tmp_path, certificates)
    clients = asker(certificates, NODES[0])
    await clients.grant(witness, 12, timeout_s=TIMEOUT_S)
    clients.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", run.status_port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.transport.abort()
    match path:
        case "/status":
            assert "node1" in body
            assert "127.0.0.1" in body
        case "/status.json":
            content = json.loads(body)
            (shop,) = content["clusters"]
            assert (shop["cluster"], shop["epoch"], shop["holder"]) == (CLUSTER, 12, "node1")
            assert shop["asked_from"] == "127.0.0.1"
            assert content["pin"] == run.pin
        case _:
            assert head.startswith("HTTP/1.0 404")


async def test_a_reader_of_the_status_page_who_sends_rubbish_is_dropped(run: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", run.status_port)
    writer.write(b"x" * 100_000)
    with suppress(OSError):
        assert await reader.read() == b""
    writer.transport.abort()


async def test_a_second_service_with_the_same_folder_is_refused(
    run: Running, tmp_path: Path
) -> None:
    assert run.port
    with pytest.raises(Exception, match="another clwitness serve uses"):
        async with running(settings(tmp_path)):
            pass


async def test_old_tls_is_refused(run: Running) -> None:
    context = client_context(None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", run.port, ssl=context, server_hostname="")
