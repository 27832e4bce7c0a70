"""How much memory and time Lems processes take: python -m bench.lems.

For some counts of applications: memory of each Lems, private and its share (PSS), and of the
parent; the share of one core that all of them use while each application has a process, a port and
its control group watched every five seconds, or each of them several times; and how long it takes
until a daemon knows that a process was killed.
"""

import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from hapair.config.codec import encode
from hapair.model.application import Application, Script
from hapair.model.monitor import Monitor, Probe, ProcessProbe, ResourcesProbe, TcpProbe
from tests.lems.daemon import Daemon, Talk
from tests.lems.place import group_of

COUNTS: Final = ((1, 1), (20, 1), (20, 5), (200, 1))  # Applications; probes of each, in threes.
MEASURED_S: Final = 30.0
INTERVAL_S: Final = 5.0
PORT: Final = socket.create_server(("127.0.0.1", 0), backlog=512)
ENDS: Final = 50


def watch(name: str, group: Path, port: int, rounds: int) -> dict[str, Any]:
    once: tuple[Probe, ...] = (ProcessProbe(), TcpProbe("127.0.0.1", port), ResourcesProbe())
    probes = once * rounds
    monitors = [
        Monitor(f"m{number}", probe, interval_s=INTERVAL_S) for number, probe in enumerate(probes)
    ]
    application = Application(name, "node1", Script("/bin/true"))
    return {
        "run": 1,
        "node": "node1",
        "application": encode(application),
        "mounts": [],
        "group": str(group),
        "monitors": [encode(each) for each in monitors],
    }


def kilobytes(pid: int, *names: str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines[1:])
    return sum(int(found[name].split()[0]) for name in names)


def used_s(pid: int) -> float:
    """Return the time on a processor of its main thread; ticks would be too coarse."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def accept() -> None:
    while True:
        PORT.accept()[0].close()


def measure(count: int, rounds: int, folder: Path) -> None:
    path = folder / "lems.sock"
    argv = (sys.executable, "-ISc", start_of_parent(path))
    with group_of("bench") as group, Daemon(path) as daemon, subprocess.Popen(argv) as parent:
        with subprocess.Popen(("sleep", "3600")) as watched:
            (group / "cgroup.procs").write_text(str(watched.pid))
            talks = [fork(daemon, f"app{number}", group, rounds) for number in range(count)]
            pids = [int(talk.heard[0]["pid"]) for talk in talks]
            time.sleep(2 * INTERVAL_S)
            before, begun_s = sum(map(used_s, pids)), time.monotonic()
            time.sleep(MEASURED_S)
            used = (sum(map(used_s, pids)) - before) / (time.monotonic() - begun_s)
            tell(pids, parent.pid, used, 3 * rounds * count)
            for talk in talks:
                talk.say({"end": True})
                talk.wait_closed()
            watched.kill()
        if count == 1:
            tell_ends(daemon, group)
        parent.kill()


def tell_ends(daemon: Daemon, group: Path) -> None:
    """Kill a process again and again, and measure until its failure is said."""
    daemon.talk("parent").say({"fork": "ends"})
    talk, took_ms = daemon.talk("ends"), list[float]()
    for run in range(ENDS):
        since = len(talk.heard)
        with subprocess.Popen(("sleep", "3600")) as process:
            (group / "cgroup.procs").write_text(str(process.pid))
            told = watch("ends", group, PORT.getsockname()[1], 1)
            talk.say({"watch": {**told, "run": run + 1}})
            talk.findings(lambda found: not found, since=since)
            begun_s = time.monotonic()
            process.kill()
            talk.findings(bool, since=since)
            took_ms.append((time.monotonic() - begun_s) * 1000)
    talk.say({"end": True})
    talk.wait_closed()
    took_ms.sort()
    print(
        f"from SIGKILL to the finding: median {took_ms[ENDS // 2]:.1f} ms, most {took_ms[-1]:.1f}"
    )


def fork(daemon: Daemon, name: str, group: Path, rounds: int) -> Talk:
    daemon.talk("parent").say({"fork": name})
    talk = daemon.talk(name)
    talk.say({"watch": watch(name, group, PORT.getsockname()[1], rounds)})
    talk.findings(lambda found: not found)
    return talk


def start_of_parent(path: Path) -> str:
    source = Path(__file__).parents[1] / "src"
    call = f"from hapair.lems.main import main; main(['--socket', {str(path)!r}])"
    return f"import sys; sys.path.append({str(source)!r}); {call}"


def tell(pids: list[int], parent: int, used: float, probes: int) -> None:
    private = [kilobytes(pid, "Private_Clean", "Private_Dirty") for pid in pids]
    shares = [kilobytes(pid, "Pss") for pid in pids]
    count = len(pids)
    print(
        f"{count:4} applications: private {sum(private) / count:6.0f} KB each "
        f"(most {max(private)}), PSS {sum(shares) / count:6.0f} KB each (most {max(shares)}), "
        f"parent PSS {kilobytes(parent, 'Pss')} KB; {probes} probes each {INTERVAL_S:g} s: "
        f"{100 * used:.2f} % of a core"
    )


if __name__ == "__main__":
    threading.Thread(target=accept, daemon=True).start()
    with tempfile.TemporaryDirectory() as made:
        for count, rounds in COUNTS:
            measure(count, rounds, Path(made))
