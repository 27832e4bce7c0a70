"""The heart beats beside a daemon that does nothing, and never longer than its daemon lives."""

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.heartbeat import beside
from hapair.adapters.heartbeat.beside import AGAIN_S, UdpHeartbeats
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.heartbeat.process import boot_s
from hapair.adapters.heartbeat.sockets import Arrived, Sockets
from hapair.model.cluster import Cluster
from hapair.ports.peer import HEARTBEAT_BYTES_MAX, HeardDatagram, Saying, TooLongError
from tests.processes import PATIENCE_S
from tests.runtime.conftest import eventually
from tests.runtime.fakes import cluster

KEY: Final = bytes(range(32))
SAYING: Final = Saying(11, (b"hears",), (b"deaf",))
BUSY_S: Final = 1.5  # Longer than the detection time of the test's cluster.
TRIES: Final = 5


class Pair:
    """A daemon with its heart on node1, and a peer that is nothing but sockets."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", 0))
            port: int = probe.getsockname()[1]
        self.cluster: Cluster = cluster(port=port, loopback=True)
        self.heartbeats = UdpHeartbeats(self.cluster, "node1", KEY, ReplayGuard())
        self.heard: list[HeardDatagram] = []
        self.told: list[str] = []
        self.peer = Sockets(self.cluster, "node2", KEY, ReplayGuard())
        self.peer.open()
        self.arrived: list[Arrived] = []

    def open(self) -> None:
        self.heartbeats.open(self.heard.append, self.told.append)
        self.heartbeats.say(SAYING, boot_s())

    def peer_receives(self) -> list[Arrived]:
        self.arrived += self.peer.receive()
        return self.arrived

    async def wait(self, holds: Callable[[], bool], again: Callable[[], object] = int) -> None:
        """Decide, and do ``again``, until it holds: a heart that stood still takes nothing in."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self.heartbeats.decided(boot_s())
                again()
                await asyncio.sleep(0.02)

    async def peer_hears(self, body: bytes) -> None:
        await self.wait(lambda: body in {each.body for each in self.peer_receives()})

    async def hears(self, wanted: set[bytes], *incarnations: int) -> None:
        """Hear these only of all that the peer sends."""
        self.heard.clear()

        def send() -> None:
            for incarnation in incarnations:
                self.peer.send(incarnation, b"%d" % incarnation)

        await self.wait(lambda: wanted <= {each.body for each in self.heard}, send)
        assert {each.body for each in self.heard} == wanted


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    made = Pair()
    made.open()
    yield made
    made.heartbeats.close()
    made.peer.close()


async def started_anew(pair: Pair) -> None:
    """Let the daemon's intervals pass until its heart beats again."""
    await eventually(lambda: bool(pair.told))
    pair.peer_receives()
    pair.arrived.clear()

    def beats() -> bool:
        pair.heartbeats.decided(boot_s())
        return bool(pair.peer_receives())

    await eventually(beats)


def gone(pid: int) -> bool:
    """Tell whether it was reaped, too."""
    return not Path(f"/proc/{pid}").exists()


def descriptors(pid: int) -> list[str]:
    """Return where those lead that are no standard input or output."""
    folder = Path(f"/proc/{pid}/fd")
    return [str(each.readlink()) for each in folder.iterdir() if int(each.name) > 2]


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


async def test_what_is_said_is_sent_and_what_came_is_handed_over(pair: Pair) -> None:
    await pair.peer_hears(b"deaf")
    before_s = boot_s()
    await pair.wait(lambda: len(pair.heard) >= 2, lambda: pair.peer.send(22, b"peer"))
    assert {(each.network, each.incarnation, each.body) for each in pair.heard} == {
        ("public", 22, b"peer"),
        ("private", 22, b"peer"),
    }
    assert all(before_s <= each.at_s <= boot_s() for each in pair.heard)
    await pair.peer_hears(b"hears")


async def test_a_daemon_that_is_busy_goes_on_beating_and_learns_when_what_came(pair: Pair) -> None:
    """Nothing of the daemon runs meanwhile: the whole process is this one loop, with the GIL."""
    interval_s = pair.cluster.timing.heartbeat_s
    in_public, early = list[Arrived](), list[HeardDatagram]()
    for _ in range(TRIES):  # A busy host lets the heart itself stand still, now and then.
        await pair.peer_hears(b"deaf")
        pair.arrived.clear()
        pair.heard.clear()
        pair.heartbeats.decided(boot_s())
        began_s = boot_s()
        pair.peer.send(22, b"early")
        until_s = time.monotonic() + BUSY_S
        while time.monotonic() < until_s:
            pass
        half_s = (boot_s() - began_s) / 2
        in_public = [each for each in pair.peer_receives() if each.network == "public"]
        assert pair.heard == []
        pair.heartbeats.drain()
        early = [each for each in pair.heard if each.at_s - began_s < half_s]
        if len(in_public) >= BUSY_S / interval_s / 2 and len(early) == len(pair.heard) == 2:
            return
    pytest.fail(f"{len(in_public)} heartbeats, {len(early)} of {len(pair.heard)} were heard early")


