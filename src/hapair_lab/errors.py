"""The one exception of the lab: a sentence and, where there is one, the mend."""

from __future__ import annotations


class LabError(Exception):
    """Something that the person at the keyboard can understand and usually mend."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message}\n  hint: {hint}" if hint else message)
        self.message = message
        self.hint = hint
