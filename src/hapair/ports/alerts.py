"""Letters that are on their way to a receiver."""

from typing import Protocol


class Sending(Protocol):
    @property
    def refused(self) -> bool:
        """Tell whether what was not taken is refused for good: this very letter, as it is."""
        ...

    def outcome(self) -> str | None:
        """Return an empty text when it was taken, why it was not, or None: nobody knows yet.

        It is asked until it tells, and ends what takes longer than the receiver's limit.
        """
        ...
