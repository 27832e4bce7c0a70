"""A URL answers. Of Python's own client each process would hold more than a megabyte."""

import re
import socket
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hapair.lems.answers import Answer, Said, failed, good, unknown
from hapair.lems.files import NOT_NOW
from hapair.lems.loop import boot_s
from hapair.model.monitor import HttpProbe, Trouble

if TYPE_CHECKING:
    import ssl

ANSWER_BYTES_MAX: Final = 1 << 16
CHUNK_BYTES: Final = 1 << 14
DAY_S: Final = 86400
_URL: Final = re.compile(r"(https?)://(\[[^\]]*\]|[^/:]*)(?::([0-9]+))?(/.*)?")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")


@dataclass(frozen=True, slots=True)
class Http:
    probe: HttpProbe
    timeout_s: float
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        return self.look

    def asked(self) -> str:
        return self.probe.url

    def close(self) -> None:
        """Keep nothing open."""

    def look(self) -> Answer:
        begun_s = boot_s()
        try:
            answer, days = self._answer(begun_s + self.timeout_s)
        except TimeoutError:
            return failed(f"{self.probe.url} gave no answer within {self.timeout_s:g} s")
        except socket.gaierror as error:  # That is a name server's trouble.
            return unknown(f"{self.probe.url}: {error.strerror or error}")
        except OSError as error:
            if error.errno in NOT_NOW:
                raise
            # No restart and no move makes a certificate valid.
            invalid = type(error).__name__ == "SSLCertVerificationError"
            trouble = Trouble.DATA if invalid else Trouble.PROGRAM
            return failed(f"{self.probe.url}: {error.strerror or error}", trouble)
        perf = {"time": f"{boot_s() - begun_s:.3f}s", "size": f"{len(answer)}B"}
        return self._judged(answer, days, perf)

    def _judged(self, answer: bytes, days: int | None, perf: dict[str, str]) -> Answer:
        probe = self.probe
        if not (found := _STATUS.match(answer)):
            return failed(f"{probe.url} does not speak HTTP")
        if int(found.group(1)) != probe.status:
            wanted = f"instead of {probe.status}"
            return failed(f"{probe.url} answers {found.group(1).decode()} {wanted}")
        if probe.text and probe.text.encode() not in body(answer):
            return failed(f'"{probe.text}" is not in the answer of {probe.url}')
        if days is not None and days < probe.certificate_days:
            text = f"the certificate of {probe.url} is valid for {days} more days"
            return Answer("warning", text, perf=perf)
        return good(f"{probe.url} answers {probe.status}", perf)

    def _answer(self, until_s: float) -> tuple[bytes, int | None]:
        """Return the answer, and for how many days the certificate is valid if that matters."""
        found = _URL.fullmatch(self.probe.url)
        if found is None:
            raise OSError("this is no URL")
        scheme, host, written, path = found.groups()
        port = int(written or {"http": 80, "https": 443}[scheme])
        name, days = host.strip("[]"), None
        plain = _connected(name, port, until_s)
        with closing(plain):
            line: socket.socket = plain
            if scheme == "https":
                wrapped = self._context().wrap_socket(plain, server_hostname=name)
                if self.probe.certificate_days:
                    days = _days_left(wrapped)
                line = wrapped
            with closing(line):
                line.sendall(_request(path or "/", host if not written else f"{host}:{written}"))
                return _received(line, until_s), days

    def _context(self) -> "ssl.SSLContext":
        import ssl  # noqa: PLC0415 - some megabytes, for those alone that need it

        if self.probe.certificate_days:
            return ssl.create_default_context()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _connected(name: str, port: int, until_s: float) -> socket.socket:
    """Return a connection to the first address of the name that answers; OSError of the last."""
    refused: OSError = OSError(f"{name} has no address")
    for family, kind, _, _, place in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
        if (left_s := until_s - boot_s()) <= 0:
            raise TimeoutError
        made = socket.socket(family, kind)
        try:
            made.settimeout(left_s)
            made.connect(place)
        except OSError as error:
            made.close()
            refused = error
        else:
            return made
    raise refused


def _days_left(line: "ssl.SSLSocket") -> int:
    import ssl  # noqa: PLC0415 - it is there already

    told = line.getpeercert() or {}
    return int((ssl.cert_time_to_seconds(str(told["notAfter"])) - time.time()) // DAY_S)


def _request(path: str, host: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: hapair", "Accept: */*")
    return "\r\n".join((*lines, "Connection: close", "", "")).encode()


def _received(line: socket.socket, until_s: float) -> bytes:
    received = bytearray()
    while len(received) < ANSWER_BYTES_MAX:
        if (left_s := until_s - boot_s()) <= 0:
            raise TimeoutError
        line.settimeout(left_s)
        if not (chunk := line.recv(CHUNK_BYTES)):
            break
        received += chunk
    return bytes(received)


def body(answer: bytes) -> bytes:
    """Return what follows the head; of one in chunks as much as has come."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return rest
    whole = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        try:
            count = int(size.split(b";")[0], 16)
        except ValueError:
            break
        whole += rest[:count]
        rest = rest[count + 2 :]
    return bytes(whole)
