"""state.json: what the core must not forget, as a file. The codec says how versions share one."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from hapair.config import codec
from hapair.core.words.stored import Stored
from hapair.rpc.messages import JsonObject

STATE: Final = "state.json"
NOTHING: Final[JsonObject] = {}
_KNOWN: Final = frozenset(field.name for field in fields(Stored))


def dump_state(stored: Stored, unknown: Mapping[str, object] = NOTHING) -> bytes:
    """Return the file's content, with the members of a newer version that it had before.

    What the previous version did not know is left out as long as there is nothing to say: that
    version can be installed again until then, and must not be afterwards.
    """
    members = codec.encode(stored)
    if not stored.foreign:
        del members["foreign"]
    return json.dumps({**unknown, **members}, separators=(",", ":")).encode()


def load_state(content: bytes) -> Stored:
    """Return what was dumped; DamagedError, or NewerFormatError if it must not be passed over."""
    return codec.decode(Stored, codec.loads(content))


def unknown_members(content: bytes | None) -> JsonObject:
    """Return what a newer version has written into a file that can be read, beside what we know."""
    written = codec.loads(content) if content is not None else None
    members = written if isinstance(written, dict) else NOTHING
    return {name: member for name, member in members.items() if name not in _KNOWN}
