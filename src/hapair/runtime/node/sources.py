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
from hapair.ports.peer import HeardDatagram, Heartbeats
from hapair.rpc.messages import Malformed
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.beats import Listener, Speaker
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
    """Sends heartbeats and lets the core look at the time.

    Everything the kernel received is handed over before each Tick: a node that was not scheduled
    for a while must not take the datagrams that wait in its buffers for silence.
    """

    heartbeats: Heartbeats
    timing: Timing
    clock: Clock
    journal: Journal
    offer: Offer
    last_heard_s: Callable[[], float | None]  # When the core heard the peer, if it ever did.
    beat: Beat | None = None
    # What is said before the core has said anything, if that is because the disk takes nothing.
    before: Beat | None = None
    cannot_store: Callable[[], bool] = lambda: False
    echoed_s: float | None = None  # When the peer last said that it hears this daemon.
    received_s: float = float("-inf")  # When any heartbeat came.
    malformed: int = 0
    speaker: Speaker = field(default_factory=Speaker)
    listener: Listener = field(default_factory=Listener)

    def open(self) -> None:
        self.heartbeats.open(self.heard)

    def set_beat(self, beat: Beat) -> None:
        """Say this from now on, and at once: news must not wait for the next interval."""
        self.beat = beat
        self.send()

    def send(self) -> None:
        """Repeat what the core said last, but for the echo: the core may be waiting for a disk."""
        unable = self.cannot_store()
        beat = self.before if self.beat is None and unable else self.beat
        if beat is not None:
            deaf = self.clock.boot_s() - self.received_s > self.timing.detection_s
            if deaf or unable:
                beat = replace(beat, echo=0 if deaf else beat.echo, cannot_store=unable)
            for body in self.speaker.say(beat):
                self.heartbeats.send(beat.incarnation, body)

    def heard(self, datagram: HeardDatagram) -> None:
        self.received_s = self.clock.boot_s()
        try:
            beat = read_beat(self.listener, datagram)
        except Malformed as error:
            self.malformed += 1
            if self.malformed == 1:
                text = f"a heartbeat of the peer is not understood: {error}"
                self.journal.add("malformed", text, severity=Severity.WARNING)
            # It has the right key: a peer of another version is not understood, but alive.
            self.offer(NotUnderstood(self.clock.boot_s(), datagram.incarnation))
            return
        if self.beat is not None and beat.echo == self.beat.incarnation:
            self.echoed_s = self.received_s
        self.offer(Heard(self.clock.boot_s(), datagram.network, beat))

    async def run(self) -> None:
        send_at_s = self._now().monotonic_s
        while True:
            now = self._now()
            if now.monotonic_s >= send_at_s:
                self.send()
                send_at_s = max(send_at_s + self.timing.heartbeat_s, now.monotonic_s)
            wait_s = min(send_at_s - now.monotonic_s, self._until_deadline_s(now.boot_s))
            wait_s = max(wait_s, EPSILON_S)
            await asyncio.sleep(wait_s)
            woken = self._now()
            self._tell_pause(now, wait_s, woken)
            self.heartbeats.drain()
            self.offer(Tick(woken.boot_s))

    def _now(self) -> Moment:
        return Moment(self.clock.monotonic_s(), self.clock.boot_s())

    def _until_deadline_s(self, now_s: float) -> float:
        """Return how long until the peer would be lost, so that it is noticed at that moment."""
        heard_s = self.last_heard_s()
        if heard_s is None:
            return self.timing.heartbeat_s
        left_s = heard_s + self.timing.detection_s + EPSILON_S - now_s
        return left_s if left_s > 0 else self.timing.heartbeat_s

    def _tell_pause(self, asleep: Moment, wait_s: float, woken: Moment) -> None:
        planned = Moment(asleep.monotonic_s + wait_s, asleep.boot_s + wait_s)
        late = late_s(planned, woken)
        if late > self.timing.detection_s / 2:
            text = f"this node stood still for {late:.1f} s; the peer may have taken over meanwhile"
            self.journal.add("paused", text, severity=Severity.WARNING)


async def watch_data(replication: Replication, clock: Clock, offer: Offer) -> None:
    """Hand over every change that the replication engine reports, for ever."""
    while True:
        async for facts in replication.watch():
            offer(DataChanged(clock.boot_s(), facts))
        await asyncio.sleep(WATCH_AGAIN_S)
