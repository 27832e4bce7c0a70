"""Says on the error output what takes long while it takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """Print one line for the person who waits."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what begins, and when it is done how long it took."""
    say(f"{text} ...")
    begun_s = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - begun_s:.1f} s")
