"""Reading what may lie on a disk that hangs, without anybody waiting for it but the asker."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, from a thread of its own; give a time-out to whoever asks.

    A thread that hangs stays behind, and takes no place that somebody else might need.
    """
    own = ThreadPoolExecutor(1, thread_name_prefix="apart")
    try:
        return await asyncio.get_running_loop().run_in_executor(own, work)
    finally:
        own.shutdown(wait=False)
