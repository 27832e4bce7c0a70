"""What an interrupted build leaves on a node."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far an interrupted build came on a node."""

    EMPTY = "empty"  # Not even staged, or ended and not yet swept away: nothing in it matters.
    STAGED = "staged"  # Nothing in use was changed.
    COMMITTING = "committing"  # Some files may be new already.
    COMMITTED = "committed"  # All files are new, the old ones are still kept.


@dataclass(frozen=True, slots=True)
class Leftover:
    generation: int
    stage: Stage
