"""What a probe asks and answers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from hapair.model.monitor import Trouble

GOOD: Final = "good"
WARNING: Final = "warning"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"  # It could not be asked; shown as a warning.
WAITING: Final = (
    "waiting"  # Of a monitor that has not answered, or whose failures do not count yet.
)
HALTED: Final = "halted"  # Of a monitor that an operator stopped.

TEXT_MAX: Final = 400  # Characters of what a program or a server said.
LABEL_MAX: Final = 64  # Characters of the label of a value.
# In JSON, of one monitor: what all that an application may have find is one message.
TEXT_BYTES_MAX: Final = 1600
PERF_BYTES_MAX: Final = 1600


@dataclass(frozen=True, slots=True)
class Answer:
    state: str  # GOOD, WARNING, FAILED or UNKNOWN.
    text: str
    trouble: Trouble = Trouble.PROGRAM
    perf: Mapping[str, str] = field(default_factory=dict)  # Value with its unit, by label.
    certain: bool = False  # Of a failure: no write that waits can look like it.
    living: tuple[int, ...] = ()  # Descriptors of the processes whose end makes it ask again.


def good(text: str, perf: Mapping[str, str] | None = None) -> Answer:
    return Answer(GOOD, text, perf=perf or {})


def warning(text: str) -> Answer:
    return Answer(WARNING, text)


def unknown(text: str) -> Answer:
    return Answer(UNKNOWN, text)


def failed(text: str, trouble: Trouble = Trouble.PROGRAM, *, certain: bool = False) -> Answer:
    return Answer(FAILED, text, trouble, certain=certain)


def one_line(text: str) -> str:
    """Return what somebody else said, fit for one line of a message."""
    words = " ".join(text.split())
    printable = "".join(letter if letter.isprintable() else "?" for letter in words)
    return printable if len(printable) <= TEXT_MAX else printable[: TEXT_MAX - 3] + "..."


def bounded(answer: Answer) -> Answer:
    """Return an answer of which all that is told fits; values that do not are left out."""
    text = _fitting(one_line(answer.text), TEXT_BYTES_MAX)
    perf, left = dict[str, str](), PERF_BYTES_MAX
    for label, value in answer.perf.items():
        short = {label[:LABEL_MAX]: value[:LABEL_MAX]}
        left -= len(json.dumps(short))
        if left < 0:
            break
        perf |= short
    return replace(answer, text=text, perf=perf)


def _fitting(text: str, bytes_max: int) -> str:
    left = bytes_max - len(json.dumps("..."))
    if len(json.dumps(text)) <= bytes_max:
        return text
    for number, letter in enumerate(text):
        left -= len(json.dumps(letter)) - len(json.dumps(""))
        if left < 0:
            return f"{text[:number]}..."
    return text


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that was run."""

    code: int  # Negative: the signal that ended it.
    output: str
    not_run: str = ""  # Why it could not be started.


@dataclass(frozen=True, slots=True)
class Command:
    """A program that has to be run; what it means is said by ``judge``."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    judge: Callable[[Finished], "Said"]
    user: str = ""  # The account that it runs as; empty: root.
    asks: str = ""  # Another service, whose silence says nothing of the application.


Call: TypeAlias = Callable[[], "Said"]  # May block, and runs in a thread of its own.
Question: TypeAlias = Command | Call
Said: TypeAlias = Answer | Question


class Probe(Protocol):
    """Asks about one thing, again and again."""

    @property
    def trouble(self) -> Trouble | None:
        """Return whose trouble it is when there is no answer at all; None: that says nothing."""

    def ask(self) -> Said:
        """Return what to do to know how it is; called by the loop, so it must not block."""

    def asked(self) -> str:
        """Return what is being asked just now, for the message that it gave no answer."""

    def close(self) -> None:
        """Give back what it keeps open."""
