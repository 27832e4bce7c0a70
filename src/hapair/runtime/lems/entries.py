"""The changes of an application as JSON, which two versions share.

What a newer version changed and this one does not understand counts for nothing here, and stays
as it is written: in the file, in what the peer is told, and when something else is changed.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hapair.config import codec
from hapair.rpc.messages import JsonObject, Malformed
from hapair.runtime.codec import decode, encode
from hapair.runtime.lems.changes import Added, Changes, Strange

APPLICATIONS: Final = "applications"
ADDED: Final = "added"
STRANGE: Final = "strange"
HEAD: Final = ("application", "version", "wall_s", "node")  # No version may mean something else.


@dataclass(frozen=True, slots=True)
class Entry:
    """The changes of one application, as they are understood and as they are written."""

    changes: Changes
    written: JsonObject
    understood: bool = True  # Else the changes are only whose they are, and how new.

    @property
    def unknown(self) -> str:
        """Say what is not understood of it; empty: all is."""
        if not self.understood:
            return "any of it"
        return ", ".join(each.name for each in self.changes.strange)


def written_as(changes: Changes, former: Entry | None) -> Entry:
    """Return the entry to write, with what only a newer version knows of the former one."""
    members = encode(changes)
    del members[STRANGE]
    if former is not None:
        members = codec.kept(Changes, former.written, members)
    added = members[ADDED]
    known = added if isinstance(added, list) else []
    members[ADDED] = [*known, *(json.loads(each.written) for each in changes.strange)]
    return Entry(changes, members)


def read_entries(told: object) -> tuple[Entry, ...]:
    """Read what lies in the file, and what the peer tells; Malformed."""
    if not isinstance(told, dict) or not isinstance(each := told.get(APPLICATIONS), list):
        raise Malformed(f'no list "{APPLICATIONS}"')
    if told.get(codec.FORMAT, codec.FIRST_FORMAT) != codec.FIRST_FORMAT:
        raise Malformed("a newer version wrote it")
    return tuple(map(_entry, each))


def all_of(entries: Iterable[Entry]) -> JsonObject:
    """Return what ``read_entries`` reads."""
    return {APPLICATIONS: [each.written for each in entries]}


def dump_entries(entries: Iterable[Entry]) -> bytes:
    """Return the file's content."""
    return json.dumps(all_of(entries), separators=(",", ":")).encode()


def _entry(written: object) -> Entry:
    if not isinstance(written, dict):
        raise Malformed("no changes of an application")
    try:
        return Entry(_changes(written), written)
    except Malformed:
        head = {name: written[name] for name in HEAD if name in written}
        return Entry(decode(Changes, head), written, understood=False)


def _changes(written: JsonObject) -> Changes:
    added = written.get(ADDED, [])
    each = [(one, _strange(one)) for one in (added if isinstance(added, list) else [])]
    known = {**written, ADDED: [one for one, strange in each if strange is None]}
    known.pop(STRANGE, None)
    return replace(
        decode(Changes, known), strange=tuple(strange for _, strange in each if strange is not None)
    )


def _strange(added: object) -> Strange | None:
    """Return a monitor that is not understood here; None: it is. Malformed: it has no name."""
    try:
        decode(Added, added)
    except Malformed:
        match added:
            case {"monitor": {"name": str(name)}}:
                return Strange(name, json.dumps(added, separators=(",", ":")))
            case _:
                raise
    return None
