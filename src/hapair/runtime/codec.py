"""Turn values into JSON and back; bad bytes give Malformed, never anything else."""

import json
from typing import TypeVar

from hapair.config import codec
from hapair.config.codec import DamagedError, encode
from hapair.rpc.messages import Malformed

__all__ = ["Malformed", "decode", "dumps", "encode", "loads"]

T = TypeVar("T")


def dumps(value: object) -> bytes:
    return json.dumps(encode(value), separators=(",", ":")).encode()


def loads(kind: type[T], content: bytes) -> T:
    """Read what ``dumps`` wrote; raise Malformed naming the place that is wrong."""
    try:
        return codec.decode(kind, codec.loads(content))
    except DamagedError as error:
        raise Malformed(str(error)) from None


def decode(kind: type[T], value: object) -> T:
    """Read a part of a message that is already parsed."""
    try:
        return codec.decode(kind, value)
    except DamagedError as error:
        raise Malformed(str(error)) from None
