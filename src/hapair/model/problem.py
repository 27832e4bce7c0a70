"""What is wrong with an operator's input, and how to mend it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    where: str  # "file:line" or a command's argument or "node1: 10.0.0.1".
    field: str  # Element/attribute or the thing that was checked.
    what: str
    mend: str
    warning: bool = False  # Shown, but does not stop the command.

    def __str__(self) -> str:
        kind = "warning" if self.warning else "error"
        return f"{self.where}: {kind}: {self.field}: {self.what}. Mend: {self.mend}"
