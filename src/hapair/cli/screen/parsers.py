"""How every command describes itself: one page each for --help, man and the reference.

A command module has a function ``parser`` that makes its parser from a ``Page``.
"""

import argparse
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from hapair import __version__
from hapair.rpc.messages import ExitCode, RpcError

WIDTH: Final = 80
TIME_LIMIT_MAX_S: Final = 7 * 86400.0
DIGITS_MAX: Final = 12  # Of a duration; more are a mistake, and some thousand are no number.

# clstat alone: the page could be shown, and something on it needs a person.
EXIT_ATTENTION: Final = 5

EXIT_TEXTS: Final = {
    ExitCode.DONE: "done, or nothing needed to be done",
    ExitCode.REFUSED: "refused or failed; the message says why and how to mend it",
    ExitCode.USAGE: "wrong arguments or configuration; nothing was changed",
    ExitCode.NOT_NOW: "not now: the daemon is down or hangs, the peer cannot be reached, or no"
    " cluster is formed",
    ExitCode.UNFINISHED: "done in part, or not finished within the time limit; the daemon goes on",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; the message says what goes on",
}
EXITS: Final[tuple[tuple[int, str], ...]] = tuple(
    (int(code), text) for code, text in EXIT_TEXTS.items()
)


@dataclass(frozen=True, slots=True)
class Example:
    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What a command tells about itself. Paragraphs are separated by empty lines."""

    name: str
    summary: str  # One line, without a full stop.
    does: str
    never: tuple[str, ...]
    examples: tuple[Example, ...]
    exits: tuple[tuple[int, str], ...] = EXITS
    files: tuple[tuple[str, str], ...] = ()
    see_also: tuple[str, ...] = ()

    def sections(self) -> tuple[tuple[str, str], ...]:
        """Return the headings and texts that follow the options, indented by two columns."""
        exits = [(str(int(code)), text) for code, text in self.exits]
        found = (
            ("What it never does", _items(self.never)),
            ("Examples", "\n\n".join(_example(example) for example in self.examples)),
            ("Exit codes", _terms(exits, 5)),
            ("Files", _terms(self.files, 2)),
            ("See also", _filled(", ".join(self.see_also), "  ")),
        )
        return tuple((heading, text) for heading, text in found if text)


def _filled(text: str, indent: str, first: str | None = None) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH - 2,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _items(texts: Sequence[str]) -> str:
    return "\n".join(_filled(text, "    ", "  - ") for text in texts)


def _example(example: Example) -> str:
    return f"  {example.command}\n{_filled(example.text, '      ')}"


def _terms(terms: Sequence[tuple[str, str]], width: int) -> str:
    """Lay out terms with their texts: beside them where they are short, else below."""
    lines = []
    for term, text in terms:
        if len(term) <= width:
            indent = " " * (width + 2)
            lines.append(_filled(text, indent, f"  {term:<{width}}"))
        else:
            lines.append(f"  {term}\n{_filled(text, '      ')}")
    return "\n".join(lines)


def paragraphs(text: str) -> str:
    """Fill each paragraph; empty lines separate them."""
    parts = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(_filled(part, "") for part in parts)


class WordsParser(argparse.ArgumentParser):
    """A parser whose complaints are those of every command: what is wrong, and the mend."""

    def error(self, message: str) -> NoReturn:
        mend = f"{self.prog} --help tells what may be written"
        raise RpcError(message, mend, exit_code=ExitCode.USAGE)


class CommandParser(WordsParser):
    """A parser that knows its page; generators of manuals read ``page``."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._refused_beside: list[tuple[str, str, str]] = []
        self.man_short_description = page.summary
        epilog = "\n\n".join(f"{heading}:\n{text}" for heading, text in page.sections())
        super().__init__(
            prog=page.name,
            description=f"{page.summary[0].upper()}{page.summary[1:]}.\n\n{paragraphs(page.does)}",
            epilog=epilog,
            formatter_class=_PageFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"hapair {__version__}")

    def refuse_beside(self, one: str, others: Sequence[str], why: str) -> None:
        """Refuse what would be ignored beside ``one``; a positional is named by its metavar."""
        self._refused_beside += [(one, other, why) for other in others]

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        options, rest = super().parse_known_args(args, namespace)
        for one, other, why in self._refused_beside:
            if self._is_given(one, options) and self._is_given(other, options):
                self.error(f"{other} would be ignored beside {one}: {why}")
        return options, rest

    def _is_given(self, name: str, options: argparse.Namespace) -> bool:
        (action,) = (each for each in self._actions if name in (*each.option_strings, each.metavar))
        return bool(getattr(options, action.dest) != action.default)


class _PageFormatter(argparse.RawDescriptionHelpFormatter):
    """The same page whatever the width of the terminal: it is quoted in manuals and tests."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=WIDTH)


def make_parser(page: Page) -> CommandParser:
    return CommandParser(page)


def duration_s(text: str) -> float:
    """Read "90", "90s", "5m", "2h" or "3d" as seconds; made for argparse's ``type``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write for example 90s or 5m")
    if len(match[1]) > DIGITS_MAX:
        raise argparse.ArgumentTypeError("that is longer than anything takes")
    factor = {"ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    return float(match[1]) * factor.get(match[2] or "s", 1.0)


def time_limit_s(text: str) -> float:
    """Read how long to wait; made for argparse's ``type``."""
    limit_s = duration_s(text)
    if limit_s > TIME_LIMIT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text!r} is too long; write at most 7d")
    return limit_s


def count(text: str) -> int:
    """Read how many, from 1 on; made for argparse's ``type``."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


# Completion scripts complete arguments by their destination: ``application`` and ``node``.


def add_application(
    parser: argparse._ActionsContainer, text: str, *, optional: bool = False
) -> None:
    parser.add_argument("application", metavar="APP", nargs="?" if optional else None, help=text)


def add_node(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--node", metavar="NODE", help=text)


def add_json(parser: argparse.ArgumentParser, text: str = "print the result as JSON") -> None:
    parser.add_argument("--json", action="store_true", help=text)


def add_force(parser: CommandParser) -> None:
    text = "go on although something else holds a device, and end what may be ended"
    parser.add_argument("--force", action="store_true", help=text)


def add_waiting(parser: CommandParser) -> None:
    """Add the options of commands that start something the daemon then carries out."""
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="return as soon as the daemon has accepted it; the daemon goes on",
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=time_limit_s,
        help="wait at most this long, e.g. 90s or 5m; the daemon goes on after it"
        " (without it: until the daemon says how it ended; the daemon's own limits bound that)",
    )
    parser.refuse_beside("--no-wait", ("--timeout",), "nothing is waited for")
