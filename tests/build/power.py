"""Pull the power of a node between any two changes of its files, without touching the code.

Python tells its audit hooks of every change of a file before it is made. From the chosen change on,
all changes below the dead node's root fail, until the power is on again.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = frozenset({"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})


class PowerCut(BaseException):
    """The node is dead."""


class Power:
    """The power of one node. ``cut_at`` counts its changes of files, from 1 on."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self.changes = 0
        self.cut_at = 0

    @property
    def off(self) -> bool:
        return 0 < self.cut_at <= self.changes

    def on(self) -> None:
        self.changes, self.cut_at = 0, 0

    def heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in EVENTS or not str(arguments[0]).startswith(self._root):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
            return
        if not self.off:
            self.changes += 1
        if self.off:
            raise PowerCut


_supplied: list[Power] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    for power in _supplied:
        power.heard(event, arguments)


_installed: list[bool] = []


@contextmanager
def supplied(*powers: Power) -> Iterator[None]:
    """Supply these nodes while the block runs; an audit hook cannot be removed, so it stays."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)
    _supplied.extend(powers)
    try:
        yield
    finally:
        _supplied.clear()
