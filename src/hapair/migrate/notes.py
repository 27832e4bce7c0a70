"""What was taken over from a file, and what was not, line by line."""

from dataclasses import dataclass, field
from typing import Final

from hapair.migrate.lines import Place
from hapair.model.text import shown

NOTES_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class Note:
    place: Place
    what: str  # What stands there.
    text: str  # What became of it, or the way to have it in hapair.
    taken: bool

    def __str__(self) -> str:
        verb = "taken over" if self.taken else "not taken over"
        return f"{self.place}: {self.what}: {verb}: {self.text}"


@dataclass(slots=True)
class Notes:
    """Collects them, each once, in the order of the files."""

    found: dict[Note, None] = field(default_factory=dict)

    def took(self, place: Place, what: str, into: str) -> None:
        self._add(Note(place, shown(what), shown(into), taken=True))

    def left(self, place: Place, what: str, way: str) -> None:
        self._add(Note(place, shown(what), shown(way), taken=False))

    def _add(self, note: Note) -> None:
        if len(self.found) < NOTES_MAX:
            self.found[note] = None

    def in_order(self) -> tuple[Note, ...]:
        return tuple(sorted(self.found, key=lambda each: (each.place.file, each.place.line)))
