"""What the commands share. A command's module needs this, ``parsers`` and its own text."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hapair.cli.main import Interrupted, run
from hapair.rpc.client import ROOT_VARIABLE, ask, call, patience_s
from hapair.rpc.messages import ExitCode

if TYPE_CHECKING:
    from hapair.runtime.places import Places

__all__ = [
    "ExitCode",
    "ask",
    "call",
    "goes_on",
    "patience_s",
    "places",
    "print_json",
    "run",
]

SAMPLE: Final = "/usr/share/hapair/samples/clconf.xml"
REFERENCE: Final = "/usr/share/doc/hapair/configuration.md"
JSON_FORMAT: Final = 1  # Of everything that --json prints; grows when a field changes its meaning.


def places() -> "Places":
    """Return where this node's files are; tests put them below another root."""
    from pathlib import Path  # noqa: PLC0415 - most commands need no files and start faster

    from hapair.runtime.places import Places  # noqa: PLC0415

    return Places(Path(os.environ.get(ROOT_VARIABLE, "/")))


@contextmanager
def goes_on(text: str) -> Iterator[None]:
    """While the daemon works for this command, Ctrl-C ends the waiting and says ``text``."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(text) from None


def print_json(content: Mapping[str, object]) -> None:
    json.dump({"format": JSON_FORMAT, **content}, sys.stdout, indent=2)
    print()
