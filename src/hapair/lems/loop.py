"""A loop for one process: descriptors, times, and calls that may block.

Each process holds what it touches for itself, so it is no larger than that.
"""

import _thread
import heapq
import itertools
import os
import select
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")

STACK_BYTES: Final = 256 * 1024


def boot_s() -> float:
    """Return the time that also passes while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(order=True, slots=True)
class Timer:
    due_s: float
    number: int
    call: Callable[[], object] | None = field(compare=False)

    def cancel(self) -> None:
        self.call = None


class Loop:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._called: dict[int, Callable[[], object]] = {}
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._done = deque[Callable[[], object]]()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.ended = False
        _thread.stack_size(STACK_BYTES)
        self.watch(self._woken, lambda: os.eventfd_read(self._woken))

    def watch(
        self, descriptor: int, call: Callable[[], object], events: int = select.POLLIN
    ) -> None:
        """Call whenever something comes; a descriptor that is watched already is watched anew."""
        self._called[descriptor] = call
        self._poll.register(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        del self._called[descriptor]
        self._poll.unregister(descriptor)

    def at(self, due_s: float, call: Callable[[], object]) -> Timer:
        timer = Timer(due_s, next(self._numbers), call)
        heapq.heappush(self._timers, timer)
        return timer

    def after(self, delay_s: float, call: Callable[[], object]) -> Timer:
        return self.at(boot_s() + delay_s, call)

    def thread(self, call: Callable[[], T], done: Callable[[T | None], object]) -> None:
        """Run ``call`` in a thread, then ``done`` in the loop; None: it raised, which is a bug.

        A thread that hangs in the kernel stays; it keeps nobody else from anything.
        """

        def run() -> None:
            result: T | None = None
            try:
                result = call()
            finally:
                self._done.append(lambda: done(result))
                os.eventfd_write(self._woken, 1)

        _thread.start_new_thread(run, ())

    def run(self) -> None:
        """Go on until ``ended`` is set."""
        while not self.ended:
            self._turn()

    def close(self) -> None:
        os.close(self._woken)

    def _turn(self) -> None:
        for descriptor, _ in self._poll.poll(self._pause_ms()):
            if (call := self._called.get(descriptor)) is not None:
                call()
        while self._done:
            self._done.popleft()()
        now_s = boot_s()
        while self._timers and self._timers[0].due_s <= now_s:
            if (due := heapq.heappop(self._timers).call) is not None:
                due()

    def _pause_ms(self) -> float | None:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        if self._done:
            return 0
        if not self._timers:
            return None
        # A millisecond too late is better than a turn for nothing.
        return max(0.0, self._timers[0].due_s - boot_s()) * 1000 + 1
