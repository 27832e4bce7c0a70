"""Host names, asked in threads of their own: a resolver that hangs holds nothing else up.

A question cannot be taken back, so each name is asked once at a time, however many want to know.
Who is cut off from the resolver as well gets what it said last.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

THREADS_MAX: Final = 8  # As many names as can hang at the same time.
PATIENCE_S: Final = 0.5  # For a newer answer than the last one.

Answer = list[tuple[Any, ...]]
Resolve = Callable[..., Any]


class NamesLoop(asyncio.SelectorEventLoop):
    """An event loop whose questions for names keep no thread from anybody."""

    def __init__(self, resolve: Resolve = socket.getaddrinfo) -> None:
        super().__init__()
        self._resolve = resolve
        self._names = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="names")
        self._asked: dict[tuple[object, ...], asyncio.Future[Answer]] = {}
        self._known: dict[tuple[object, ...], Answer] = {}

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name in the interface
        proto: int = 0,
        flags: int = 0,
    ) -> Answer:
        key = (host, port, family, type, proto, flags)
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = self.run_in_executor(self._names, self._resolve, *key)
            asked.add_done_callback(lambda done: self._answered(key, done))
        known = self._known.get(key)
        await asyncio.wait({asked}, timeout=None if known is None else PATIENCE_S)
        if asked.done() and not asked.cancelled() and (asked.exception() is None or known is None):
            return asked.result()
        if known is None:
            raise socket.gaierror(socket.EAI_AGAIN, "the question for it was withdrawn")
        return known

    def _answered(self, key: tuple[object, ...], asked: asyncio.Future[Answer]) -> None:
        del self._asked[key]
        if not asked.cancelled() and asked.exception() is None:
            self._known[key] = asked.result()

    def close(self) -> None:
        self._names.shutdown(wait=False, cancel_futures=True)
        super().close()