async def test_a_heart_that_is_killed_is_started_anew_and_knows_what_to_say(pair: Pair) -> None:
    await pair.peer_hears(b"deaf")
    await asyncio.sleep(AGAIN_S)
    first = pair.heartbeats.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: pair.heartbeats.pid not in {0, first})
    assert pair.told == ["the process that sends heartbeats ended; it is started anew"]
    pair.peer_receives()
    pair.arrived.clear()
    await pair.peer_hears(b"deaf")
    assert gone(first)


async def test_a_heart_that_stood_still_is_silent_until_something_new_is_decided(
    pair: Pair,
) -> None:
    await pair.peer_hears(b"deaf")
    os.kill(pair.heartbeats.pid, signal.SIGSTOP)
    pair.peer.send(22, b"old")
    await asyncio.sleep(pair.cluster.timing.detection_s + 0.5)
    pair.peer_receives()
    pair.arrived.clear()
    os.kill(pair.heartbeats.pid, signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert pair.peer_receives() == []
    assert pair.heard == []
    pair.heartbeats.decided(boot_s())
    await pair.peer_hears(b"deaf")
    await pair.wait(lambda: bool(pair.heard), lambda: pair.peer.send(22, b"new"))
    await pair.peer_hears(b"hears")
    assert {each.body for each in pair.heard} == {b"new"}


async def test_hearts_that_end_at_once_do_not_keep_the_machine_busy(pair: Pair) -> None:
    first = pair.heartbeats.pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: bool(pair.told))
    assert pair.heartbeats.pid == 0
    await started_anew(pair)
    assert pair.heartbeats.pid != first


