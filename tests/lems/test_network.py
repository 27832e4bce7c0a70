"""Ports and URLs: real servers on this machine."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hapair.lems.answers import Answer
from hapair.lems.probes.http import Http, body
from hapair.lems.probes.tcp import Tcp
from hapair.model.monitor import HttpProbe, TcpProbe, Trouble
from tests.lems.running import ask


def tcp(address: str, port: int, timeout_s: float = 5.0) -> Answer:
    return ask(Tcp(TcpProbe(address, port), timeout_s))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_listens_on(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        assert tcp(address, port) == Answer("good", f"{address} port {port} accepts connections")
    assert tcp(address, port) == Answer("failed", f"{address} port {port}: Connection refused")


def test_a_port_whose_program_is_stopped_gives_no_answer() -> None:
    """The kernel accepts for it as long as there is room."""
    with socket.socket() as server, socket.socket() as first:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        first.connect(("127.0.0.1", port))
        answer = tcp("127.0.0.1", port, 0.3)
    assert answer == Answer("failed", f"127.0.0.1 port {port} gave no answer within 0.3 s")


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/missing":
                self.send_error(404)
            case "/chunks":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"4\r\nall \r\n9;x=y\r\nis well h\r\n3\r\nere\r\n0\r\n\r\n")
            case "/host":
                self._plain(self.headers["Host"].encode())
            case "/long":
                self._plain(b"x" * 100_000 + b"end")
            case _:
                self._plain(b"all is well")

    def _plain(self, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name there
        """Say nothing."""


@contextmanager
def served(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def http(url: str, status: int = 200, text: str = "", days: int = 0) -> Answer:
    return ask(Http(HttpProbe(url, status, text, days), 5.0))


def test_a_url_answers_with_its_status_and_text() -> None:
    with served() as port:
        url = f"http://127.0.0.1:{port}"
        answer = http(url, text="is well")
        assert (answer.state, answer.text) == ("good", f"{url} answers 200")
        assert set(answer.perf) == {"time", "size"}
        assert http(f"{url}/missing").text == f"{url}/missing answers 404 instead of 200"
        assert http(f"{url}/missing", 404).state == "good"
        assert http(url, text="is ill").text == f'"is ill" is not in the answer of {url}'
        assert http(f"{url}/chunks", text="well here").state == "good"
        assert http(f"{url}/host", text=f"127.0.0.1:{port}").state == "good"
        assert http(f"{url}/long", text="xend").state == "failed"
    assert http(url).text == f"{url}: Connection refused"


def test_a_server_that_says_nothing_or_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        probe = Http(HttpProbe(url), 0.3)
        assert ask(probe) == Answer("failed", f"{url} gave no answer within 0.3 s")

        def other() -> None:
            for _ in range(2):
                line, _ = server.accept()
                with closing(line):
                    line.recv(1000)
                    line.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=other)
        thread.start()
        assert http(url).text == f"{url} does not speak HTTP"
        thread.join()


def test_what_is_not_chunked_well_ends_where_it_breaks() -> None:
    head = b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert body(head + b"2\r\nab\r\nzz\r\ncd") == b"ab"
    assert body(b"HTTP/1.1 200\r\n\r\nab") == b"ab"


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    key, made = folder / "key", folder / f"certificate-{days}"
    subprocess.run(
        (
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", key, "-out", made, "-days", str(days), "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1",
        ),
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


def test_a_certificate_has_to_be_valid_for_so_many_more_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(certificate(tmp_path, 10)) as port:
        url = f"https://127.0.0.1:{port}/"
        assert http(url, text="well").state == "good", "it is not looked at"
        invalid = http(url, days=5)
        assert "certificate verify failed" in invalid.text, "nobody trusts it"
        assert (invalid.state, invalid.trouble) == ("failed", Trouble.DATA), "no restart mends it"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate-10"))
        assert http(url, days=5).state == "good"
        early = http(url, days=30)
        text = f"the certificate of {url} is valid for 9 more days"
        assert (early.state, early.text) == ("warning", text)


def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = socket.getaddrinfo

    def both(name: str, port: int, *, type: int) -> list[object]:  # noqa: A002 - the name there
        assert name == "localhost"
        return [each for one in ("::1", "127.0.0.1") for each in looked_up(one, port, type=type)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with served() as port:
        assert http(f"http://localhost:{port}/").state == "good"


def test_a_name_that_nobody_knows_is_no_failure_of_the_application() -> None:
    assert http("http://shop.invalid/").state == "unknown"
