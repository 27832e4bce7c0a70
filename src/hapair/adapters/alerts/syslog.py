"""Write a letter to syslog: this machine's, or a server's as RFC 5424 says."""

import socket
from datetime import UTC, datetime
from typing import Final

from hapair.adapters.alerts.means import Means, host_and_port
from hapair.model.alerts import Carrier, Kind, Letter, Level, Message, Receiver

DAEMON: Final = 3 << 3  # The facility.
CRITICAL: Final = 2
WARNING: Final = 4
NOTICE: Final = 5
BYTES_MAX: Final = 2048  # RFC 5424: each receiver should take so many.


def send(receiver: Receiver, letter: Letter, means: Means) -> None:
    """Return when it was handed over; OSError."""
    if not receiver.to:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(receiver.timeout_s)
            connection.connect(str(means.log))
            for message in letter.messages:
                text = f"<{priority(message)}>hapair: {text_of(message)}"
                connection.send(text.encode()[:BYTES_MAX])
        return
    kind = socket.SOCK_STREAM if receiver.carrier is Carrier.TCP else socket.SOCK_DGRAM
    place = host_and_port(receiver.to)
    family, _, _, _, address = socket.getaddrinfo(*place, type=kind)[0]
    with socket.socket(family, kind) as connection:
        connection.settimeout(receiver.timeout_s)
        connection.connect(address)
        for message in letter.messages:
            frame = frame_of(message)
            # RFC 6587: a stream needs to know where a message ends.
            counted = f"{len(frame)} ".encode() + frame
            connection.sendall(counted if receiver.carrier is Carrier.TCP else frame)


def priority(message: Message) -> int:
    if message.kind in {Kind.OVER, Kind.TEST}:
        return DAEMON + NOTICE
    return DAEMON + (CRITICAL if message.level is Level.ALARM else WARNING)


def text_of(message: Message) -> str:
    to_do = f" - {message.to_do}" if message.to_do else ""
    text = f"{message.kind} {message.level}: {message.about}: {message.text}{to_do}"
    return " ".join(text.split())


def frame_of(message: Message) -> bytes:
    moment = datetime.fromtimestamp(message.at_s, UTC).isoformat(timespec="milliseconds")
    head = f"<{priority(message)}>1 {moment} {message.node or '-'} hapair - {message.kind} - "
    return (head.encode() + b"\xef\xbb\xbf" + text_of(message).encode())[:BYTES_MAX]
