"""Pull the power of a node between any two changes of its files, without touching the code.

Python's own calls tell of every change of a file before it is made. From the chosen change on, all
changes below the dead node's root fail, until the power is on again.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT


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

    def heard(self, place: object) -> None:
        if not str(place).startswith(self._root):
            return
        if not self.off:
            self.changes += 1
        if self.off:
            raise PowerCut


def _always(*_: object, **__: object) -> bool:
    return True


def _by_flags(flags: int, *_: object, **__: object) -> bool:
    return bool(flags & WRITING)


def _by_mode(mode: str = "r", *_: object, **__: object) -> bool:
    return bool(set(mode) & set("wax+"))


# Whoever changes a file calls one of these; the arguments after the place tell whether it does.
CALLS: Final[tuple[tuple[ModuleType, str, Callable[..., bool]], ...]] = (
    *((os, name, _always) for name in ("chmod", "mkdir", "remove", "rename", "replace", "rmdir")),
    (os, "unlink", _always),
    (os, "open", _by_flags),
    (io, "open", _by_mode),
    (builtins, "open", _by_mode),
)


@contextmanager
def supplied(*powers: Power) -> Iterator[None]:
    """Supply these nodes while the block runs.

    An audit hook would tell the same, but it stays for ever, and Python tells it of each trace
    function while that is being set: no other thread may start under coverage at that moment.
    """

    def telling(call: Callable[..., Any], changes: Callable[..., bool]) -> Callable[..., Any]:
        @wraps(call)
        def told(place: object, *args: Any, **named: Any) -> Any:  # noqa: ANN401 - as the call
            if changes(*args, **named):
                for power in powers:
                    power.heard(place)
            return call(place, *args, **named)

        return told

    with pytest.MonkeyPatch.context() as patch:
        for module, name, changes in CALLS:
            patch.setattr(module, name, telling(getattr(module, name), changes))
        yield
