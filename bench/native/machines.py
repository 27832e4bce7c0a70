"""Machines made of name spaces of this host: own network, processes, mounts and host name.

Pulling the power of one kills all its processes and takes its cables away at the same moment.
Nothing of them has a name in the host, and they end with this program, however it ends.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

START_TIMEOUT_S: Final = 20.0
COMMAND_TIMEOUT_S: Final = 60.0
KILL_WITH_PARENT: Final = "--kill-child=SIGKILL"
# The shell enters a control group, which becomes the top of the machine's own name space.
ENTER_GROUP: Final = 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"'
# The first process of a machine: it gives the machine its name, and buries what is orphaned.
INIT: Final = """
import os, signal, socket, subprocess, sys, uuid
name, groups = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
subprocess.run(["umount", groups], check=True)
subprocess.run(["mount", "-t", "cgroup2", "none", groups], check=True)
os.makedirs(groups + "/hapair.slice/hapair-apps.service", exist_ok=True)
with open("/run/boot_id", "w") as file:
    file.write(str(uuid.uuid4()))
subprocess.run(["mount", "--bind", "/run/boot_id", "/proc/sys/kernel/random/boot_id"], check=True)
socket.sethostname(name)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    try:
        os.wait()
    except ChildProcessError:
        signal.sigtimedwait([signal.SIGCHLD], 0.2)
"""


def groups_folder() -> Path:
    """Return where the second version of control groups is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split(" ")[4])
    raise RuntimeError("this host has no control groups of version 2")


def checked(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


@dataclass(slots=True)
class Machine:
    name: str
    _holder: subprocess.Popen[bytes] | None = None
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    pid: int = 0  # Of its first process, as the host sees it.

    def power_on(self) -> None:
        self._group().mkdir()
        self._holder = subprocess.Popen(
            (
                "sh", "-c", ENTER_GROUP, "sh", str(self._group()),
                "unshare", "--net", "--uts", "--pid", "--mount", "--cgroup", "--fork",
                "--mount-proc", KILL_WITH_PARENT,
                "python3", "-I", "-S", "-c", INIT, self.name, str(groups_folder()),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        until_s = time.monotonic() + START_TIMEOUT_S
        while not (found := children.read_text().split()):
            if time.monotonic() > until_s:
                raise RuntimeError(f"{self.name} did not start; are you root?")
            time.sleep(0.005)
        self.pid = int(found[0])
        until_s = time.monotonic() + START_TIMEOUT_S
        while self.run("hostname").stdout.strip() != self.name:
            if time.monotonic() > until_s:
                raise RuntimeError(f"{self.name} did not come up")
            time.sleep(0.005)
        self.ip("link", "set", "lo", "up")

    def _group(self) -> Path:
        return groups_folder() / f"hapair-native-{os.getpid()}-{self.name}"

    @property
    def running(self) -> bool:
        return self.pid != 0

    def power_off(self) -> None:
        """Kill all its processes at once; none can say good-bye."""
        if self._holder is None:
            return
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)  # The kernel ends all others with the first one.
        else:
            self._holder.kill()
        self._holder.wait()
        for started in self._started:
            started.wait()
        self._holder, self.pid = None, 0
        self._started.clear()
        self._remove_groups()

    def _remove_groups(self) -> None:
        """Remove the control groups; the kernel needs a moment until killed processes are gone."""
        until_s = time.monotonic() + START_TIMEOUT_S
        folders = [Path(folder) for folder, _, _ in os.walk(self._group(), topdown=False)]
        for folder in folders:
            while folder.exists() and time.monotonic() < until_s:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                time.sleep(0.005)

    def inside(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the command that runs ``argv`` in this machine."""
        names = ("--net", "--uts", "--pid", "--mount", "--cgroup")
        return ("nsenter", "--target", str(self.pid), *names, "--", *argv)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.inside(argv),
            capture_output=True,
            check=False,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
        )

    def start(self, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program that goes on; what it says goes to ``log``."""
        with log.open("ab") as file:
            started = subprocess.Popen(
                self.inside(argv), stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self._started.append(started)
        return started

    def ip(self, *words: str) -> str:
        return checked(*self.inside(("ip", *words)))


@dataclass(slots=True)
class Switch:
    """A machine with nothing but a bridge."""

    machine: Machine
    ports: dict[str, str] = field(default_factory=dict)  # Card of the switch by "machine.card".
    _plugged: int = 0

    def plug(self, machine: Machine, card: str, address: str) -> None:
        """Connect a card of a machine and give it an address."""
        self._plugged += 1
        port = f"p{self._plugged}"
        self.ports[f"{machine.name}.{card}"] = port
        checked(
            "ip", "link", "add", card, "netns", str(machine.pid), "type", "veth",
            "peer", "name", port, "netns", str(self.machine.pid),
        )  # fmt: skip
        self.machine.ip("link", "set", port, "master", "bridge", "up")
        machine.ip("address", "add", address, "dev", card)
        machine.ip("link", "set", card, "up")

    def unplug(self, machine: Machine, card: str) -> None:
        self.machine.ip("link", "set", self.ports[f"{machine.name}.{card}"], "down")

    def forget(self, machine: Machine) -> None:
        """Forget the cards of a machine that was switched off."""
        for name in [name for name in self.ports if name.startswith(f"{machine.name}.")]:
            port = self.ports.pop(name)
            self.machine.run("ip", "link", "del", port)


@contextlib.contextmanager
def machine(name: str) -> Iterator[Machine]:
    made = Machine(name)
    try:
        made.power_on()
        yield made
    finally:
        made.power_off()


@contextlib.contextmanager
def switch(name: str) -> Iterator[Switch]:
    with machine(name) as made:
        made.ip("link", "add", "bridge", "type", "bridge", "forward_delay", "0", "stp_state", "0")
        made.ip("link", "set", "bridge", "up")
        yield Switch(made)
