"""One question to its end: in a thread or by a program, within its time limit or hanging."""

from collections.abc import Callable
from typing import Final

from hapair.lems.answers import Answer, Command, Finished, Probe, Said, failed, unknown
from hapair.lems.loop import Loop, Timer, boot_s
from hapair.lems.programs import Program

STAGES_MAX: Final = 4  # Of one check: ask systemd, then look.


class Asking:
    """A check under way. ``answered`` is called once: with what was found, or at the time limit.

    Until ``over`` it must not be begun a second time: what was asked still hangs.
    """

    def __init__(
        self, loop: Loop, probe: Probe, timeout_s: float, answered: Callable[[Answer], object]
    ) -> None:
        self._loop = loop
        self._probe = probe
        self._answered: Callable[[Answer], object] | None = answered
        self.program: Program | None = None
        self._stages = 0
        self._asks = ""
        self._timeout_s = timeout_s
        self.begun_s = boot_s()
        self.over = False
        self._limit: Timer = loop.at(self.begun_s + timeout_s, self._too_late)
        self._go_on(_said(probe.ask))

    @property
    def awaited(self) -> bool:
        return self._answered is not None

    def hanging(self) -> Answer:
        """Return what it means that it still has not answered."""
        within = f"within {self._timeout_s:g} s"
        if self._asks:
            return unknown(f"{self._asks} gave no answer about it {within}")
        text = f"{self._probe.asked()} gave no answer {within}"
        trouble = self._probe.trouble
        return unknown(text) if trouble is None else failed(text, trouble)

    def drop(self) -> None:
        """Nobody wants the answer any more; what hangs goes on hanging."""
        self._answered = None
        self._limit.cancel()
        if self.program is not None and not self.over:
            self.program.kill()

    def _go_on(self, said: Said) -> None:
        self._stages += 1
        self._asks = said.asks if isinstance(said, Command) else ""
        if isinstance(said, Answer):
            self._end(said)
        elif self._answered is None or self._stages > STAGES_MAX:
            self._end(unknown("it has no answer"))
        elif isinstance(said, Command):
            self._run(said)
        else:
            self._call(said)

    def _call(self, call: Callable[[], Said]) -> None:
        def done(said: Said | None) -> None:
            self._go_on(said or unknown("asking failed: this is a bug, see the journal"))

        try:
            self._loop.thread(lambda: _said(call), done)
        except RuntimeError as error:
            self._end(unknown(f"it could not be asked: {error}"))

    def _run(self, command: Command) -> None:
        try:
            program = self.program = Program(self._loop, command)
        except OSError as error:
            self._end(_not_asked(error))
            return

        def done(finished: Finished) -> None:
            self.program = None
            self._go_on(_said(lambda: command.judge(finished)))

        program.follow(done)

    def _end(self, answer: Answer) -> None:
        self.over = True
        self._limit.cancel()
        if (answered := self._answered) is not None:
            self._answered = None
            answered(answer)

    def _too_late(self) -> None:
        if (answered := self._answered) is not None:
            self._answered = None
            if self.program is not None:
                self.program.kill()
            answered(self.hanging())


def _said(ask: Callable[[], Said]) -> Said:
    try:
        return ask()
    except OSError as error:
        return _not_asked(error)


def _not_asked(error: OSError) -> Answer:
    """Say why nothing is known: a probe raises only what says nothing of the application."""
    about = f"{error.filename}: " if error.filename else ""
    return unknown(f"it could not be asked: {about}{error.strerror or error}")
