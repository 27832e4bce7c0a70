"""One Lems: watches one application for as long as the daemon wants, whether it is there or not."""

import os
import time
from dataclasses import dataclass, field
from typing import Final

from hapair import __version__
from hapair.config.codec import DamagedError, encode
from hapair.lems.answers import UNKNOWN, WARNING, Answer, Probe, bounded, one_line
from hapair.lems.asking import Asking
from hapair.lems.line import Line, Message, Pace
from hapair.lems.loop import Loop, Timer, boot_s
from hapair.lems.programs import Strays
from hapair.lems.record import Record
from hapair.lems.watch import Agents, Watch, probe_of, read
from hapair.model.monitor import LIFE_S, Monitor

ALONE_MAX_S: Final = 600.0  # With nobody to talk to.
STATES_S: Final = 1.0  # Between two messages of what changed.
COUNTS_S: Final = 10.0  # Between two that only bring counts.
AGAIN_S: Final = 0.002  # Between two looks because a process ended.


@dataclass(slots=True)
class Watched:
    """A monitor at work."""

    record: Record
    probe: Probe
    asking: Asking | None = None
    timer: Timer | None = None
    living: tuple[int, ...] = ()
    asked_by: list[object] = field(default_factory=list)  # Who is told of the next answer.

    @property
    def busy(self) -> bool:
        return self.asking is not None and not self.asking.over


