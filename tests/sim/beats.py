"""Heartbeats on their way: lost, doubled, late and out of order; in datagrams of the real size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from hapair.core import node as core
from hapair.core.words.events import Beat, Heard
from tests.sim import disks, parcels
from tests.sim.clockwork import Clockwork
from tests.sim.machine import Daemon, Machine, Parcel
from tests.sim.messages import Post, opened, sealed
from tests.sim.networks import QUIET, Wire
from tests.sim.settings import other
from tests.sim.speaker import Speaker


@dataclass(slots=True)
class Beats:
    clockwork: Clockwork
    chance: Random
    machines: Mapping[str, Machine]
    wires: Mapping[str, Wire]
    deliver: Callable[[Machine, Daemon, Parcel], None]
    say: Callable[[Speaker, Beat], Sequence[bytes]] = Speaker.say
    seal: Post = sealed

    def send(self, machine: Machine, daemon: Daemon) -> None:
        """Send what the daemon says now on every network."""
        unable = disks.cannot_store(machine, self.clockwork.now_s)
        said = core.beat_of(daemon.state) if daemon.beat is None and unable else daemon.beat
        if said is not None and machine.beats(self.clockwork.now_s):
            silent_s = self.clockwork.now_s - daemon.received_at_s
            deaf = silent_s > machine.built.cluster.timing.detection_s
            beat = replace(said, echo=0 if deaf else said.echo, cannot_store=unable)
            for body in self.say(daemon.speaker, beat):
                for wire in self.wires.values():
                    datagram = self.seal(machine.name, wire.name, beat.incarnation, body)
                    self._send(machine, wire, datagram)

    def _send(self, sender: Machine, wire: Wire, datagram: bytes) -> None:
        noise = wire.noise
        copies = 1
        if noise is not QUIET:
            copies = (self.chance.random() >= noise.loss) + (
                self.chance.random() < noise.duplicates
            )
        for _ in range(copies):
            delay_s = self.chance.uniform(0.0005, noise.delay_max_s)
            self.clockwork.after(delay_s, partial(self._receive, sender.name, wire, datagram))

    def _receive(self, sender: str, wire: Wire, datagram: bytes) -> None:
        receiver = self.machines[other(sender)]
        if receiver.daemon is not None and not receiver.paused and wire.carries(sender):
            body = opened(sender, wire.name, datagram)
            if body is None:
                return
            beats = receiver.beats(self.clockwork.now_s)
            if not beats and receiver.daemon.beats_until_s is not None:
                return
            beat = receiver.daemon.listener.read(body)
            if beats:
                receiver.daemon.received_at_s = self.clockwork.now_s
                if beat.echo == receiver.daemon.state.incarnation:
                    receiver.daemon.echoed_at_s = self.clockwork.now_s
            if receiver.daemon.hung and receiver.daemon.beats_until_s is not None:
                at_s = receiver.clock_s(self.clockwork.now_s)
                parcels.keep_heard(receiver.daemon, Heard(at_s, wire.name, beat))
                return
            self.deliver(receiver, receiver.daemon, partial(parcels.heard, wire.name, beat))