async def test_a_heart_that_stands_still_for_good_is_replaced(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, or caught in a lock that a thread of the daemon had: nobody else would notice."""
    monkeypatch.setattr(beside, "STUCK_S", 0.5)
    await pair.peer_hears(b"deaf")
    first = pair.heartbeats.pid
    os.kill(first, signal.SIGSTOP)
    for _ in range(400):  # As many intervals pass: more than the channel has room for.
        pair.heartbeats.decided(boot_s())
    await pair.wait(lambda: pair.heartbeats.pid != first)
    assert gone(first)
    assert set(pair.told) == {"the process that sends heartbeats stands still; it is started anew"}
    pair.peer_receives()
    pair.arrived.clear()
    await pair.peer_hears(b"deaf")


async def test_without_a_descriptor_no_heart_starts_now_and_one_does_later(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socketpair", none_left)
        os.kill(pair.heartbeats.pid, signal.SIGKILL)
        await pair.wait(lambda: len(pair.told) > 1)
        assert pair.heartbeats.pid == 0
        assert "no process can be started" in pair.told[-1]
    await pair.peer_hears(b"deaf")


async def test_forgeries_are_counted_by_the_daemon_whichever_heart_saw_them(pair: Pair) -> None:
    def forge() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"junk", ("127.77.1.1", pair.cluster.ports.peer))

    await pair.peer_hears(b"deaf")
    await pair.wait(lambda: pair.heartbeats.rejected() > 0, forge)
    os.kill(pair.heartbeats.pid, signal.SIGKILL)
    await started_anew(pair)
    first = pair.heartbeats.rejected()
    assert first > 0
    await pair.wait(lambda: pair.heartbeats.rejected() > first, forge)


async def test_what_a_former_heart_heard_is_a_replay_for_its_successor(pair: Pair) -> None:
    sealed = pair.peer._sealer.seal("public", 22, 5, b"recorded")  # noqa: SLF001 - an attacker's
    attacker = pair.peer.open()[0]

    def replay() -> None:
        attacker.sendto(sealed, ("127.77.1.1", pair.cluster.ports.peer))

    await pair.peer_hears(b"deaf")
    await pair.wait(lambda: len(pair.heard) == 1, replay)
    os.kill(pair.heartbeats.pid, signal.SIGKILL)
    await started_anew(pair)
    before = pair.heartbeats.rejected()
    await pair.wait(lambda: pair.heartbeats.rejected() > before, replay)
    assert len(pair.heard) == 1


async def test_exactly_the_incarnation_that_was_introduced_is_heard(pair: Pair) -> None:
    """Beside what follows the highest that ever was; a later heart knows the same."""
    await pair.peer_hears(b"deaf")
    pair.heartbeats.introduce(22, 30)
    await pair.hears({b"22"}, 22)
    await pair.hears({b"22"}, 21, 23, 30, 22)
    os.kill(pair.heartbeats.pid, signal.SIGKILL)
    await started_anew(pair)
    await pair.hears({b"22", b"31"}, 30, 22, 31)


async def test_how_many_came_of_incarnations_before_is_reported(pair: Pair) -> None:
    await pair.peer_hears(b"deaf")
    await pair.wait(lambda: len(pair.heard) >= 2, lambda: pair.peer.send(22, b"newer"))
    await pair.wait(lambda: pair.heartbeats.older() >= 6, lambda: pair.peer.send(21, b"older"))
    await pair.wait(lambda: pair.heartbeats.older() == 0, lambda: pair.peer.send(22, b"newer"))


def test_a_word_that_was_overtaken_by_a_later_incarnation_introduces_nobody() -> None:
    guard = ReplayGuard()
    sockets = Sockets(cluster(port=1, loopback=True), "node1", KEY, guard)
    sockets.introduce(5, 9)
    assert guard.admit("public", 10, 1)
    sockets.introduce(5, 9)
    assert guard.incarnation == 10
    sockets.introduce(5, 10)
    assert guard.incarnation == 5


async def test_closing_ends_the_process_and_frees_the_ports_at_once(pair: Pair) -> None:
    pid = pair.heartbeats.pid
    pair.heartbeats.close()
    assert pair.heartbeats.pid == 0
    assert gone(pid)
    successor = Sockets(pair.cluster, "node1", KEY, ReplayGuard())
    assert len(successor.open()) == 2
    successor.close()


async def test_the_heart_holds_no_descriptor_of_the_daemon(pair: Pair) -> None:
    """Not the claim that only one daemon runs, not the control socket, nobody's disk."""
    await pair.peer_hears(b"deaf")
    others = descriptors(pair.heartbeats.pid)
    assert all(each.startswith("socket:") for each in others)
    assert len(others) == 3  # The channel and two networks.


def test_a_long_list_of_pages_passes_the_channel() -> None:
    """More than the sockets of the channel hold at once."""

    async def play() -> None:
        made = Pair()
        made.heartbeats.open(made.heard.append, made.told.append)
        pages = tuple(b"%04d" % number + bytes(HEARTBEAT_BYTES_MAX - 4) for number in range(600))
        made.heartbeats.say(Saying(11, pages, pages), boot_s())
        await made.peer_hears(pages[0])
        made.heartbeats.say(SAYING, boot_s())
        await made.peer_hears(b"deaf")
        made.heartbeats.close()
        made.peer.close()

    asyncio.run(play())


async def test_what_no_receiver_would_take_in_is_refused_loudly(pair: Pair) -> None:
    with pytest.raises(TooLongError):
        pair.heartbeats.say(Saying(1, (bytes(HEARTBEAT_BYTES_MAX + 1),), (b"",)), boot_s())


DAEMON: Final = """
import asyncio, sys, time
from hapair.adapters.heartbeat import beside
from hapair.adapters.heartbeat.beside import UdpHeartbeats
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.heartbeat.process import boot_s
from hapair.ports.peer import Saying
from tests.runtime.fakes import cluster

async def main():
    made = cluster(port=int(sys.argv[1]), loopback=True)
    heartbeats = UdpHeartbeats(made, "node1", bytes(range(32)), ReplayGuard())
    heartbeats.open(lambda heard: None, lambda told: None)
    heartbeats.say(Saying(11, (b"hears",), (b"deaf",)), boot_s())
    print(heartbeats.pid, flush=True)
    time.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_heart_ends_with_its_daemon(how: signal.Signals) -> None:
    pair = Pair()
    argv = (sys.executable, "-c", DAEMON, str(pair.cluster.ports.peer))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        heart = int(daemon.stdout.readline())
        asyncio.run(pair.peer_hears(b"deaf"))
        assert lives(heart)
        daemon.send_signal(how)
        daemon.wait(PATIENCE_S)
    until_s = time.monotonic() + PATIENCE_S
    while lives(heart):
        assert time.monotonic() < until_s
    pair.peer.close()
