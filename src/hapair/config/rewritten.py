"""A file of ours that is written again and again, and keeps what a newer version had in it."""

import json
from contextlib import suppress
from typing import Generic, TypeVar

from hapair.config import codec
from hapair.config.codec import DamagedError

T = TypeVar("T")


class Rewritten(Generic[T]):
    def __init__(self, kind: type[T], content: bytes | None, *, defaults: bool = True) -> None:
        """Take what lies there now; None, or what cannot be read: nothing that is to be kept.

        Without ``defaults`` members at their default are left out.
        """
        self._kind = kind
        self._defaults = defaults
        self._newer: object = None  # What lies there, if only a newer version knows all of it.
        with suppress(DamagedError):
            written = codec.loads(content or b"null")
            ours = codec.encode(codec.decode(kind, written), defaults=defaults)
            if codec.kept(kind, written, ours) != ours:
                self._newer = written

    def members(self, value: T) -> dict[str, object]:
        """Return what is to lie there now."""
        members = codec.encode(value, defaults=self._defaults)
        if self._newer is not None:
            self._newer = members = codec.kept(self._kind, self._newer, members)
        return members

    def dump(self, value: T) -> bytes:
        return json.dumps(self.members(value), separators=(",", ":")).encode()
