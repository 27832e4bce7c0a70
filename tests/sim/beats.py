"""Heartbeats on their way: lost, doubled, late and out of order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from hapair.core.words.events import Beat
from tests.sim import parcels
from tests.sim.clockwork import Clockwork
from tests.sim.machine import Daemon, Machine, Parcel
from tests.sim.networks import QUIET, Wire
from tests.sim.settings import other


@dataclass(frozen=True, slots=True)
class Beats:
    clockwork: Clockwork
    chance: Random
    machines: Mapping[str, Machine]
    wires: Mapping[str, Wire]
    deliver: Callable[[Machine, Daemon, Parcel], None]
    detection_s: float

    def send(self, machine: Machine, daemon: Daemon) -> None:
        """Send what the daemon says now on every network."""
        if daemon.beat is not None and machine.listens:
            deaf = self.clockwork.now_s - daemon.received_at_s > self.detection_s
            beat = replace(daemon.beat, echo=0) if deaf else daemon.beat
            for wire in self.wires.values():
                self._send(machine, wire, beat)

    def _send(self, sender: Machine, wire: Wire, beat: Beat) -> None:
        noise = wire.noise
        copies = 1
        if noise is not QUIET:
            copies = (self.chance.random() >= noise.loss) + (
                self.chance.random() < noise.duplicates
            )
        for _ in range(copies):
            delay_s = self.chance.uniform(0.0005, noise.delay_max_s)
            self.clockwork.after(delay_s, partial(self._receive, sender.name, wire, beat))

    def _receive(self, sender: str, wire: Wire, beat: Beat) -> None:
        receiver = self.machines[other(sender)]
        if receiver.daemon is not None and not receiver.paused and wire.carries(sender):
            if receiver.listens:
                receiver.daemon.received_at_s = self.clockwork.now_s
            self.deliver(receiver, receiver.daemon, partial(parcels.heard, wire.name, beat))
