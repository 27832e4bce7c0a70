"""A package of the version after this one: members, words and a feature more than today."""

from pathlib import Path
from typing import Final

from tools import package_tree
from tools.build_package import build

VERSION: Final = "99.0.0"
MEMBER: Final = "next_member"
MODULES: Final = Path(package_tree.MODULES, "hapair")
# File, what stands there, what stands there in the next version.
EDITS: Final = (
    ("core/words/protocol.py", "PROTOCOL: Final = 2\n", "PROTOCOL: Final = 3\n"),
    (
        "core/words/protocol.py",
        "Mapping[str, str]] = {\n",
        'Mapping[str, str]] = {\n    "next-thing": "what only the next version can do",\n',
    ),
    (
        "core/words/events.py",
        "    protocol: int = FORMER\n",
        f'    protocol: int = FORMER\n    {MEMBER}: str = "in each heartbeat"\n',
    ),
    (
        "core/words/events.py",
        "    speaks: Speaks = UNSAID\n",
        f'    speaks: Speaks = UNSAID\n    {MEMBER}: str = "in each state"\n',
    ),
    (
        "core/words/events.py",
        "    # Follows from the applications, so it is neither compared nor sent.\n",
        '    format: int = field(default=1, metadata=needs("next-thing"))\n',
    ),
    ("core/node.py", "        speaks=OURS,\n", "        speaks=OURS,\n        format=2,\n"),
    (
        "core/words/stored.py",
        "    rounds: int = 0  #",
        f'    {MEMBER}: str = "in state.json"\n    rounds: int = 0  #',
    ),
    (
        "model/built.py",
        "    secret_number: int = 0\n",
        f'    secret_number: int = 0\n    {MEMBER}: str = "in built.json"\n',
    ),
    ("model/status.py", '    STARTING = "starting"\n', '    STARTING = "warming-up"\n'),
    ("model/status.py", '    UP = "up"\n', '    UP = "up-and-watched"\n'),
)


def next_package(folder: Path) -> Path:
    """Build it in ``folder`` and return its path."""
    return build(VERSION, folder, make_next)


def make_next(tree: Path) -> None:
    """Change the laid out sources into those of the next version."""
    for name, before, after in EDITS:
        file = tree / MODULES / name
        text = file.read_text()
        if text.count(before) != 1:
            raise LookupError(f"{name} does not have {before!r} once")
        file.write_text(text.replace(before, after))
