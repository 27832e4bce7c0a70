"""Sees to it that each application that runs here has its Lems, and hears what they find.

Lems and their parent come and go by themselves: they live on when this daemon dies, and are taken
over by the next one. Nothing here is waited for by what decides.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Final

from hapair import __version__
from hapair.core.words.effects import Severity, Watch
from hapair.core.words.events import Event, Unwatched, Watched
from hapair.model.built import Built, BuiltApplication
from hapair.model.monitor import LIFE_S, MONITORS_MAX, Finding
from hapair.model.timeline import ANSWERS, Happening
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.history.repeats import Repeats
from hapair.runtime.lems.changes import Changes, Watchable, in_force
from hapair.runtime.lems.orders import ProgramGroup, watch_order
from hapair.runtime.lems.server import Line
from hapair.runtime.lems.wire import (
    Checked,
    Found,
    Hello,
    MonitorState,
    NotForked,
    NotWatched,
    ParentHello,
    States,
    Word,
    order,
)

SILENT_S: Final = 3 * LIFE_S
# It may have to read all that it needs from a disk that is slow; nothing waits for it but what has
# no Lems.
PARENT_SILENT_S: Final = 30.0
LOOK_S: Final = 0.5
STOOD_S: Final = 3.0  # This daemon did not look for so long: it stood still, and heard nobody.
FORK_S: Final = 5.0  # From the order to fork until the Lems has connected.
# A Lems that outlived a daemon waits for the new one to find out what runs here.
GRACE_S: Final = 60.0
END_S: Final = 2.0  # From the order to end until it is killed.
BACK_OFF_S: Final = (0.0, 0.2, 1.0, 5.0, 30.0)  # Before the next one, by how many did not stay.
STAYS_S: Final = 60.0  # One that lives so long did stay.
LOST_MAX: Final = 3  # So many in a row that did not stay are told to the core.
HISTORY_MAX: Final = 200  # Of an application.
CHECK_GRACE_S: Final = 2.0
MONITOR: Final = "monitor"  # A line of the history: what one turned to.
BAD: Final = ("warning", "failed")
WAITS: Final = ("waiting", "failed")
STARTED: Final = "started"
STOPPED: Final = "stopped"
LATE_S: Final = 5.0  # An application that was started and does not answer is told after it.


@dataclass(frozen=True, slots=True)
class Turned:
    """A monitor says something else than before."""

    wall_s: float
    monitor: str
    state: str
    text: str


@dataclass(slots=True)
class Post:
    """One application, and the Lems that watches it."""

    application: str
    run: int | None = None  # As the core wants it; None: it has said nothing yet.
    line: Line | None = None
    since_s: float = 0.0  # When this Lems came, or its absence began.
    ending_s: float | None = None  # When it was told to end.
    again_s: float = 0.0  # Not before then another one is forked.
    lost: int = 0  # Lems in a row that did not stay.
    why: str = ""  # Why nobody watches it; empty: somebody does.
    told_why: str = ""  # What the core was told of that.
    hint: str = ""  # Why the parent could not fork it.
    findings: tuple[Finding, ...] | None = None  # Of this run; None: not looked at all yet.
    awaited: bool = False  # It was started, and has not answered since.
    late_s: float = 0.0  # When that is told, once.
    states: dict[str, MonitorState] = field(default_factory=dict)
    history: deque[Turned] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))

    @property
    def wanted(self) -> bool:
        return bool(self.run)


@dataclass(slots=True)
class Lookout:
    """All posts. It is told by the core what to watch, and by Lems what they find."""

    clock: Clock
    journal: Journal
    offer: Callable[[Event], None]
    built: Callable[[], Built | None]
    changes: Callable[[str], Changes]
    group: Callable[[str], ProgramGroup]  # Of an application.
    posts: dict[str, Post] = field(default_factory=dict)
    parent: Line | None = None
    _checks: dict[int, asyncio.Future[Checked]] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _repeats: Repeats = field(default_factory=Repeats)
    _looked_s: float = 0.0

    # What the core wants.

    def watch(self, wanted: Watch) -> None:
        """Take an order of the core; it is repeated, and only what is new of it matters."""
        post = self._post(wanted.application)
        if post.run == wanted.run:
            return
        post.run, post.findings, post.states = wanted.run, None, {}
        if not wanted.run:
            post.lost, post.why, post.told_why, post.awaited = 0, "", "", False
            post.again_s = 0.0
        elif post.line is None:
            post.since_s = self.clock.boot_s()
        else:
            self._take(post, post.line)  # It may have watched this run before this daemon came.
        self._tend(post)

    def refresh(self) -> None:
        """Tell each Lems what has changed: the configuration, or what lemsctl did."""
        for post in self.posts.values():
            self._tend(post)

    def noted(self, happening: Happening) -> None:
        """Follow the history: who is started has to answer, and is told of when it does."""
        if happening.name in {STARTED, STOPPED} and happening.application:
            post = self._post(happening.application)
            post.awaited = happening.name == STARTED
            post.late_s = self.clock.boot_s() + LATE_S

    # What Lems and their parent say.

    def heard(self, line: Line, word: Word) -> None:
        match word:
            case ParentHello(version):
                former, self.parent = self.parent, line
                line.version = version
                if former is not None and former is not line:
                    former.drop()
                self.refresh()
            case Hello():
                self._came(line, word)
            case NotForked(application, why):
                if line is self.parent and application in self.posts:
                    self.posts[application].hint = why
            case Checked(number):
                waiting = self._checks.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(word)
            case Found():
                line.found = word
            case States():
                line.states = word
            case NotWatched(why):
                self._tell_not_watched(line, why)
            case _:
                pass
        if (post := self._of(line)) is not None:
            if isinstance(word, Found | States):
                self._take(post, line)
            self._tend(post)

    def gone(self, line: Line) -> None:
        if line is self.parent:
            self.parent = None
        if (post := self._of(line)) is not None:
            self._lost(post, "it ended")
            self._tend(post)

    def _came(self, line: Line, hello: Hello) -> None:
        post, now_s = self._post(hello.application), self.clock.boot_s()
        line.version, line.application = hello.version, hello.application
        former = post.line
        if former is not None and former is not line:
            if former.open and former.pid != line.pid:
                line.send(order(end=True))  # One is enough, and that one lives.
                return
            former.drop()  # The same one has connected again.
        post.line, post.since_s, post.ending_s, post.hint = line, now_s, None, ""

    def _take(self, post: Post, line: Line) -> None:
        """Take over what a Lems said last of the run that is wanted."""
        if line.states is not None and line.states.run == post.run:
            self._turned(post, line.states.monitors)
        if line.found is not None and line.found.run == post.run:
            self._found(post, line.found)

    def _found(self, post: Post, found: Found) -> None:
        findings = found.findings
        if post.awaited and found.well and not findings:
            post.awaited = False
            text = "its monitors find it well for the first time since its start"
            self.journal.add(ANSWERS, text, application=post.application)
        if findings == post.findings:
            return
        post.findings = findings
        at_s, wall_s = self.clock.boot_s(), self.clock.wall_s()
        self.offer(Watched(at_s, post.application, found.run, findings, wall_s))

    def _turned(self, post: Post, monitors: tuple[MonitorState, ...]) -> None:
        former, post.states = post.states, {each.name: each for each in monitors}
        for each in monitors:
            before = former.get(each.name)
            if before is None or before.state != each.state:
                self._tell_turn(post, each, before)

    def _tell_not_watched(self, line: Line, why: str) -> None:
        if (post := self._of(line)) is not None and post.hint != why:
            post.hint = why
            text = f"its Lems does not understand what it is to watch: {why}"
            severity = Severity.WARNING
            self.journal.add("unwatched", text, application=post.application, severity=severity)

    def _tell_turn(self, post: Post, now: MonitorState, before: MonitorState | None) -> None:
        """Write it down, in the history of the node too when it is bad, or was."""
        post.history.append(Turned(self.clock.wall_s(), now.name, now.state, now.text))
        worth = now.state in BAD or (before is not None and before.state in BAD)
        key = f"{post.application} {now.name} {now.state}"
        if worth and self._repeats.told(key, self.clock.boot_s()):
            severity = Severity.WARNING if now.state in BAD else Severity.INFO
            text = f"{now.name}: {now.state}" + (f": {now.text}" if now.text else "")
            self.journal.add(MONITOR, text, application=post.application, severity=severity)

    # Seeing to it that somebody watches.

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Look once at all posts; the time may have made something of them due."""
        now_s, before_s = self.clock.boot_s(), self._looked_s
        self._looked_s = now_s
        if self.parent is not None and now_s - before_s > STOOD_S:
            self.parent.heard_s = now_s
        self._end_silent_parent(now_s)
        for post in tuple(self.posts.values()):
            if post.line is not None and now_s - before_s > STOOD_S:
                post.line.heard_s = now_s  # Nobody listened: what they said still waits.
            self._end_silent(post, now_s)
            self._tend(post)
            if post.line is None and self._built(post.application) is None:
                del self.posts[post.application]

    def _tend(self, post: Post) -> None:
        now_s = self.clock.boot_s()
        if not post.wanted:
            self._end_unwanted(post, now_s)
            return
        if post.line is None:
            self._fork(post, now_s)
        elif self._is_outdated(post.line) or post.ending_s is not None:
            self._end(post, now_s)
        else:
            self._tell(post, post.line, now_s)
        if post.awaited and now_s >= post.late_s:
            self._tell_late(post)
        self._tell_core(post, now_s)

    def _end_silent(self, post: Post, now_s: float) -> None:
        if post.line is not None and now_s - post.line.heard_s > SILENT_S:
            silent_s = now_s - post.line.heard_s
            post.line.kill()
            self._lost(post, f"it said nothing for {silent_s:.0f} s, and was ended")

    def _end_silent_parent(self, now_s: float) -> None:
        """End a parent that hangs: systemd starts another one, and what it forked goes on."""
        parent = self.parent
        if parent is None or now_s - parent.heard_s <= PARENT_SILENT_S:
            return
        self.parent = None
        parent.kill()
        text = (
            f"hapair-lems.service said nothing for {PARENT_SILENT_S:.0f} s, and was ended: systemd"
            " starts it anew; what watches applications goes on"
        )
        self.journal.add("parent-silent", text, severity=Severity.WARNING)

    def _tell_late(self, post: Post) -> None:
        """Say what keeps an application that was started from answering."""
        post.late_s = inf
        bad = [each for each in post.states.values() if each.state in WAITS]
        names = ", ".join(f"{each.name} ({each.text or each.state})" for each in bad)
        text = f"it was started, and does not answer yet: {names or 'no monitor has said anything'}"
        self.journal.add("awaited", text, application=post.application, severity=Severity.WARNING)

    def _end_unwanted(self, post: Post, now_s: float) -> None:
        """End the Lems of what does not run here, once that is known."""
        waits = post.run is None and now_s - post.since_s < GRACE_S
        if post.line is not None and not waits:
            self._end(post, now_s)

    def _is_outdated(self, line: Line) -> bool:
        """Tell whether a Lems of this version can replace one of another version."""
        parent = self.parent
        return line.version != __version__ and parent is not None and parent.version == __version__

    def _end(self, post: Post, now_s: float) -> None:
        if post.line is None:
            return
        if post.ending_s is None:
            post.ending_s = now_s
            post.line.send(order(end=True))
        elif now_s - post.ending_s > END_S:
            post.line.kill()

    def _fork(self, post: Post, now_s: float) -> None:
        if self.parent is not None and now_s >= post.again_s:
            post.again_s = now_s + FORK_S
            self.parent.send(order(fork=post.application))

    def _tell(self, post: Post, line: Line, now_s: float) -> None:
        if post.lost and now_s - post.since_s > STAYS_S:
            post.lost = 0
        built = self._built(post.application)
        if built is None or not post.run:
            return
        changes = self.changes(post.application)
        if (of := (post.run, built, changes)) == line.told_of:
            return
        line.told_of = of
        watchables, group = in_force(built.application, changes), self.group(post.application)
        self._tell_beyond(post.application, watchables[MONITORS_MAX:])
        these = watchables[:MONITORS_MAX]
        line.send(watch_order(self.journal.node, post.run, built, these, group))

    def _tell_beyond(self, application: str, beyond: tuple[Watchable, ...]) -> None:
        """Name what is not watched, although clbuildapp and lemsctl refuse to have so many."""
        if beyond:
            names = ", ".join(each.monitor.name for each in beyond)
            text = f"it has more than {MONITORS_MAX} monitors; not watched: {names}"
            severity = Severity.WARNING
            self.journal.add("unwatched", text, application=application, severity=severity)

    def _lost(self, post: Post, why: str) -> None:
        """Take note that its Lems is gone, and let the next one wait longer each time."""
        now_s = self.clock.boot_s()
        expected = post.ending_s is not None or not post.wanted
        stayed = now_s - post.since_s > STAYS_S
        post.line, post.ending_s, post.since_s = None, None, now_s
        post.lost = 0 if expected else 1 if stayed else post.lost + 1
        post.again_s = now_s + BACK_OFF_S[min(post.lost, len(BACK_OFF_S) - 1)]
        if not expected:
            post.hint = why

    def _tell_core(self, post: Post, now_s: float) -> None:
        """Say when nobody watches, and when somebody does again."""
        there = post.line is not None and post.ending_s is None
        if post.lost >= LOST_MAX:
            post.why = f"its Lems does not stay: {post.hint}"
        elif there:
            post.why = ""
        elif now_s - post.since_s > SILENT_S:
            nobody = "hapair-lems.service does not answer" if self.parent is None else ""
            post.why = f"it has no Lems: {nobody or post.hint or 'none has come'}"
        if bool(post.why) == bool(post.told_why):
            return
        post.told_why = post.why
        self.offer(Unwatched(self.clock.boot_s(), post.application, post.why))

    # What people ask.

    async def check(self, application: str, monitor: str, timeout_s: float) -> Checked:
        """Let a monitor be asked now; RpcError when nobody can."""
        post = self.posts.get(application)
        if post is None or post.line is None or not post.wanted:
            raise RpcError(
                f"no Lems watches {application} on {self.journal.node}",
                f"it is watched where it runs: clstat --why {application}",
                exit_code=ExitCode.NOT_NOW,
            )
        number = next(self._numbers)
        waiting: asyncio.Future[Checked] = asyncio.get_running_loop().create_future()
        self._checks[number] = waiting
        post.line.send(order(check=monitor, id=number))
        try:
            async with asyncio.timeout(timeout_s + CHECK_GRACE_S):
                return await waiting
        except TimeoutError:
            raise RpcError(
                f"{monitor} gave no answer within {timeout_s + CHECK_GRACE_S:g} s",
                f"see: lemsctl {application} status",
                exit_code=ExitCode.UNFINISHED,
            ) from None
        finally:
            self._checks.pop(number, None)

    def _post(self, application: str) -> Post:
        post = self.posts.get(application)
        if post is None:
            post = self.posts[application] = Post(application, since_s=self.clock.boot_s())
        return post

    def _of(self, line: Line) -> Post | None:
        post = self.posts.get(line.application)
        return post if post is not None and post.line is line else None

    def _built(self, application: str) -> BuiltApplication | None:
        built = self.built()
        return built.by_name.get(application) if built is not None else None
