"""Ask the daemon for something that takes a while, and show what happens meanwhile."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hapair.cli.main import outcome
from hapair.cli.pages.history import Follower, step_line
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.screen.terminal import paint_for
from hapair.model.timeline import Happening
from hapair.rpc.client import NoAnswerInTimeError, call, patience_s, still_alive
from hapair.rpc.history import happening_object
from hapair.rpc.messages import JsonObject, Progress, RpcError

LOOK_S: Final = 0.2  # How often the history is looked at while waiting.
ACCEPT_S: Final = 2.0  # Most refusals come at once.


@dataclass(frozen=True, slots=True)
class Work:
    """One request that the daemon carries out over some time."""

    verb: str
    args: JsonObject
    saying: str  # What the progress line says first.
    application: str = ""  # Show only the history of this one; empty: all of it.
    timeout_s: float | None = None


@dataclass(slots=True)
class Ended:
    """How it ended; ``error`` is None when it was done."""

    result: JsonObject = field(default_factory=dict)
    error: RpcError | None = None
    took_s: float = 0.0
    history: tuple[Happening, ...] = ()

    @property
    def text(self) -> str:
        text = self.result.get("text")
        return text if isinstance(text, str) else ""

    def content(self) -> JsonObject:
        """Return what --json prints."""
        return {
            "text": self.text,
            "took_s": round(self.took_s, 3),
            "history": [happening_object(happening) for happening in self.history],
        }


class Request(threading.Thread):
    """The request itself; the main thread stays free for the history and for Ctrl-C."""

    def __init__(
        self,
        work: Work,
        on_progress: Callable[[Progress], None],
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Prepare it; ``begin`` is called first and waits until the time has come."""
        super().__init__(daemon=True)
        self._work = work
        self._on_progress = on_progress
        self._begin = begin
        self._came: JsonObject | Exception = RuntimeError("the request ended without a result")

    def run(self) -> None:
        self._came = outcome(self._asked)

    def _asked(self) -> JsonObject:
        if self._begin is not None:
            self._begin()
        work = self._work
        return call(work.verb, work.args, self._on_progress, work.timeout_s)

    def ended(self) -> tuple[JsonObject, RpcError | None]:
        """Return the answer or the refusal of a request that is over; raise what broke it."""
        match self._came:
            case RpcError() as error:
                return {}, error
            case Exception() as bug:
                raise bug
            case answer:
                return answer, None


def carry_out(work: Work) -> Ended:
    """Ask and wait; each step of the history is printed on stderr as it happens.

    Raises DaemonDown when nobody answers at all. Every later failure is in ``Ended.error``, so
    that the caller can still tell what had happened until then.
    """
    follower = Follower.from_now()
    begun_wall_s = time.time()
    with ProgressLine(work.saying) as line:
        request = Request(work, line.show)
        request.start()
        running = True
        while running:
            request.join(LOOK_S)
            # Asked before the history is read, so that its last steps are shown.
            running = request.is_alive()
            _show_new(follower, work, line, begun_wall_s)
        took_s = line.took_s
    history = tuple(each for each in follower.all_new if _concerns(work, each))
    return Ended(*request.ended(), took_s, history)


def _concerns(work: Work, happening: Happening) -> bool:
    return not work.application or happening.application == work.application


def _show_new(follower: Follower, work: Work, line: ProgressLine, begun_wall_s: float) -> None:
    try:
        fresh = follower.new()
    except RpcError:
        return  # The daemon is being restarted; the request itself says how it ended.
    paint = paint_for(sys.stderr)
    for happening in fresh:
        if _concerns(work, happening):
            line.say(step_line(happening, begun_wall_s, paint))


def ask_only(work: Work) -> Ended:
    """Ask, wait a moment for a refusal, and leave the rest to the daemon."""
    try:
        return Ended(call(work.verb, work.args, timeout_s=patience_s(ACCEPT_S)))
    except NoAnswerInTimeError:
        still_alive()  # Else nobody has read it.
        return Ended({"text": "asked; the daemon works on it: clstat tells how it ends"})
