"""One HTTP request as etcd's gateway wants it: a JSON object there, a JSON object back."""

import asyncio
import hashlib
import json
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

from hapair.adapters.witness.clwitness import WitnessFiles, client_context
from hapair.adapters.witness.words import JsonObject, NoAnswer, object_of

ANSWER_BYTES_MAX: Final = 1 << 16
PORTS: Final = {"http": 80, "https": 443}
OK: Final = 200


def url_of(written: str) -> SplitResult:
    try:
        url = urlsplit(written.rstrip("/"))
        if url.scheme in PORTS and url.hostname and (url.port or 1) > 0 and written.isprintable():
            return url
    except ValueError:  # The port, or what stands in brackets, is wrong.
        pass
    raise NoAnswer(f"{written!r} is no URL", 'write at="http://10.0.0.7:2379"')


def _context(pin: str, files: WitnessFiles) -> ssl.SSLContext:
    """Trust the pinned certificate when there is a pin, else those that the system trusts."""
    if pin:
        return client_context(files)
    if (known := files.contexts.get("trusted")) is not None:
        return known
    context = ssl.create_default_context()
    try:
        context.load_cert_chain(files.certificate, files.key)
    except OSError as error:
        raise NoAnswer(f"{files.certificate}: {error}", "clbuild makes it") from None
    files.contexts["trusted"] = context
    return context


async def post(
    url: SplitResult, path: str, content: JsonObject, *, pin: str, files: WitnessFiles
) -> JsonObject:
    """Return the answer's JSON object; NoAnswer or OSError when there is none."""
    secure = url.scheme == "https"
    port = url.port or PORTS[url.scheme]
    reader, writer = await asyncio.open_connection(
        url.hostname, port, ssl=_context(pin, files) if secure else None, limit=ANSWER_BYTES_MAX
    )
    try:
        if secure and pin:
            presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            if hashlib.sha256(presented).hexdigest() != pin.lower().replace(":", ""):
                raise NoAnswer(f"{url.hostname} presented another certificate than the pinned one")
        body = json.dumps(content).encode()
        # Version 1.0: the answer ends with the connection and never comes in chunks.
        head = (
            f"POST {url.path}{path} HTTP/1.0\r\nHost: {url.netloc.rpartition('@')[2]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode("ascii", "replace") + body)
        return _answer(await _to_the_end(reader), url)
    except (ssl.SSLError, ConnectionError) as error:
        raise _turned_away(url, error) if secure else error from None
    finally:
        writer.transport.abort()


def _turned_away(url: SplitResult, error: OSError) -> NoAnswer:
    """Say why a server ended a connection after the handshake.

    That is when TLS 1.3 shows it our certificate; its alert may get lost in the reset that follows.
    """
    where = f"{url.hostname}:{url.port or PORTS[url.scheme]}"
    reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
    return NoAnswer(
        f"{where} let nobody in with this node's certificate ({reason})",
        "if it wants to know its clients, /etc/cluster/keys/node.crt of both nodes belongs into the"
        " file of its --trusted-ca-file",
    )


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    while chunk := await reader.read(ANSWER_BYTES_MAX):
        found += chunk
        if len(found) > ANSWER_BYTES_MAX:
            raise NoAnswer(f"its answer is longer than {ANSWER_BYTES_MAX} bytes; is it etcd?")
    return bytes(found)


def _answer(received: bytes, url: SplitResult) -> JsonObject:
    where = f"{url.hostname}:{url.port or PORTS[url.scheme]}"
    head, _, body = received.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version and status
        raise NoAnswer(f"{where} does not speak HTTP: {received[:60]!r}")
    if int(words[1]) != OK:
        status = b" ".join(words[1:]).decode("latin-1")
        raise NoAnswer(f"{where} answers {status}: {body[:200].decode('utf-8', 'replace').strip()}")
    return object_of(body, f"the answer of {where}")
