"""Reading JSON that another version of hapair may have written: what is absent is unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reader:
    """One JSON object. A field that is absent or of another kind reads as its default."""

    content: Json = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        value = self.content.get(name)
        return value if isinstance(value, str) else default

    def number(self, name: str) -> float | None:
        value = self.content.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value)

    def whole(self, name: str, default: int = 0) -> int:
        value = self.content.get(name)
        if isinstance(value, bool) or not isinstance(value, int):
            return default
        return value

    def flag(self, name: str) -> bool | None:
        value = self.content.get(name)
        return value if isinstance(value, bool) else None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.content.get(name)
        if not isinstance(value, list | tuple):
            return ()
        return tuple(item for item in value if isinstance(item, str))

    def inner(self, name: str) -> "Reader":
        return Reader(mapping(self.content.get(name)))

    def inners(self, name: str) -> "tuple[Reader, ...]":
        value = self.content.get(name)
        if not isinstance(value, list | tuple):
            return ()
        return tuple(Reader(mapping(item)) for item in value if isinstance(item, Mapping))

    def names(self) -> tuple[str, ...]:
        return tuple(self.content)


def mapping(value: object) -> Json:
    """Return an object's fields by name; anything else has none."""
    if not isinstance(value, Mapping):
        return {}
    return {name: item for name, item in value.items() if isinstance(name, str)}
