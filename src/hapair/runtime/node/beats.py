"""What a heartbeat looks like on the wire: never longer than one datagram.

Everything in it is of a fixed size but the names of the resources that the sender writes without
the receiver. What does not fit is told in *pages*: each is a heartbeat of its own with a part of
the names, and with the digest of all of them, by which the receiver knows when it has the whole
list. Who does not know pages takes each for a heartbeat with a shorter list, which is true.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from hapair.core.words.events import Beat
from hapair.core.words.protocol import FORMER
from hapair.model.status import Standing
from hapair.ports.peer import HEARTBEAT_BYTES_MAX
from hapair.rpc.messages import Malformed
from hapair.runtime.codec import dumps, loads

DIGEST_BYTES: Final = 8
PAGES_MAX: Final = 1000
LISTS_MAX: Final = 4  # The networks deliver lists that follow each other in any order.
# Most of what an idle daemon does is to send and read heartbeats, which say the same for hours.
cache_of_recent: Final = lru_cache(maxsize=8)
cache_of_pages: Final = lru_cache(maxsize=64)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One datagram: a ``Beat``, or one page of it."""

    incarnation: int
    echo: int
    standing: Standing
    epoch: int
    unprotected: tuple[str, ...] = ()  # Those of this page.
    losses: int = 0
    digest: str = ""  # Of the whole list; an older version, or one page, says none.
    page: int = 0
    pages: int = 1
    cannot_store: bool = False
    protocol: int = FORMER
    idle: bool = False


@cache_of_recent
def bodies(beat: Beat) -> tuple[bytes, ...]:
    """Return the datagrams that say it, none longer than ``HEARTBEAT_BYTES_MAX``."""
    whole = dumps(beat)
    if len(whole) <= HEARTBEAT_BYTES_MAX:
        return (whole,)
    names = beat.unprotected or ()
    empty = Spoken(beat.incarnation, beat.echo, beat.standing, beat.epoch, (), beat.losses,
                   digest_of(names), PAGES_MAX, PAGES_MAX, beat.cannot_store,
                   beat.protocol, beat.idle)  # fmt: skip
    pages = tuple(_pages(names, HEARTBEAT_BYTES_MAX - len(dumps(empty))))
    return tuple(
        dumps(replace(empty, unprotected=part, page=number, pages=len(pages)))
        for number, part in enumerate(pages)
    )


def _pages(names: tuple[str, ...], room: int) -> Iterator[tuple[str, ...]]:
    """Divide names into parts whose JSON has room; a name that alone has none is a part."""
    part: list[str] = []
    taken = 0
    for name in names:
        takes = len(json.dumps(name)) + 1
        if part and taken + takes > room:
            yield tuple(part)
            part, taken = [], 0
        part.append(name)
        taken += takes
    yield tuple(part)


def digest_of(names: tuple[str, ...]) -> str:
    content = json.dumps(names).encode()
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()


@dataclass(slots=True)
class Listener:
    """Puts the pages of the peer's lists together."""

    _lists: dict[tuple[str, int], dict[int, tuple[str, ...]]] = field(default_factory=dict)

    def read(self, body: bytes) -> Beat:
        """Return what an authenticated body says, as far as it has come; Malformed."""
        spoken = _read(body)
        names: tuple[str, ...] | None = spoken.unprotected
        if spoken.pages > 1:
            names = self._whole_list(spoken)
        return Beat(spoken.incarnation, spoken.echo, spoken.standing, spoken.epoch, names,
                    spoken.losses, spoken.cannot_store, spoken.protocol, spoken.idle)  # fmt: skip

    def _whole_list(self, spoken: Spoken) -> tuple[str, ...] | None:
        key = (spoken.digest, spoken.pages)
        known = self._lists.pop(key, {})
        known[spoken.page] = spoken.unprotected
        self._lists[key] = known  # Again the newest one.
        if len(self._lists) > LISTS_MAX:
            del self._lists[next(iter(self._lists))]
        if len(known) < spoken.pages:
            return None
        names = tuple(name for page in sorted(known) for name in known[page])
        return names if digest_of(names) == spoken.digest else None


@cache_of_pages
def _read(body: bytes) -> Spoken:
    spoken = loads(Spoken, body)
    if not 1 <= spoken.pages <= PAGES_MAX or not 0 <= spoken.page < spoken.pages:
        raise Malformed(f"page {spoken.page} of {spoken.pages}")
    return spoken
