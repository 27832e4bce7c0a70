"""What a witness answers."""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    GRANTED = "granted"  # It has recorded the asker as the only holder of the epoch.
    DENIED = "denied"  # Another node holds this epoch, or a later one exists.
    UNREACHABLE = "unreachable"  # No answer: it may have recorded the asker all the same.
    SEEN = "seen"  # It was only looked at: it answers, nothing was recorded.


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    answer: Answer
    epoch: int = 0  # The newest epoch that it has recorded; 0: none, or not known.
    holder: str = ""  # Who holds that epoch.
    why: str = ""  # Of UNREACHABLE: what went wrong, and the mend where there is one.
