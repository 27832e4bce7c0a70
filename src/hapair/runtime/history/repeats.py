"""What happens again and again is told once, and then counted."""

from dataclasses import dataclass, field
from typing import Final

QUIET_S: Final = 60.0  # What has not happened for so long is news when it happens again.
BASE: Final = 10


@dataclass(slots=True)
class Repeats:
    """Counts what happens, by its words; those that are quiet are forgotten."""

    seen: dict[str, tuple[int, float]] = field(default_factory=dict)  # How often, and when last.

    def told(self, text: str, now_s: float) -> str:
        """Return the line of this happening: of the first, the 10th, the 100th ...; else empty."""
        self.seen = {
            each: (count, last_s)
            for each, (count, last_s) in self.seen.items()
            if now_s - last_s < QUIET_S
        }
        count = self.seen.get(text, (0, now_s))[0] + 1
        self.seen[text] = (count, now_s)
        if count == 1:
            return text
        return f"{text} ({count} times by now)" if _is_power(count) else ""


def _is_power(count: int) -> bool:
    while count % BASE == 0:
        count //= BASE
    return count == 1
