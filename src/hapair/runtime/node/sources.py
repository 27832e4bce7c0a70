"""Where events come from: time, heartbeats, the replication engine, cards."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.core.words.effects import Severity
from hapair.core.words.events import Beat, DataChanged, Event, Heard, NotUnderstood, Tick
from hapair.model.cluster import Timing
from hapair.ports.data import Replication
from hapair.ports.machine import Clock
from hapair.ports.peer import HeardDatagram, Heartbeats, Saying
from hapair.rpc.messages import Malformed
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.beats import Listener, bodies
from hapair.runtime.pauses import Moment, late_s

EPSILON_S: Final = 0.001  # Wake up just after a deadline, not just before it.
WATCH_AGAIN_S: Final = 1.0  # After the stream of facts has ended.

Offer = Callable[[Event], None]


def read_beat(listener: Listener, datagram: HeardDatagram) -> Beat:
    """Read an authenticated heartbeat; Malformed if it is not one of this version."""
    beat = listener.read(datagram.body)
    if beat.incarnation != datagram.incarnation:
        raise Malformed("the incarnation differs from the authenticated one")
    return beat


@dataclass(slots=True)
class Pulse:
    """Says what the heartbeats say, takes in what they heard, and lets the core look at the time.

    Everything that came is handed over before each Tick: a node that was not scheduled for a while
    must not take the heartbeats that wait for it for silence.
    """

    heartbeats: Heartbeats
    timing: Timing
    clock: Clock
    journal: Journal
    offer: Offer
    last_heard_s: Callable[[], float | None]  # When the core heard the peer, if it ever did.
    decisions: Callable[
        [], int | None
    ]  # How many there were; None: it waits for a disk, and says so.
    beat: Beat | None = None
    # What is said before the core has said anything, if that is because the disk takes nothing.
    before: Beat | None = None
    cannot_store: Callable[[], bool] = lambda: False
    echoed_s: float | None = None  # When the peer last said that it hears this daemon.
    received_s: float = float("-inf")  # When any heartbeat came.
    saying: Saying | None = None
    unable: bool = False  # What ``cannot_store`` told when that was made.
    decided: int | None = 0
    decided_at_s: float = float("-inf")
    malformed: int = 0
    listener: Listener = field(default_factory=Listener)

    def open(self) -> None:
        """Begin, also with new connections: what was said before is said by these as well."""
        self.heartbeats.open(self.heard, self._tell_trouble)
        if self.saying is not None:
            self.heartbeats.say(self.saying, self.decided_at_s)

    def set_beat(self, beat: Beat) -> None:
        """Say this from now on, but for the echo as soon as the peer is silent."""
        self.beat = beat
        self._say(self.clock.boot_s())

    def _say(self, decided_at_s: float) -> None:
        """Say what holds now: whether the disk takes anything is no word of the core's.

        The core may be waiting for that disk, or not have said anything yet.
        """
        self.unable = self.cannot_store()
        beat = self.before if self.beat is None and self.unable else self.beat
        if beat is not None:
            beat = replace(beat, cannot_store=self.unable)
            self.saying = Saying(beat.incarnation, bodies(beat), bodies(replace(beat, echo=0)))
            self.heartbeats.say(self.saying, decided_at_s)

    def heard(self, datagram: HeardDatagram) -> None:
        self.received_s = datagram.at_s
        try:
            beat = read_beat(self.listener, datagram)
        except Malformed as error:
            self.malformed += 1
            if self.malformed == 1:
                text = f"a heartbeat of the peer is not understood: {error}"
                self.journal.add("malformed", text, severity=Severity.WARNING)
            # It has the right key: a peer of another version is not understood, but alive.
            self.offer(NotUnderstood(datagram.at_s, datagram.incarnation))
            return
        if self.beat is not None and beat.echo == self.beat.incarnation:
            self.echoed_s = self.received_s
        self.offer(Heard(datagram.at_s, datagram.network, beat))

    async def run(self) -> None:
        while True:
            now = self._now()
            self._tell_progress(now.boot_s)
            wait_s = max(self._until_deadline_s(now.boot_s), EPSILON_S)
            await asyncio.sleep(wait_s)
            woken = self._now()
            self.heartbeats.drain()
            self._tell_pause(now, wait_s, woken)
            self.offer(Tick(woken.boot_s))

    def _tell_progress(self, now_s: float) -> None:
        """Tell that something was decided: many events at once are decided one after the other."""
        count = self.decisions()
        if count is None or count != self.decided:
            self.decided, self.decided_at_s = count, now_s
        if self.cannot_store() is not self.unable:
            self._say(self.decided_at_s)
        self.heartbeats.decided(self.decided_at_s)

    def _now(self) -> Moment:
        return Moment(self.clock.monotonic_s(), self.clock.boot_s())

    def _until_deadline_s(self, now_s: float) -> float:
        """Return how long until the peer would be lost, so that it is noticed at that moment."""
        heard_s = self.last_heard_s()
        if heard_s is None:
            return self.timing.heartbeat_s
        left_s = heard_s + self.timing.detection_s + EPSILON_S - now_s
        return min(left_s, self.timing.heartbeat_s) if left_s > 0 else self.timing.heartbeat_s

    def _tell_pause(self, asleep: Moment, wait_s: float, woken: Moment) -> None:
        planned = Moment(asleep.monotonic_s + wait_s, asleep.boot_s + wait_s)
        late = late_s(planned, woken)
        if late <= self.timing.detection_s / 2:
            return
        if woken.boot_s - self.received_s < self.timing.detection_s:
            text = f"this daemon decided nothing for {late:.1f} s; its heartbeats went on meanwhile"
            self.journal.add("busy", text, severity=Severity.WARNING)
            return
        text = f"this node stood still for {late:.1f} s; the peer may have taken over meanwhile"
        self.journal.add("paused", text, severity=Severity.WARNING)

    def _tell_trouble(self, text: str) -> None:
        self.journal.add("heartbeats", text, severity=Severity.ALARM)


async def watch_data(replication: Replication, clock: Clock, offer: Offer) -> None:
    """Hand over every change that the replication engine reports, for ever."""
    while True:
        async for facts in replication.watch():
            offer(DataChanged(clock.boot_s(), facts))
        await asyncio.sleep(WATCH_AGAIN_S)
