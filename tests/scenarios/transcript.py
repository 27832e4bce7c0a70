"""Run text scenarios: an event above ``----``, what the core asks for below it."""

from collections.abc import Callable
from pathlib import Path

Handler = Callable[[str, dict[str, str]], str]


def blocks(text: str) -> list[list[str]]:
    """Split on blank lines; comments stay with the block that they explain."""
    return [block.splitlines() for block in text.strip("\n").split("\n\n")]


def replay(text: str, handle: Handler) -> str:
    """Return ``text`` with every expectation replaced by what really happened."""
    out: list[str] = []
    for block in blocks(text):
        comments = [line for line in block if line.startswith("#")]
        lines = [line for line in block if not line.startswith("#")]
        if not lines:
            out.append("\n".join(comments))
            continue
        name, *pairs = lines[0].split()
        arguments = dict(pair.split("=", 1) for pair in pairs)
        answer = handle(name, arguments).rstrip()
        out.append("\n".join([*comments, lines[0], "----", *([answer] if answer else [])]))
    return "\n\n".join(out) + "\n"


def check(path: Path, handle: Handler, *, rewrite: bool) -> None:
    expected = path.read_text()
    actual = replay(expected, handle)
    if rewrite:
        path.write_text(actual)
    assert actual == expected or rewrite, (
        f"{path.name} tells another story now; run with --rewrite and read the diff"
    )
