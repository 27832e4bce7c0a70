"""Collects everything that is wrong with one file."""

from difflib import get_close_matches
from typing import Final

from hapair.config.document import shortened
from hapair.model.problem import Problem

SIMILARITY_LEAST: Final = 0.6
PROBLEMS_MAX: Final = 100  # Nobody reads more at once.


class Complaints:
    """The problems of one file, in the order of its lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[tuple[int, Problem]] = []

    def error(self, line: int, field: str, what: str, mend: str) -> None:
        self._found.append((line, Problem(self.place(line), field, what, mend)))

    def warning(self, line: int, field: str, what: str, mend: str) -> None:
        self._found.append((line, Problem(self.place(line), field, what, mend, warning=True)))

    @property
    def folder(self) -> str:
        """Return the name of the folder that the file lies in; empty when it is not known."""
        return self._file.split("/")[-2] if "/" in self._file else ""

    def place(self, line: int) -> str:
        return f"{self._file}:{line}"

    @property
    def any_error(self) -> bool:
        return any(not problem.warning for _, problem in self._found)

    def problems(self) -> tuple[Problem, ...]:
        """Return the errors by line, or the warnings when there is no error.

        At most PROBLEMS_MAX, and the count of the others. A warning can wait until the file is
        right: it is about what the file then means.
        """
        ordered = [problem for _, problem in sorted(self._found, key=lambda found: found[0])]
        if self.any_error:
            ordered = [problem for problem in ordered if not problem.warning]
        if len(ordered) <= PROBLEMS_MAX:
            return tuple(ordered)
        rest = Problem(
            self._file,
            "more",
            f"{len(ordered) - PROBLEMS_MAX} more problems are not shown",
            "mend the ones above first",
        )
        return (*ordered[:PROBLEMS_MAX], rest)


def nearest(word: str, known: tuple[str, ...]) -> str | None:
    """Return what ``word`` was probably meant to be, if anything."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(shortened(word).lower(), by_lower, n=1, cutoff=SIMILARITY_LEAST)
    return by_lower[near[0]] if near else None


def meant(word: str, known: tuple[str, ...]) -> str:
    """Return the question whether ``word`` was meant to be the nearest known one; else nothing."""
    name = nearest(word, known)
    return f'did you mean "{name}"?' if name else ""


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """Return the mend for a misspelt ``word``: the nearest known one, else all of them."""
    if question := meant(word, known):
        return question
    return f"possible here: {', '.join(known)}" if known else "remove it"
