"""How much memory and time Lems processes take: python -m bench.lems [COUNT ...].

For each count of applications: memory of each Lems, private and its share (PSS), and of the parent;
and the share of one core that all of them use while each application has a process, a port and its
control group watched every five seconds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from hapair.config.codec import encode
from hapair.model.application import Application, Script
from hapair.model.monitor import Monitor, ProcessProbe, ResourcesProbe, TcpProbe
from tests.lems.daemon import Daemon, Talk
from tests.lems.place import group_of

COUNTS: Final = (1, 20, 200)
MEASURED_S: Final = 30.0
INTERVAL_S: Final = 5.0
TICKS: Final = os.sysconf("SC_CLK_TCK")


def watch(name: str, group: Path, port: int) -> dict[str, Any]:
    probes = (ProcessProbe(), TcpProbe("127.0.0.1", port), ResourcesProbe())
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


def ticks(pid: int) -> int:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def measure(count: int, folder: Path) -> None:
    path = folder / "lems.sock"
    argv = (sys.executable, "-ISc", start_of_parent(path))
    with group_of("bench") as group, Daemon(path) as daemon, subprocess.Popen(argv) as parent:
        with subprocess.Popen(("sleep", "3600")) as watched:
            (group / "cgroup.procs").write_text(str(watched.pid))
            talks = [fork(daemon, f"app{number}", group) for number in range(count)]
            pids = [int(talk.heard[0]["pid"]) for talk in talks]
            time.sleep(2 * INTERVAL_S)
            before, begun_s = sum(map(ticks, pids)), time.monotonic()
            time.sleep(MEASURED_S)
            used = (sum(map(ticks, pids)) - before) / TICKS / (time.monotonic() - begun_s)
            tell(pids, parent.pid, used)
            for talk in talks:
                talk.say({"end": True})
                talk.wait_closed()
            watched.kill()
        parent.kill()


def fork(daemon: Daemon, name: str, group: Path) -> Talk:
    daemon.talk("parent").say({"fork": name})
    talk = daemon.talk(name)
    talk.say({"watch": watch(name, group, PORT.getsockname()[1])})
    talk.findings(lambda found: not found)
    return talk


def start_of_parent(path: Path) -> str:
    source = Path(__file__).parents[1] / "src"
    call = f"from hapair.lems.main import main; main(['--socket', {str(path)!r}])"
    return f"import sys; sys.path.append({str(source)!r}); {call}"


def tell(pids: list[int], parent: int, used: float) -> None:
    private = [kilobytes(pid, "Private_Clean", "Private_Dirty") for pid in pids]
    shares = [kilobytes(pid, "Pss") for pid in pids]
    count = len(pids)
    print(
        f"{count:4} applications: private {sum(private) / count:6.0f} KB each "
        f"(most {max(private)}), PSS {sum(shares) / count:6.0f} KB each (most {max(shares)}), "
        f"parent PSS {kilobytes(parent, 'Pss')} KB; {3 * count} probes each {INTERVAL_S:g} s: "
        f"{100 * used:.2f} % of a core"
    )


if __name__ == "__main__":
    import socket

    PORT: Final = socket.create_server(("127.0.0.1", 0), backlog=512)
    with tempfile.TemporaryDirectory() as made:
        for each in map(int, sys.argv[1:]) if sys.argv[1:] else COUNTS:
            measure(each, Path(made))
