"""Tell many changes in a short time once."""

import asyncio
from collections.abc import Callable
from typing import Final

PAUSE_S: Final = 0.05  # Long enough for most of a burst; nobody waits for it in vain.


class Burst:
    """Calls back once, a moment after the first of the changes that came meanwhile."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._due: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(PAUSE_S, self._tell)

    def close(self) -> None:
        if self._due is not None:
            self._due.cancel()

    def _tell(self) -> None:
        self._due = None
        self._callback()
