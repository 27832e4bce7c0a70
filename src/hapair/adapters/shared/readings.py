"""Read a table of the kernel in a thread, once for all who ask at the same time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Raw = TypeVar("Raw")
Table = TypeVar("Table")


class Readings(Generic[Raw, Table]):
    """Answers each question from a reading that began after it, so after all that was done before.

    However many ask, one reading runs and one waits for it to end. A kernel that does not answer
    keeps nobody waiting but those who ask.
    """

    def __init__(self, read: Callable[[], Raw], understand: Callable[[Raw], Table]) -> None:
        """``read`` blocks; ``understand`` is called in the event loop, once for each reading.

        The thread has no real-time priority: while it holds the interpreter it must do little.
        """
        self._read = read
        self._understand = understand
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readings")
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Table] | None = None

    async def now(self) -> Table:
        """Return the table; raises what ``read`` raises. The caller sets the time limit."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._begin())
        return await asyncio.shield(self._next)

    async def _begin(self) -> Table:
        async with self._turn:
            self._next = None  # Who asks from now on may have changed what is being read.
            loop = asyncio.get_running_loop()
            return self._understand(await loop.run_in_executor(self._thread, self._read))
