"""Receivers of alerts on ``outside``: a mail server, a web server, and ports for datagrams.

    receivers.py /run/told ["words that are refused"]

Each thing that comes is one line of JSON in that file: by which way, and what it says. A mail or a
post with those words is refused for good, as by a filter of contents.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

MAIL_PORT = 25
WEB_PORT = 80
DATAGRAM_PORTS = {"syslog": 514, "hook": 9002}
TURN = threading.Lock()


def note(told: Path, way: str, text: str) -> None:
    with TURN, told.open("a") as file:
        file.write(json.dumps({"way": way, "text": text}) + "\n")


def refuses(text: str) -> bool:
    return any(words in text for words in sys.argv[2:])


def take_mail(client: socket.socket, told: Path) -> None:
    with client, client.makefile("rb") as lines:
        client.sendall(b"220 outside\r\n")
        while line := lines.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                client.sendall(b"354 go on\r\n")
                mail = b""
                while not mail.endswith(b"\r\n.\r\n"):
                    mail += lines.readline()
                if refuses(mail.decode()):
                    client.sendall(b"554 5.7.1 not this\r\n")
                    continue
                note(told, "mail", mail.decode())
            client.sendall(b"221 bye\r\n" if word == "QUIT" else b"250 fine\r\n")


def take_mails(told: Path) -> None:
    with socket.create_server(("", MAIL_PORT)) as server:
        while True:
            client, _ = server.accept()
            threading.Thread(target=take_mail, args=(client, told), daemon=True).start()


class Poster(BaseHTTPRequestHandler):
    told: ClassVar[Path]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if not refuses(body):
            note(self.told, "webhook", body)
        self.send_response(403 if refuses(body) else 204)
        self.end_headers()


def take_datagrams(way: str, port: int, told: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        while True:
            note(told, way, server.recv(65535).decode())


def main(told: Path) -> None:
    threading.Thread(target=take_mails, args=(told,), daemon=True).start()
    for way, port in DATAGRAM_PORTS.items():
        threading.Thread(target=take_datagrams, args=(way, port, told), daemon=True).start()
    Poster.told = told
    HTTPServer(("", WEB_PORT), Poster).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
