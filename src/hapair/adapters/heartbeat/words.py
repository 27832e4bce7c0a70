"""What the daemon and its heart say to each other, through a pair of sockets.

Each frame is its length, a kind and its content, in the byte order of this machine.
"""

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

from hapair.adapters.heartbeat.sockets import Arrived
from hapair.ports.peer import Saying

_LENGTH: Final = struct.Struct("=I")
_TIME: Final = struct.Struct("=d")
_SAYING: Final = struct.Struct("=dQHH")  # Decided at, incarnation, how many bodies of each kind.
_BODY: Final = struct.Struct("=H")
_HEARD: Final = struct.Struct("=dQQH")  # When, incarnation, sequence, length of the network's name.
_TWO: Final = struct.Struct("=QQ")
SAY: Final = b"S"
DECIDED: Final = b"D"
INTRODUCE: Final = b"I"
HEARD: Final = b"H"
REJECTED: Final = b"R"

Frame: TypeAlias = tuple[bytes, bytes]  # Kind and content.


def _frame(kind: bytes, content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + kind + content


def say(saying: Saying, at_s: float) -> bytes:
    head = _SAYING.pack(at_s, saying.incarnation, len(saying.bodies), len(saying.deaf))
    parts = (_BODY.pack(len(body)) + body for body in (*saying.bodies, *saying.deaf))
    return _frame(SAY, head + b"".join(parts))


def read_say(content: bytes) -> tuple[Saying, float]:
    at_s, incarnation, count, deaf = _SAYING.unpack_from(content)
    bodies: list[bytes] = []
    start = _SAYING.size
    for _ in range(count + deaf):
        (length,) = _BODY.unpack_from(content, start)
        start += _BODY.size
        bodies.append(content[start : start + length])
        start += length
    return Saying(incarnation, tuple(bodies[:count]), tuple(bodies[count:])), at_s


def decided(at_s: float) -> bytes:
    return _frame(DECIDED, _TIME.pack(at_s))


def read_decided(content: bytes) -> float:
    at_s: float = _TIME.unpack(content)[0]
    return at_s


def heard(arrived: Arrived, at_s: float) -> bytes:
    name = arrived.network.encode()
    head = _HEARD.pack(at_s, arrived.incarnation, arrived.sequence, len(name))
    return _frame(HEARD, head + name + arrived.body)


def read_heard(content: bytes) -> tuple[Arrived, float]:
    at_s, incarnation, sequence, length = _HEARD.unpack_from(content)
    end = _HEARD.size + length
    network = content[_HEARD.size : end].decode()
    return Arrived(network, incarnation, sequence, content[end:]), at_s


def introduce(incarnation: int, highest: int) -> bytes:
    return _frame(INTRODUCE, _TWO.pack(incarnation, highest))


def rejected(count: int, older: int) -> bytes:
    return _frame(REJECTED, _TWO.pack(count, older))


def read_two(content: bytes) -> tuple[int, int]:
    """Read what ``introduce`` or ``rejected`` was given."""
    first, second = _TWO.unpack(content)
    return first, second


class Frames:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def cut(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that ``chunk`` completes."""
        self._rest += chunk
        while len(self._rest) > _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            end = _LENGTH.size + 1 + length
            if len(self._rest) < end:
                return
            frame = bytes(self._rest[:end])
            del self._rest[:end]
            yield frame[_LENGTH.size : _LENGTH.size + 1], frame[_LENGTH.size + 1 :]