class Lems:
    def __init__(
        self,
        application: str,
        path: str,
        agents: Agents,
        *,
        alone_s: float = ALONE_MAX_S,
        reaps: bool = False,  # All children of this process are its own, and what they left.
    ) -> None:
        self.loop = Loop()
        self._application = application
        self._agents = agents
        self._alone_s = alone_s
        self._strays = Strays() if reaps else None
        self._watch: Watch | None = None
        self._each: dict[str, Watched] = {}
        self._hanging: dict[str, Watched] = {}  # Monitors that are not watched any more.
        self._findings: object = None  # As they were told last.
        self._telling: Timer | None = None  # It is told later.
        self._tells, self._shows = Pace(), Pace()
        self._shown: object = None
        self._shown_s = 0.0
        self._showing: Timer | None = None
        self._line = Line(self.loop, path, self._hello, self._heard)

    def run(self) -> None:
        """Return when it was told to end, or has been alone for too long."""
        self._line.connect()
        self._live()
        self.loop.run()
        self._rest()

    def _hello(self) -> None:
        run = self._watch.run if self._watch is not None else 0
        said = {"hello": "lems", "application": self._application, "pid": os.getpid()}
        self._line.say({**said, "version": __version__, "run": run})
        self._findings = self._shown = None
        self._tells, self._shows = Pace(), Pace()
        self._tell_findings()
        self._show_soon()

    def _live(self) -> None:
        self._line.say({"lives": True})
        if not self._line.connected and boot_s() - self._line.lost_s > self._alone_s:
            self.loop.ended = True
        if self._strays is not None:
            self._end_strays(self._strays)
        self.loop.after(LIFE_S, self._live)

    def _end_strays(self, strays: Strays) -> None:
        each = (*self._each.values(), *self._hanging.values())
        asking = [one.asking for one in each if one.asking is not None]
        programs = {one.program.pid: one.awaited for one in asking if one.program is not None}
        strays.end(programs, frozenset(pid for pid, awaited in programs.items() if awaited))

    def _heard(self, message: Message) -> None:
        if "watch" in message:
            try:
                self._begin(read(message["watch"]))
            except DamagedError as error:
                self._line.say({"refused": one_line(str(error))})
        elif "rest" in message:
            self._rest()
        elif "check" in message:
            self._check(str(message["check"]), message.get("id"))
        elif "end" in message:
            self.loop.ended = True

    # What is watched.

    def _begin(self, watch: Watch) -> None:
        """Take over the newest state; what has not changed in it goes on undisturbed."""
        before, self._watch = self._watch, watch
        kept = before is not None and _same_run(before, watch)
        old = self._each if kept else {}
        if not kept:
            self._rest(of=watch)
        self._each = {}
        for monitor, halted in watch.monitors:
            same = old.pop(monitor.name, None)
            if same is not None and same.record.monitor == monitor:
                self._each[monitor.name] = same
            else:
                self._drop(same)
                self._add(monitor, watch)
            self._halt(monitor.name, halted=halted)
        for gone in old.values():
            self._drop(gone)
        self._tell_findings()
        self._show_soon()

    def _add(self, monitor: Monitor, watch: Watch) -> None:
        if (probe := probe_of(monitor, watch, self._agents)) is not None:
            record = Record(monitor, boot_s() + monitor.delay_s)
            made = self._each[monitor.name] = Watched(record, probe)
            made.timer = self.loop.after(0.0, lambda: self._due(made))

    def _halt(self, name: str, *, halted: bool) -> None:
        if (watched := self._each.get(name)) is not None and watched.record.halted != halted:
            watched.record.halt(halted=halted, wall_s=time.time())
            if not halted:
                self._plan(watched, boot_s())

    def _rest(self, of: Watch | None = None) -> None:
        for each in self._each.values():
            self._drop(each)
        self._each = {}
        self._watch = of
        self._findings = self._shown = None

    def _drop(self, watched: Watched | None) -> None:
        if watched is None:
            return
        self._let_go(watched)
        if watched.timer is not None:
            watched.timer.cancel()
        if watched.busy and watched.asking is not None:
            watched.asking.drop()
            self._hanging[watched.record.monitor.name] = watched
        else:
            watched.probe.close()

    # Checks.

    def _due(self, watched: Watched) -> None:
        monitor = watched.record.monitor
        self._plan(watched, boot_s() + monitor.interval_s)
        if not watched.record.halted:
            self._ask(watched)

    def _plan(self, watched: Watched, due_s: float) -> None:
        if watched.timer is not None:
            watched.timer.cancel()
        watched.timer = self.loop.at(due_s, lambda: self._due(watched))

    def _ask(self, watched: Watched) -> None:
        """Begin a check, unless an earlier one hangs: that is another failure."""
        monitor = watched.record.monitor
        former = self._hanging.pop(monitor.name, None)
        if former is not None and former.busy:
            self._hanging[monitor.name] = former
        elif former is not None:
            former.probe.close()
        hanging = watched if watched.busy else self._hanging.get(monitor.name)
        earlier = hanging.asking if hanging is not None else None
        if earlier is None:
            begun_s = boot_s()  # It may have its answer at once.

            def answered(answer: Answer) -> None:
                self._answer(watched, answer, boot_s() - begun_s)

            watched.asking = Asking(self.loop, watched.probe, monitor.timeout_s, answered)
        elif boot_s() - earlier.begun_s >= monitor.timeout_s:
            self._take(watched, earlier.hanging(), boot_s() - earlier.begun_s)

    def _answer(self, watched: Watched, answer: Answer, lasted_s: float) -> None:
        self._take(watched, answer, lasted_s)
        self._let_go(watched)
        self._watch_living(watched, answer.living)

    def _take(self, watched: Watched, answer: Answer, lasted_s: float) -> None:
        answer = bounded(answer)
        watched.record.take(answer, lasted_s, boot_s(), time.time())
        for asker in watched.asked_by:
            state = WARNING if answer.state == UNKNOWN else answer.state
            told = {"id": asker, "state": state, "text": answer.text}
            self._line.say({"checked": told})
        watched.asked_by.clear()
        self._tell_findings()
        self._show_soon()

    def _watch_living(self, watched: Watched, living: tuple[int, ...]) -> None:
        begun_s = boot_s()

        def ended() -> None:
            self._let_go(watched)
            self._plan(watched, begun_s + AGAIN_S)

        for descriptor in living:
            self.loop.watch(descriptor, ended)
        watched.living = living

    def _let_go(self, watched: Watched) -> None:
        for descriptor in watched.living:
            self.loop.unwatch(descriptor)
        watched.living = ()

    def _check(self, name: str, number: object) -> None:
        watched = self._each.get(name)
        if watched is None:
            text = f"{self._application} has no monitor {name}"
            self._line.say({"checked": {"id": number, "state": "waiting", "text": text}})
            return
        watched.asked_by.append(number)
        self._ask(watched)

    # What is told.

    def _tell_findings(self) -> None:
        """Tell them when they changed, and first when each monitor has answered."""
        watch, records = self._watch, [one.record for one in self._each.values()]
        if watch is None or self._telling is not None:
            return
        found = sorted(one.finding for one in records if one.finding is not None)
        complete = all(one.answered for one in records)
        # Where all are halted nobody waits for one of them.
        well = any(one.well for one in records) or all(one.halted for one in records)
        if (found, well) == self._findings or not (found or complete):
            return
        if (wait_s := self._tells.wait_s) > 0:
            self._telling = self.loop.after(wait_s, self._tell_later)
            return
        self._findings = (found, well)
        told = {"run": watch.run, "well": well, "findings": [encode(one) for one in found]}
        self._tells.said(self._line.say({"findings": told}))

    def _tell_later(self) -> None:
        self._telling = None
        self._tell_findings()

    def _show_soon(self) -> None:
        """Tell what people see, in a while when it changed; later when only counts did."""
        each = (watched.record for watched in self._each.values())
        changed = [(one.state, one.text) for one in each] != self._shown
        due_s = self._shown_s + (STATES_S if changed else COUNTS_S)
        if self._showing is None or self._showing.due_s > due_s:
            if self._showing is not None:
                self._showing.cancel()
            self._showing = self.loop.at(due_s, self._show)

    def _show(self) -> None:
        if (wait_s := self._shows.wait_s) > 0:
            self._showing = self.loop.after(wait_s, self._show)
            return
        self._showing, self._shown_s = None, boot_s()
        if self._watch is None:
            return
        records = [watched.record for watched in self._each.values()]
        self._shown = [(one.state, one.text) for one in records]
        monitors = [one.shown() for one in records]
        told = {"run": self._watch.run, "monitors": monitors}
        self._shows.said(self._line.say({"states": told}))


def _same_run(before: Watch, now: Watch) -> bool:
    """Tell whether nothing changed but the monitors."""
    return (before.run, before.application.program, before.mounts, before.group) == (
        now.run,
        now.application.program,
        now.mounts,
        now.group,
    )
