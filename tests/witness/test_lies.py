"""A service that holds the right key but talks nonsense is not believed."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hapair.adapters.witness.join import join
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Refused, Unknown
from hapair.model.witness import Answer
from hapair.witness import tls
from hapair.witness.wire import Grant, parse
from tests.witness.parties import NODES, TIMEOUT_S, asker


@asynccontextmanager
async def liar(folder: Path, reply: bytes) -> AsyncIterator[Witness]:
    """Answer every request with these bytes."""
    tls.ensure_pair(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file(folder), tls.key_file(folder))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Witness(WitnessKind.CLWITNESS, f"127.0.0.1:{port}", TIMEOUT_S, tls.pin(folder))
    finally:
        server.close()


def said(answer: str, epoch: object, holder: object) -> bytes:
    return json.dumps({"answer": answer, "epoch": epoch, "holder": holder}).encode() + b"\n"


LIES = [
    b"",
    b"granted",
    b"\n",
    b"null\n",
    b"x" * 100_000,
    b'{"answer": "granted"}\n',
    said("granted", 6, "node1"),
    said("granted", 8, "node1"),
    said("granted", 7, "node2"),
    b'{"answer": "granted", "epoch": true, "holder": "node1"}\n',
    said("granted", "7", "node1"),
    said("denied", 7, "node1"),
    said("denied", 6, "node2"),
    said("denied", 2**63, "node2"),
    said("denied", 8, ""),
    said("seen", 7, "node1"),
    said("failed", 7, "node1"),
    said("a word of a newer version", 7, "node1"),
    b'{"answer": "failed", "why": "disk is full", "mend": "see its disk"}\n',
    b'{"answer": ["granted"], "epoch": 7, "holder": "node1"}\n',
]


@pytest.mark.parametrize("reply", LIES, ids=lambda reply: ascii(reply[:60]))
async def test_a_reply_that_makes_no_sense_is_no_answer(
    tmp_path: Path, certificates: Path, reply: bytes
) -> None:
    async with liar(tmp_path, reply) as witness:
        node = asker(certificates, "node1")
        answer = await node.grant(witness, 7, timeout_s=TIMEOUT_S)
        assert answer.answer is Answer.UNREACHABLE
        assert len(answer.why) > 40
        node.close()


async def test_what_a_newer_service_says_besides_is_passed_over(
    tmp_path: Path, certificates: Path
) -> None:
    reply = json.dumps({"answer": "granted", "epoch": 7, "holder": "node1", "newer": {"a": [1]}})
    async with liar(tmp_path, reply.encode() + b"\n") as witness:
        node = asker(certificates, "node1")
        assert (await node.grant(witness, 7, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
        node.close()


def test_what_a_newer_node_asks_besides_is_passed_over() -> None:
    asked = {"ask": "grant", "cluster": "shop", "epoch": 7, "node": "node1", "newer": 1}
    assert parse(json.dumps(asked).encode()) == Grant("shop", 7, "node1")


HELD = base64.b64encode(b'{"epoch": 7, "holder": "node2"}').decode()
ETCD_SAYS = json.dumps({"header": {}, "kvs": [{"mod_revision": "3", "value": HELD}]})


@pytest.mark.parametrize("pin", ["right", "wrong", "none"])
async def test_an_etcd_behind_https_is_believed_with_the_pinned_certificate_alone(
    tmp_path: Path, certificates: Path, pin: str
) -> None:
    """Without a pin the system's own authorities decide, and they do not know this one."""
    async with liar(tmp_path, f"HTTP/1.0 200 OK\r\n\r\n{ETCD_SAYS}".encode()) as behind:
        pins = {"right": behind.pin, "wrong": "ab" * 32, "none": ""}
        url = f"https://{behind.at}"
        witness = Witness(WitnessKind.ETCD, url, TIMEOUT_S, pins[pin])
        answer = await asker(certificates, "node1").grant(witness, 7, timeout_s=TIMEOUT_S)
    expected = Answer.DENIED if pin == "right" else Answer.UNREACHABLE
    assert answer.answer is expected, answer


@pytest.mark.parametrize("reply", [b"", b"{}\n", b'{"answer": "failed", "why": "?"}\n'])
async def test_a_join_without_a_clear_reply_may_have_happened(
    tmp_path: Path, certificates: Path, reply: bytes
) -> None:
    async with liar(tmp_path, reply) as witness:
        outcome = await join(witness, "shop", "code", [certificates / f"{NODES[0]}.crt"])
        assert isinstance(outcome, Unknown), outcome


async def test_a_join_that_cannot_begin_changes_nothing(tmp_path: Path) -> None:
    nobody = Witness(WitnessKind.CLWITNESS, "127.0.0.1:9", TIMEOUT_S, "0" * 64)
    etcd = Witness(WitnessKind.ETCD, "http://127.0.0.1:9")
    (tmp_path / "node1.crt").write_text("a certificate")
    for outcome in (
        await join(nobody, "shop", "code", [tmp_path / "node1.crt"]),
        await join(nobody, "shop", "code", [tmp_path / "gone.crt"]),
        await join(etcd, "shop", "code", [tmp_path / "node1.crt"]),
    ):
        assert isinstance(outcome, Refused)
