"""clstat --watch: the page, kept current. With rich it is redrawn without flicker."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from hapair.cli.common import JSON_FORMAT, ExitCode, places
from hapair.cli.pages.attention import findings
from hapair.cli.pages.offline import look, offline_lines
from hapair.cli.pages.one_application import (
    findings_of,
    narrowed,
    one_lines,
    troubles_of,
)
from hapair.cli.pages.render_status import Page, page_lines
from hapair.cli.pages.resync import rates
from hapair.cli.pages.status import Status, read_status
from hapair.cli.screen.output import NobodyReadsError, Output, print_on
from hapair.cli.screen.terminal import HOME_AND_CLEAR, Paint, harmless, paint_for
from hapair.model.timeline import Happening
from hapair.rpc.client import call, not_understood, patience_s
from hapair.rpc.messages import DaemonDown, JsonObject, Progress

RETRY_S: Final = 1.0
RATE_WINDOW_S: Final = 2.0
TROUBLES_S: Final = 5.0

Show = Callable[[str], None]


@dataclass(slots=True)
class Watcher:
    """Turns each status that arrives into a page."""

    show: Show
    as_json: bool
    name: str = ""  # Of the one application that is shown; empty: all are.
    sampled: Status | None = None
    sampled_at_s: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    troubles: tuple[Happening, ...] = ()
    asked_at_s: float = float("-inf")  # About what went wrong.

    def take(self, progress: Progress) -> None:
        if progress.status is not None:
            self.take_status(progress.status)

    def take_status(self, answer: JsonObject) -> None:
        status = read_status(answer)
        found = findings_of(status, self.name) if self.name else findings(status)
        self._measure(status)
        if self.as_json:
            told = narrowed(answer, self.name) if self.name else answer
            self.show(json.dumps({"format": JSON_FORMAT, "daemon": "up", **told}))
            return
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        page = Page(status, found, stamp, self.rates)
        self.show("\n".join(self._lines(page, paint_for(sys.stdout))))

    def _lines(self, page: Page, paint: Paint) -> Iterator[str]:
        if self.name:
            self._ask_troubles()
            return one_lines(page, self.name, self.troubles, paint)
        return iter(page_lines(page, paint))

    def _ask_troubles(self) -> None:
        """Ask about the history now and then: it is long, and pages come twice a second."""
        now_s = time.monotonic()
        if now_s - self.asked_at_s >= TROUBLES_S:
            self.troubles, self.asked_at_s = troubles_of(self.name), now_s

    def take_silence(self, down: DaemonDown) -> None:
        if self.as_json:
            self.show(json.dumps({"format": JSON_FORMAT, "daemon": "down", "error": down.error}))
            return
        lines = offline_lines(look(places(), self.name), down, paint_for(sys.stdout))
        self.show("\n".join(lines))

    def _measure(self, status: Status) -> None:
        now_s = time.monotonic()
        passed_s = now_s - self.sampled_at_s
        if self.sampled is None or passed_s >= RATE_WINDOW_S:
            if self.sampled is not None:
                self.rates = rates(self.sampled, status, passed_s)
            self.sampled, self.sampled_at_s = status, now_s


def watch(name: str = "", *, as_json: bool) -> int:
    """Show the page again whenever something changes, until Ctrl-C."""
    try:
        with _screen(plain=as_json or not sys.stdout.isatty()) as show:
            watcher = Watcher(show, as_json, name)
            while True:
                try:
                    call("watch", {}, watcher.take)
                    raise not_understood("watching has no end")
                except DaemonDown as down:
                    watcher.take_silence(down)
                time.sleep(patience_s(RETRY_S))
    except (KeyboardInterrupt, NobodyReadsError):
        return int(ExitCode.DONE)  # Ctrl-C is how one ends it.


@contextmanager
def _screen(*, plain: bool) -> Iterator[Show]:
    """Give the way of showing a page: below one another, redrawn, or with rich."""
    if plain:
        yield print_on
        return
    try:
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415 - optional and slow to import
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        yield _redraw
        return
    console = Console(file=sys.stdout.obeyed()) if isinstance(sys.stdout, Output) else None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield lambda text: live.update(Text.from_ansi(harmless(text)), refresh=True)


def _redraw(text: str) -> None:
    print_on(f"{HOME_AND_CLEAR}{text}")
