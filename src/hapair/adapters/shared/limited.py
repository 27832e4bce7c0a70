"""So many at once of whatever may hang in the kernel, where nobody can end it."""

import asyncio
from weakref import WeakValueDictionary


class Limited:
    """A turn for each key: what hangs at one of them keeps nobody from another."""

    def __init__(self, most: int) -> None:
        self._most = most
        # By event loop, which whatever has a turn keeps, and key.
        self._turns = WeakValueDictionary[tuple[int, str], asyncio.Semaphore]()

    def turn(self, key: str) -> asyncio.Semaphore:
        """Return the turn of ``key``, of which ``most`` may have one at the same time."""
        here = (id(asyncio.get_running_loop()), key)
        return self._turns.setdefault(here, asyncio.Semaphore(self._most))
