"""How long is a peer without a heartbeat while the daemon does something else?

    python -m bench.heartbeats [--interval SECONDS] [--only WORD]

A process with the real heart loads itself in each of several ways, for some seconds each; this
process is its peer, on the loopback network, and measures the time between two heartbeats. The same
is measured with the heart in a thread of the loaded process, which is what was decided against.
"""

import argparse
import asyncio
import gc
import os
import select
import signal
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.core import cluster as large
from bench.core import together
from hapair.adapters.heartbeat.beside import UdpHeartbeats
from hapair.adapters.heartbeat.channel import Channel
from hapair.adapters.heartbeat.datagrams import ReplayGuard
from hapair.adapters.heartbeat.heart import Heart
from hapair.adapters.heartbeat.process import beat, boot_s
from hapair.adapters.heartbeat.sockets import Sockets
from hapair.core import node
from hapair.core.words.events import Tick
from hapair.model.cluster import Cluster, Timing
from hapair.ports.peer import Saying
from hapair.runtime.priority import HEART_PRIORITY, protect, settle_memory
from tests.runtime.fakes import cluster

KEY: Final = bytes(32)
BODY: Final = (b'{"incarnation":1,"echo":1,"standing":"together","epoch":1}',)
SAYING: Final = Saying(1, BODY, BODY)
LOAD_S: Final = 8.0  # Shorter than a heart beats for a daemon that decides nothing.
OBJECTS: Final = 1_000_000
APPLICATIONS: Final = 200
DIGITS: Final = 60_000


def until(end_s: float, work: Callable[[], object]) -> None:
    while time.monotonic() < end_s:
        work()


def python(end_s: float) -> None:
    until(end_s, lambda: sum(n for n in range(1000)))


def garbage(end_s: float) -> None:
    kept = [[n] for n in range(OBJECTS)]
    until(end_s, gc.collect)
    kept.clear()


def library(end_s: float) -> None:
    """Call what does not give the interpreter away: here the digits of a large number."""
    number = 7**DIGITS
    until(end_s, lambda: number**40)


def events(end_s: float) -> None:
    """Decide on one event after the other in a cluster of many applications, without a pause."""
    state = together(large(APPLICATIONS, 5), "node1")
    until(end_s, lambda: node.step(state, Tick(state.now_s + 0.001)))


def hung(end_s: float, work: Callable[[str], object]) -> None:
    """Do what waits for a file that does not answer until the time is over."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"{folder}/hangs"
        os.mkfifo(place)
        helper = os.fork()
        if helper == 0:
            time.sleep(max(0.0, end_s - time.monotonic()))
            os.close(os.open(place, os.O_RDWR | os.O_NONBLOCK))
            answering = os.open(place, os.O_RDWR)
            time.sleep(1.0)
            os.close(answering)
            os._exit(0)
        work(place)
        os.waitpid(helper, 0)


def hung_open(place: str) -> None:
    os.close(os.open(place, os.O_RDONLY))


def hung_start(place: str) -> None:
    """Start a program whose disk does not answer: its parent waits until it has begun."""
    argv = ("/bin/true",)
    actions = [(os.POSIX_SPAWN_OPEN, 0, place, os.O_RDONLY, 0)]
    os.waitpid(os.posix_spawn(argv[0], argv, {}, file_actions=actions), 0)


def stopped(end_s: float) -> None:
    del end_s
    os.kill(os.getpid(), signal.SIGSTOP)


LOADS: Final[dict[str, Callable[[float], object]]] = {
    "idle": lambda end_s: time.sleep(end_s - time.monotonic()),
    "a loop of Python": python,
    f"garbage collection of {OBJECTS:,} objects": garbage,
    "a library call that keeps the interpreter": library,
    f"one decision after the other, {APPLICATIONS} applications": events,
    "a file of a disk that hangs is opened": partial(hung, work=hung_open),
    "a program is started from a disk that hangs": partial(hung, work=hung_start),
    "the daemon is stopped (SIGSTOP)": stopped,
}


def beside(made: Cluster) -> int:
    """Start the heart as the daemon does; return its process."""
    prepare = partial(protect, HEART_PRIORITY)
    heartbeats = UdpHeartbeats(made, "node1", KEY, ReplayGuard(), prepare)
    heartbeats.open(lambda _: None, print)
    heartbeats.say(SAYING, boot_s())
    return heartbeats.pid


def inside(made: Cluster) -> int:
    """Start the heart in a thread."""
    ours, theirs = socket.socketpair()
    heart = Heart(made.timing, boot_s())
    heart.say(SAYING, boot_s())
    sockets = Sockets(made, "node1", KEY, ReplayGuard())
    threading.Thread(target=beat, args=(heart, sockets, Channel(theirs)), daemon=True).start()
    KEPT.append(ours)
    return 0


KEPT: Final[list[socket.socket]] = []


async def loaded(
    start: Callable[[Cluster], int], made: Cluster, load: Callable[[float], object], told: int
) -> None:
    settle_memory()
    heart = start(made)
    await asyncio.sleep(1.0)
    memory = mebibytes(heart) if heart else (0.0, 0.0)
    os.write(told, b"%f %f %f\n" % (time.monotonic(), *memory))
    load(time.monotonic() + LOAD_S)
    os.write(told, b"%f\n" % time.monotonic())


def mebibytes(pid: int) -> tuple[float, float]:
    """Return what the process needs: its share (PSS), and what is its own alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {name: int(value.split()[0]) / 1024 for name, value in (x.split(":") for x in lines)}
    return found["Pss"], found["Private_Clean"] + found["Private_Dirty"]


