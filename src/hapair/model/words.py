"""Words that two versions of hapair tell each other, or read in each other's files."""

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A word of which a newer version may know more.

    Each kind says as what such a word is read. Nobody may conclude from it that something is
    stopped, current or off, and nothing that runs may end because of it. A word for which there is
    no such reading is a plain ``StrEnum``: whatever has it is refused as a whole.
    """

    @classmethod
    def of_newer(cls) -> Self:
        raise NotImplementedError
