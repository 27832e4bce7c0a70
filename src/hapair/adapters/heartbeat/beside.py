"""The daemon's side of its heart: starts it, tells it what to say, and takes in what it heard."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hapair.adapters.heartbeat import words
from hapair.adapters.heartbeat.channel import Channel
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.heartbeat.heart import Heart
from hapair.adapters.heartbeat.process import boot_s, start
from hapair.adapters.heartbeat.sockets import Sockets
from hapair.model.cluster import Cluster
from hapair.ports.peer import HEARTBEAT_BYTES_MAX, HeardDatagram, Saying, TooLongError

AGAIN_S: Final = 1.0  # Between two starts: one that ends at once must not keep the machine busy.
END_MS: Final = 500  # How long the end of the process is waited for; it touches no disk.
STUCK_S: Final = 5.0  # A heart that takes nothing in for so long does nothing else either.


def _nothing() -> None:
    return


class UdpHeartbeats:
    """Heartbeats in datagrams, sent and received by a process of their own.

    When that process ends it is started anew. ``prepare`` is called in it at its start.
    """

    def __init__(
        self,
        cluster: Cluster,
        me: str,
        key: bytes,
        guard: ReplayGuard,
        prepare: Callable[[], object] = _nothing,
    ) -> None:
        self._cluster = cluster
        self._me = me
        self._key = key
        self._guard = guard  # What the heart has admitted: a new one must not admit it again.
        self._prepare = prepare
        self._heard: Callable[[HeardDatagram], None] = lambda _: None
        self._told: Callable[[str], None] = lambda _: None
        self._channel: Channel | None = None
        self._wanted = False
        self._started_s = 0.0
        self._pid = 0
        self._waits_from_s: float | None = None  # Since when the heart has left no room.
        self._said: bytes | None = None
        self._rejected = 0  # By hearts that are gone.
        self._rejects = 0  # By this one.
        self._older = 0

    @property
    def pid(self) -> int:
        """Return the process that sends and receives; 0 while there is none."""
        return self._pid if self._channel is not None else 0

    def open(self, heard: Callable[[HeardDatagram], None], told: Callable[[str], None]) -> None:
        self._heard, self._told = heard, told
        self._wanted = True
        self._start()

    def say(self, saying: Saying, at_s: float) -> None:
        if longest := max(map(len, (*saying.bodies, *saying.deaf))) > HEARTBEAT_BYTES_MAX:
            raise TooLongError(
                f"a heartbeat of {longest} bytes, of which {HEARTBEAT_BYTES_MAX} are heard"
            )
        self._said = words.say(saying, at_s)
        self._send(self._said)

    def decided(self, at_s: float) -> None:
        if self._wanted and self._channel is None and boot_s() - self._started_s > AGAIN_S:
            self._start()
        self._send(words.decided(at_s))
        self._end_if_stuck()

    def _end_if_stuck(self) -> None:
        """Replace a heart that stands still while this daemon does not: nobody else would."""
        if self._channel is None or not self._channel.waits:
            self._waits_from_s = None
        elif self._waits_from_s is None:
            self._waits_from_s = boot_s()
        elif boot_s() - self._waits_from_s > STUCK_S:
            self._end()
            self._told("the process that sends heartbeats stands still; it is started anew")
            self._start()

    def _send(self, frame: bytes) -> None:
        if self._channel is not None:
            self._channel.send(frame)
            if self._channel.waits:
                asyncio.get_running_loop().add_writer(self._channel.end, self._flush, self._channel)

    def _flush(self, channel: Channel) -> None:
        """Send what waits: a list of many pages does not pass at once."""
        channel.flush()
        if not channel.waits or not channel.open:
            asyncio.get_running_loop().remove_writer(channel.end)

    def drain(self) -> None:
        channel = self._channel
        if channel is None:
            return
        for kind, content in channel.read():
            if kind == words.HEARD:
                arrived, at_s = words.read_heard(content)
                if self._guard.admit(arrived.network, arrived.incarnation, arrived.sequence):
                    self._heard(
                        HeardDatagram(arrived.network, arrived.incarnation, arrived.body, at_s)
                    )
            else:
                self._rejects, self._older = words.read_two(content)
        if not channel.open and self._channel is channel:
            self._end()
            self._told("the process that sends heartbeats ended; it is started anew")
            if boot_s() - self._started_s > AGAIN_S:
                self._start()

    def rejected(self) -> int:
        return self._rejected + self._rejects

    def introduce(self, incarnation: int, highest: int = 0) -> None:
        self._guard.introduce(incarnation, highest)
        self._send(words.introduce(incarnation, self._guard.highest))

    def older(self) -> int:
        return self._older

    def close(self) -> None:
        self._wanted = False
        self._end()

    def _start(self) -> None:
        self._started_s = boot_s()
        self._waits_from_s = None
        heart = Heart(self._cluster.timing, boot_s())
        sockets = Sockets(self._cluster, self._me, self._key, self._guard)
        try:
            ours = self._fork(heart, sockets)
        except OSError as error:  # Tried again at the next interval.
            self._told(f"no process can be started that sends heartbeats: {error.strerror}")
            return
        self._channel = Channel(ours)
        asyncio.get_running_loop().add_reader(ours, self.drain)
        if self._said is not None:
            self._send(self._said)

    def _fork(self, heart: Heart, sockets: Sockets) -> socket.socket:
        """Start the process, and return the daemon's end of the channel; OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._pid = start(heart, sockets, theirs, self._prepare)
            except OSError:
                ours.close()
                raise
        return ours

    def _end(self) -> None:
        """End the process: its successor needs its ports."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        asyncio.get_running_loop().remove_reader(channel.end)
        asyncio.get_running_loop().remove_writer(channel.end)
        channel.close()
        self._rejected, self._rejects, self._older = self.rejected(), 0, 0
        with suppress(OSError):  # It is gone already, or no descriptor is left to wait with.
            os.kill(self._pid, signal.SIGKILL)
            handle = os.pidfd_open(self._pid)
            ends = select.poll()
            ends.register(handle, select.POLLIN)
            ends.poll(END_MS)
            os.close(handle)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, os.WNOHANG)
