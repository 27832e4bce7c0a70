"""The version after this one, as far as others see it: members, words and a feature more.

It is made of this one: what it says is what this one would say, put into its own words. So what it
reads of its own must come back as it was said.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Final, TypeVar

from hapair.config.codec import FIRST_FORMAT, FORMAT, decode, encode
from hapair.core.words.events import PeerState
from hapair.core.words.protocol import PROTOCOL, Speaks, needs

T = TypeVar("T")

FEATURE: Final = "next-thing"
MEMBER: Final = "next_member"
VALUE: Final = {"of": [1, "two", None], "is": "Next"}
# Its new words, each beside the one of ours that it stands for. It uses them without asking whether
# its peer knows them, which no version should: the worst that an older one has to bear.
WORDS: Final = {
    "standing": {"leaving": "draining"},
    "phase": {"starting": "warming-up", "stopping": "draining"},
    "wanted": {"up": "up-and-watched"},
    "trust": {"anew": "anew-in-parts"},
}
# As what this version reads them.
SAFE: Final = {
    "standing": "unknown",
    "phase": "unknown",
    "wanted": "up",
    "trust": "nobody knows",
}


@dataclass(frozen=True, slots=True)
class NextState(PeerState):
    """What the next version states: to who knows its feature, in a form that others refuse."""

    format: int = field(default=FIRST_FORMAT, metadata=needs(FEATURE))


def as_next_state(state: PeerState) -> NextState:
    members = {each.name: getattr(state, each.name) for each in fields(state) if each.init}
    return NextState(**members | {FORMAT: FIRST_FORMAT + 1})


def spoken_by(state: PeerState) -> Speaks:
    """Return what the version speaks that states this."""
    if not isinstance(state, NextState):
        return state.speaks
    return replace(state.speaks, features=(*state.speaks.features, FEATURE))


def as_next(data: object, name: str = "") -> object:
    """Return what the next version writes where this one writes ``data``."""
    if isinstance(data, dict):
        members = {key: as_next(each, key) for key, each in data.items()}
        return {MEMBER: VALUE, **members}  # First, where ours would look for what names a record.
    if isinstance(data, list):
        items = [as_next(each, name) for each in data]
        return [*items, FEATURE] if name == "features" else items
    if name == "protocol" and data == PROTOCOL:
        return PROTOCOL + 1
    return WORDS.get(name, {}).get(data, data) if isinstance(data, str) else data


def read_by_next(data: object, name: str = "") -> object:
    """Return what this version would have written, of what the next one, or this one, wrote."""
    if isinstance(data, dict):
        ours = {key: each for key, each in data.items() if key not in (MEMBER, FORMAT)}
        return {key: read_by_next(each, key) for key, each in ours.items()}
    if isinstance(data, list):
        return [read_by_next(each, name) for each in data if each != FEATURE]
    if name == "protocol" and data == PROTOCOL + 1:
        return PROTOCOL
    ours = {theirs: our for our, theirs in WORDS.get(name, {}).items()}
    return ours.get(data, data) if isinstance(data, str) else data


def read_by_this(data: object, name: str = "") -> object:
    """Return what this version makes of what the next one wrote."""
    if isinstance(data, dict):
        return {key: read_by_this(each, key) for key, each in data.items() if key != MEMBER}
    if isinstance(data, list):
        return [read_by_this(each, name) for each in data]
    return SAFE[name] if data in WORDS.get(name, {}).values() else data


def said_by_next(value: object) -> object:
    return as_next(encode(value))


def understood_by_next(kind: type[T], data: object) -> T:
    return decode(kind, read_by_next(data))
