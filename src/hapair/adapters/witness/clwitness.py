"""Ask our own TLS service. One connection is kept, so that a grant costs one round trip."""

import asyncio
import hashlib
import json
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair.adapters.witness.words import (
    Asker,
    JsonObject,
    NoAnswer,
    denied,
    granted,
    object_of,
    record_of,
    seen,
)
from hapair.model.cluster import Witness
from hapair.model.witness import WitnessAnswer

REPLY_BYTES_MAX: Final = 4096
# A kept connection may be dead without a word; what is left of the time is for a new one.
SHARE_OF_KEPT: Final = 0.4
STAGGER_S: Final = 0.2  # Between the addresses of a name.
KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
JOIN_MEND: Final = (
    "on the witness type clwitness invite CLUSTER, then here clbuild --witness-code CODE"
)


@dataclass(frozen=True, slots=True)
class WitnessFiles:
    """The node's own pair: the witness knows the cluster by its nodes' certificates."""

    certificate: Path
    key: Path
    # Read once: who is cut off asks just when a disk may hang. Other files are another object.
    contexts: dict[str, ssl.SSLContext] = field(default_factory=dict, compare=False, repr=False)


class Line:
    """One open connection to the service; a request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: JsonObject) -> JsonObject:
        self._writer.write(json.dumps(request).encode() + b"\n")
        try:
            line = await self._reader.readline()
        except ValueError:
            raise NoAnswer("its reply is too long; is this a clwitness?") from None
        except ssl.SSLError as error:
            raise _refused_by_tls(error) from None
        if not line.endswith(b"\n"):
            raise ConnectionResetError("it closed the connection without an answer")
        return object_of(line, "its reply")

    def close(self) -> None:
        self._writer.transport.abort()


def _refused_by_tls(error: ssl.SSLError) -> NoAnswer:
    reason = error.reason or str(error)
    if "UNKNOWN_CA" in reason or "CERTIFICATE" in reason:
        return NoAnswer("it does not know this node's certificate", JOIN_MEND)
    return NoAnswer(f"TLS: {reason}")


def host_and_port(at: str) -> tuple[str, int]:
    host, _, port = at.strip().rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise NoAnswer(f"{at!r} is not host:port", 'write at="witness.example.net:7790"')
    return host.removeprefix("[").removesuffix("]"), int(port)


def client_context(files: WitnessFiles | None) -> ssl.SSLContext:
    """Return a context whose user compares the server's certificate with the pin."""
    if files is not None and (known := files.contexts.get("pinned")) is not None:
        return known
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # Exactly one certificate is accepted: the pinned one.
    if files is not None:
        try:
            context.load_cert_chain(files.certificate, files.key)
        except OSError as error:
            raise NoAnswer(f"{files.certificate}: {error}", "clbuild makes it") from None
        files.contexts["pinned"] = context
    return context


async def dial(witness: Witness, files: WitnessFiles | None) -> Line:
    """Connect, and go on only with the pinned certificate; NoAnswer or OSError otherwise."""
    host, port = host_and_port(witness.at)
    if not witness.pin:
        raise NoAnswer("it has no pin", "copy the whole line that clwitness invite printed")
    try:
        reader, writer = await asyncio.open_connection(
            host,
            port,
            ssl=client_context(files),
            server_hostname="",
            limit=REPLY_BYTES_MAX,
            happy_eyeballs_delay=STAGGER_S,
        )
    except ssl.SSLError as error:
        raise _refused_by_tls(error) from None
    presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    found = hashlib.sha256(presented).hexdigest()
    if found != witness.pin.lower().replace(":", ""):
        writer.transport.abort()
        raise NoAnswer(
            f"it presented another certificate (SHA-256 {found}) than the pinned one",
            "somebody else answers there, or it was set up anew: see clwitness invite",
        )
    for level, option, value in KEEP_ALIVE:
        writer.get_extra_info("socket").setsockopt(level, option, value)
    return Line(reader, writer)


class ClwitnessClient:
    def __init__(self, witness: Witness, files: WitnessFiles) -> None:
        self._witness = witness
        self._files = files
        self._kept: Line | None = None

    async def grant(self, asker: Asker, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        reply = await self._exchange(
            {"ask": "grant", "cluster": asker.cluster, "epoch": epoch, "node": asker.node},
            timeout_s,
        )
        record = record_of(reply, "its reply")
        match reply.get("answer"):
            case "granted" if (record.epoch, record.holder) == (epoch, asker.node):
                return granted(epoch, asker.node)
            case "denied" if record.epoch > epoch:
                return denied(record)
            case "denied" if record.epoch == epoch and record.holder != asker.node:
                return denied(record)
            case _:
                raise NoAnswer(f"its reply to epoch {epoch} makes no sense: {str(reply)[:200]}")

    async def look(self, asker: Asker, *, timeout_s: float) -> WitnessAnswer:
        reply = await self._exchange({"ask": "look", "cluster": asker.cluster}, timeout_s)
        record = record_of(reply, "its reply")
        if reply.get("answer") != "seen":
            raise NoAnswer(f"its reply to a look makes no sense: {str(reply)[:200]}")
        return seen(record)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _exchange(self, request: JsonObject, timeout_s: float) -> JsonObject:
        """Ask over the kept connection, then over a new one: asking twice is harmless."""
        line, self._kept = self._kept, None  # A request meanwhile dials anew: it waits for nobody.
        if line is not None:
            try:
                async with asyncio.timeout(timeout_s * SHARE_OF_KEPT):
                    return await self._ask(line, request)
            except (OSError, NoAnswer):  # Includes the time-out.
                pass
        line = await dial(self._witness, self._files)
        try:
            return await self._ask(line, request)
        except (
            ConnectionError
        ):  # TLS 1.3 tells of an unwanted certificate only afterwards, if ever.
            raise NoAnswer(
                "it hung up: it does not know this node's certificate, or it is just ending",
                JOIN_MEND,
            ) from None

    async def _ask(self, line: Line, request: JsonObject) -> JsonObject:
        """Return its reply and keep the connection; close it after whatever else happens."""
        answered = False
        try:
            reply = await line.ask(request)
            refuse(reply)
            answered = True
        finally:
            if not answered or self._kept is not None:
                line.close()
            else:
                self._kept = line
        return reply


def refuse(reply: JsonObject) -> None:
    """Raise NoAnswer when the service says that it will not, or cannot, do what was asked."""
    if reply.get("answer") in ("refused", "failed"):
        mend = str(reply.get("mend", ""))[:400]
        raise NoAnswer(f"it answers: {str(reply.get('why', ''))[:400]}", mend)
