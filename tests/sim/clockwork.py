"""Virtual time: a queue of what happens next."""

import heapq
from collections.abc import Callable
from itertools import count

Happening = Callable[[], None]


class Clockwork:
    def __init__(self) -> None:
        self.now_s = 0.0
        self._queue: list[tuple[float, int, Happening]] = []
        self._order = count()  # At one moment: first in, first out.

    def after(self, delay_s: float, happening: Happening) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), happening))

    def run_until(self, end_s: float) -> None:
        queue = self._queue
        while queue and queue[0][0] <= end_s:
            self.now_s, _, happening = heapq.heappop(queue)
            happening()
        self.now_s = end_s
