"""Real receivers on the loopback device: a mail server, a web server, a syslog."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
CODES: Final = {"EHLO": "250-there\r\n250-STARTTLS\r\n250 AUTH PLAIN", "QUIT": "221 bye"}


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each connection in a thread; yield the port."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def served(connection: socket.socket) -> None:
            with connection, suppress(OSError):  # The client has gone.
                serve(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=served, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@dataclass
class MailServer:
    """Speaks enough SMTP for a client of Python's; ``answer`` is what it says to a mail."""

    context: ssl.SSLContext | None = None
    tls_at_once: bool = False
    answer: str = "250 taken"
    to_sender: str = "250 fine"
    mails: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        if self.tls_at_once and self.context is not None:
            with self.context.wrap_socket(connection, server_side=True) as secure:
                self._talk(secure, b"220 here\r\n")
        else:
            self._talk(connection, b"220 here\r\n")

    def _talk(self, connection: socket.socket, greeting: bytes) -> None:
        connection.sendall(greeting)
        with connection.makefile("rb") as lines:
            while line := lines.readline().decode().strip():
                self.heard.append(line)
                word = line.split(" ")[0].upper()
                if word == "STARTTLS" and self.context is not None:
                    connection.sendall(b"220 go\r\n")
                    with self.context.wrap_socket(connection, server_side=True) as secure:
                        self._talk(secure, b"")
                    return
                if word == "DATA":
                    connection.sendall(b"354 go\r\n")
                    mail = b""
                    while not mail.endswith(b"\r\n.\r\n"):
                        mail += lines.readline()
                    self.mails.append(mail.decode())
                    connection.sendall(f"{self.answer}\r\n".encode())
                elif word == "MAIL":
                    connection.sendall(f"{self.to_sender}\r\n".encode())
                else:
                    code = "235 welcome" if word == "AUTH" else "250 fine"
                    connection.sendall(f"{CODES.get(word, code)}\r\n".encode())


class WebServer(HTTPServer):
    status = 200

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.posts: list[tuple[str, dict[str, str], str]] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, WebServer)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.posts.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def web(context: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    with WebServer(context) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def program(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file
