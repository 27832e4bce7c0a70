"""What came out of reading one file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from hapair.config.complaints import Complaints
from hapair.config.document import Node, parse, shortened
from hapair.config.grammar import Element, check
from hapair.model.problem import Problem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T_co]):
    """A value, perhaps with warnings; or no value, and the errors."""

    value: T_co | None
    problems: tuple[Problem, ...] = ()
    # Where things stand ("file:line"), for the checks that need several files.
    places: Mapping[str, str] = field(default_factory=dict)

    def value_or_problems(self) -> T_co | tuple[Problem, ...]:
        return self.problems if self.value is None else self.value


@dataclass(frozen=True, slots=True)
class Format(Generic[T]):
    """How one kind of file is read: grammar first, then its own checks, then the value."""

    element: Element
    sample: str  # Where the administrator finds one, for messages.
    check: Callable[[Node, Complaints], None]
    build: Callable[[Node], T]  # Called only when nothing is wrong.
    places: Callable[[Node], Mapping[str, int]]


def examine(content: bytes, format_: Format[T], *, file: str) -> Reading[T]:
    """Read one file whole and report everything that is wrong with it at once."""
    root = parse(content, file=file)
    if isinstance(root, Problem):
        return Reading(None, (root,))
    complaints = Complaints(file)
    if root.name != format_.element.name:
        what = f"it is <{shortened(root.name)}> and must be <{format_.element.name}>"
        complaints.error(root.line, "outermost element", what, f"compare it with {format_.sample}")
        return Reading(None, complaints.problems())
    known = check(root, format_.element, complaints)
    format_.check(known, complaints)
    if complaints.any_error:
        return Reading(None, complaints.problems())
    places = {key: complaints.place(line) for key, line in format_.places(known).items()}
    return Reading(format_.build(known), complaints.problems(), places)


def nowhere(_root: Node) -> Mapping[str, int]:
    """Return no places, for files that no other file refers to."""
    return {}
