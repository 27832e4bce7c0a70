"""Shows what a long command is waiting for, on stderr, so that stdout stays clean for results."""

import sys
import threading
import time
from types import TracebackType
from typing import Final, Self, TextIO

from hapair.cli.screen.terminal import LINE_AGAIN, WIDTH, Paint, Style, paint_for, span_text
from hapair.rpc.messages import Progress

TICK_S: Final = 0.1
TURNING: Final = "|/-\\"


class ProgressLine:
    """At a terminal one line that is redrawn; elsewhere one line per new text.

    Use it as ``with ProgressLine("starting orders") as progress:`` and hand ``progress.show`` to
    the daemon call. Texts of the daemon replace the first one.
    """

    def __init__(self, text: str, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._paint: Paint = paint_for(self._stream)
        self._live = self._stream.isatty()
        self._begun_s = time.monotonic()
        self._now = Progress(text)
        self._printed = ""
        self._turns = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._begun_s

    def show(self, progress: Progress) -> None:
        """Take the newest progress in; an empty text keeps the former one."""
        with self._lock:
            text = progress.text or self._now.text
            self._now = Progress(text, progress.done, progress.of)
            self._draw()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        with self._lock:
            self._wipe()
            print(text, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        with self._lock:
            self._draw()
        if self._live:
            self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        with self._lock:
            self._wipe()

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            with self._lock:
                self._turns += 1
                self._draw()

    def _draw(self) -> None:
        text = line_of(self._now)
        if self._live:
            turning = TURNING[self._turns % len(TURNING)]
            line = f"{turning} {text} ({span_text(self.took_s)})"[: WIDTH - 1]
            print(
                f"{LINE_AGAIN}{self._paint(Style.FAINT, line)}",
                end="",
                file=self._stream,
                flush=True,
            )
        elif text != self._printed:
            print(f"{self.took_s:7.1f} s  {text}", file=self._stream, flush=True)
            self._printed = text

    def _wipe(self) -> None:
        if self._live:
            print(LINE_AGAIN, end="", file=self._stream, flush=True)


def line_of(progress: Progress) -> str:
    """Write progress as one line, with a percentage where the whole is known."""
    if progress.done is None:
        return progress.text
    if not progress.of:
        return f"{progress.text}: {progress.done}"
    return f"{progress.text}: {100 * progress.done // progress.of} %"