def measured(
    start: Callable[[Cluster], int], load: Callable[[float], object], interval_s: float
) -> tuple[list[float], tuple[float, float]]:
    """Return the gaps between heartbeats while the load was there, and the heart's memory."""
    made = cluster(port=free_port(), loopback=True)
    object.__setattr__(made, "timing", Timing(detection_s=60.0, heartbeat_s=interval_s))
    peer = Sockets(made, "node2", KEY, ReplayGuard())
    told, telling = os.pipe()
    daemon = os.fork()
    if daemon == 0:
        try:
            asyncio.run(loaded(start, made, load, telling))
        finally:
            os._exit(0)
    os.close(telling)
    arrived_s, said = listen(peer, told, daemon)
    peer.close()
    os.waitpid(daemon, 0)
    began_s, pss, own, ended_s = map(float, said.split())
    seen = [began_s, *(s for s in arrived_s if began_s < s < ended_s), ended_s]
    return sorted(b - a for a, b in pairwise(seen)), (pss, own)


def listen(peer: Sockets, told: int, daemon: int) -> tuple[list[float], str]:
    """Return when heartbeats arrived on one network, and what the daemon told of its times."""
    arrived_s: list[float] = []
    said, stopped_s = b"", None
    waiting = select.poll()
    waiting.register(told, select.POLLIN)
    for each in peer.open():
        waiting.register(each, select.POLLIN)
    while True:
        ready = waiting.poll(100)
        arrived_s += [time.monotonic() for each in peer.receive() if each.network == "public"]
        if said and b"\n" not in said.rstrip(b"\n") and is_stopped(daemon):
            stopped_s = stopped_s or time.monotonic()
            if time.monotonic() - stopped_s > LOAD_S:
                os.kill(daemon, signal.SIGCONT)
        if told in {fd for fd, _ in ready}:
            chunk = os.read(told, 4096)
            if not chunk:
                return arrived_s, said.decode()
            said += chunk


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] == "T"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--interval", type=float, default=0.1, metavar="SECONDS")
    made.add_argument("--only", default="", metavar="WORD", help="only loads with this word")
    options = made.parse_args()
    for failure in protect():
        print(f"not permitted: {failure}")
    print("| milliseconds between two heartbeats | process: median, p99, max | thread |")
    print("|---|---|---|")
    heart_s = (0.0, 0.0)
    for name, load in LOADS.items():
        if options.only not in name:
            continue
        figures: list[str] = []
        for start in (beside, inside):
            gaps_s, memory = measured(start, load, options.interval)
            heart_s = max(heart_s, memory)
            p99_s = gaps_s[min(len(gaps_s) - 1, int(len(gaps_s) * 0.99))]
            each = (statistics.median(gaps_s), p99_s, gaps_s[-1])
            figures.append(", ".join(f"{1000 * gap_s:.0f}" for gap_s in each))
        print(f"| {name} | {' | '.join(figures)} |", flush=True)
    print(f"memory of the heart: {heart_s[0]:.1f} MiB (PSS), {heart_s[1]:.1f} MiB its own")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
