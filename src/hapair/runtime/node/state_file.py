"""state.json: what the core must not forget, as a file. The codec says how versions share one."""

import json
from typing import Final

from hapair.config import codec
from hapair.config.rewritten import Rewritten
from hapair.core.words.stored import Stored

STATE: Final = "state.json"


class StateFile:
    """Turns what is stored into the file's content, and keeps what a newer version had there."""

    def __init__(self, content: bytes | None) -> None:
        """Take what lies there now; None: nothing."""
        self._file = Rewritten(Stored, content)

    def dump(self, stored: Stored) -> bytes:
        """Return the file's content, with what only a newer version knows of the present one.

        What the previous version did not know is left out as long as there is nothing to say: that
        version can be installed again until then, and must not be afterwards.
        """
        members = self._file.members(stored)
        if not stored.foreign:
            members = {name: each for name, each in members.items() if name != "foreign"}
        return json.dumps(members, separators=(",", ":")).encode()


def dump_state(stored: Stored) -> bytes:
    """Return the content of a file in which nothing lies yet."""
    return StateFile(None).dump(stored)


def load_state(content: bytes) -> Stored:
    """Return what was dumped; DamagedError, or NewerFormatError if it must not be passed over."""
    return codec.decode(Stored, codec.loads(content))
