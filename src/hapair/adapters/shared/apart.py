"""Reading what may lie on a disk that hangs, without anybody waiting for it but the asker."""

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from hapair.adapters.shared.limited import Limited

T = TypeVar("T")

# At one place. Who asks again and again while its disk hangs leaves no more threads than these.
HANGING_MAX: Final = 4

_reading: Final = Limited(HANGING_MAX)


async def apart(place: str, work: Callable[[], T]) -> T:
    """Return what ``work`` returns, from a thread of its own; give a time-out to whoever asks.

    A thread that hangs stays behind, and takes no room that somebody else might need: only at the
    same ``place`` whoever comes next waits while ``HANGING_MAX`` of them are at work.

    Raises:
        OSError: also when the kernel has no room for one more thread.
    """
    loop = asyncio.get_running_loop()
    turn = _reading.turn(place)
    await turn.acquire()

    def leave(_: Future[T]) -> None:
        with suppress(RuntimeError):  # The loop is closed.
            loop.call_soon_threadsafe(turn.release)

    own = ThreadPoolExecutor(1, thread_name_prefix="apart")
    try:
        answer = own.submit(work)
    except RuntimeError as error:
        turn.release()
        raise OSError(errno.EAGAIN, f"{place} cannot be read: {error}") from error
    finally:
        own.shutdown(wait=False)
    answer.add_done_callback(leave)
    return await asyncio.wrap_future(answer)
