"""One User Mode Linux guest: a kernel that is an ordinary process of this machine.

Real Linux, real DRBD, at the speed of this machine and idle when the guest is; one processor each.
What differs from ``qemu``: nothing is saved and restored but the disks, so a snapshot is taken of
guests that were halted in order, and continuing from it is booting; a frozen guest's clock goes on.

Only the root disk is a copy on write. The kernel's driver reads the wrong sectors of one when a
request has several parts, and one of them lies half here and half in the backing file: it goes on
where the last piece ended, not where the part did (seen as a resync that damaged the copy). The
root file system writes whole pages of 4096 bytes, so no part of a request is ever mixed there; on
data disks are volumes and file systems of smaller blocks.

The guest's cards, their carrier and the device names are made inside it, see ``recipe``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from hapair_lab import cow, hub, relay, strip
from hapair_lab.emulator import ROOT_DISK, Emulator, EmulatorPlan
from hapair_lab.errors import LabError
from hapair_lab.process import Process

KERNEL_WORDS: Final = (
    "root=/dev/ubda", "rw", "quiet", "seccomp=on", "audit=0", "raid=noautodetect",
    "cryptomgr.notests", "systemd.show_status=0", "con=null", "ssl=null",
)  # fmt: skip
# Which lines of the guest the lab's programs in it take, see ``payload/agent.py``.
AGENT_LINE: Final = 1
STRIP_LINE: Final = 2
SSH_LINE: Final = 3
PLUG_IN_TIMEOUT_S: Final = 20.0
HALT_TIMEOUT_S: Final = 300.0
POLL_S: Final = 0.05
PROC: Final = Path("/proc")
# Debian's libeatmydata: fsync and its kind return at once.
NO_FLUSH: Final = Path("/usr/lib/x86_64-linux-gnu/libeatmydata.so.1")


class Hand(Protocol):
    """What the emulator has done by the agent in its guest."""

    def set_carriers(self, cards: Mapping[str, bool]) -> None: ...
    def halt(self) -> None: ...
    def wait_until_booted(self) -> None: ...


def disk_words(plan: EmulatorPlan) -> list[str]:
    """Return the kernel's words for the disks; those with a backing file are copies on write."""
    words = []
    for number, name in enumerate(plan.disk_names()):
        path = plan.disk_path(name)
        backing = _backing_note(path)
        on = f",{backing.read_text()}" if backing.exists() else ""
        words.append(f"ubd{number}={path}{on}")
    return words


def card_words(plan: EmulatorPlan) -> list[str]:
    """Return the kernel's words for the cables; the management card has none."""
    words = []
    plugged = [card for card in plan.guest.cards if card.segment is not None]
    for number, card in enumerate(plugged):
        path = hub.socket_path(plan.hub_folder(), plan.guest.name, card.name)
        words.append(f"vec{number}:transport=bess,dst={path},depth=64")
    return words


def _backing_note(disk: Path) -> Path:
    return disk.with_suffix(".backing")


class Uml(Emulator):
    """A guest whose kernel is a process. Its programs are processes of the same group."""

    def __init__(self, plan: EmulatorPlan, hand: Hand) -> None:
        process = Process(
            pid_file=plan.path("pid"),
            word=f"lab.guest={plan.path('guest')}",
            log=plan.path("emulator"),
            whole_group=True,
        )
        super().__init__(plan, process)
        self._hand = hand

    def create_disks(self, backing_folder: Path | None) -> None:
        for name in self.plan.disk_names():
            disk = self.plan.disk_path(name)
            disk.unlink(missing_ok=True)
            _backing_note(disk).unlink(missing_ok=True)
            if name == ROOT_DISK:
                image = self.plan.image.root_disk
                backing = backing_folder / disk.name if backing_folder is not None else image
                _backing_note(disk).write_text(str(backing))
            elif backing_folder is not None:
                cow.copy_sparse(backing_folder / disk.name, disk)
            else:
                with disk.open("wb") as empty:
                    empty.truncate(self.plan.data_disk(name).size_bytes)

    def start(self) -> None:
        if self.is_running():
            raise LabError(f"{self.plan.guest.name} is already powered on")
        shutil.rmtree(self.plan.path("uml"), ignore_errors=True)
        name = self.plan.guest.name
        folder = self.plan.folder
        with contextlib.ExitStack() as files:
            console, journal = (
                files.enter_context(self.plan.path(kind).open("ab")).fileno()
                for kind in ("console", "journal")
            )
            agent, ssh = (
                relay.line_path(folder / "relay", f"{name}.{line}") for line in relay.LINES
            )
            power = strip.socket_path(self.plan.strip_folder(), name)
            lines = (
                files.enter_context(_plugged_in(path)).fileno() for path in (agent, power, ssh)
            )
            descriptors = (console, journal, *lines)
            self.process.start(
                self._command_line(descriptors),
                dies_with_parent=self.plan.dies_with_parent,
                pass_fds=descriptors,
                environment=_environment(folder),
            )

    def _command_line(self, descriptors: tuple[int, ...]) -> list[str]:
        guest = self.plan.guest
        console, journal, *lines = descriptors
        return [
            str(self.plan.image.kernel),
            f"mem={guest.memory_mib}M",
            *("umid=uml", f"uml_dir={self.plan.path('uml')}/"),
            *KERNEL_WORDS,
            *disk_words(self.plan),
            *card_words(self.plan),
            f"con0=null,fd:{console}",
            f"con1=null,fd:{journal}",
            *(
                f"ssl{number}=fd:{line},fd:{line}"
                for number, line in zip((AGENT_LINE, STRIP_LINE, SSH_LINE), lines, strict=True)
            ),
            f"systemd.hostname={guest.name}",
            f"systemd.machine_id=000000000000000000000000000000{guest.number:02x}",
            f"lab.pulled={','.join(self.pulled_cards())}",
            self.process.word,
        ]

    def start_saved(self, folder: Path) -> None:  # noqa: ARG002 - the disks are on top of it already.
        self.start()

    def wait_until_loaded(self) -> None:
        self._hand.wait_until_booted()

    def begin_saving(self) -> None:
        self.resume()  # A frozen guest could not halt.
        self._hand.halt()

    def save(self, folder: Path) -> None:  # noqa: ARG002 - there is nothing besides the disks.
        _wait_until("the guest has halted", lambda: not self.is_running(), HALT_TIMEOUT_S)

    def keep_disks(self, folder: Path) -> None:
        for name in self.plan.disk_names():
            disk = self.plan.disk_path(name)
            backing = _backing_note(disk)
            if not backing.exists():
                shutil.move(disk, folder / disk.name)
            elif disk.exists():
                cow.merge(disk, Path(backing.read_text()), folder / disk.name)
            else:  # The guest never had power.
                cow.copy_sparse(Path(backing.read_text()), folder / disk.name)

    def reset(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        was_paused = self.is_paused()
        self._signal(signal.SIGCONT)
        if was_paused:
            self._tell_carriers()

    def has_booted(self) -> None:
        self._tell_carriers()

    def _tell_carriers(self) -> None:
        """Cables that were pulled or plugged while the guest took no notice are seen by it now."""
        pulled = self.pulled_cards()
        cards = (card for card in self.plan.guest.cards if card.segment is not None)
        self._hand.set_carriers({card.name: card.name not in pulled for card in cards})

    def is_paused(self) -> bool:
        try:
            status = (PROC / str(self.process.pid()) / "stat").read_text()
        except OSError:  # It has no power, perhaps since this moment.
            return False
        return status.rpartition(")")[2].split()[:1] == ["T"]

    def _signal(self, number: signal.Signals) -> None:
        pid = self.process.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
                return
        name = self.plan.guest.name
        raise LabError(f"{name} is powered off", hint=f"cllab power on {name}")

    def unplug_disk(self, name: str) -> None:
        raise LabError(
            f"the disk {name} of a User Mode Linux guest cannot be unplugged",
            hint="HAPAIR_LAB_GUESTS=qemu has disks that can",
        )

    def _set_link(self, card: str, *, up: bool) -> None:
        if not self.is_paused():
            self._hand.set_carriers({card: up})


def _environment(home: Path) -> dict[str, str]:
    """Return what the kernel is started with.

    It keeps the guest's memory in a file of ``TMPDIR``, which has to be executable. The guest's
    flushes end in the host's page cache, as those of QEMU's guests do: it outlives a killed guest,
    and a flush that waited for the host's disk would take seconds while labs are copied.
    """
    settings = {**os.environ, "HOME": str(home), "TMPDIR": "/dev/shm"}  # noqa: S108
    return settings | ({"LD_PRELOAD": str(NO_FLUSH)} if NO_FLUSH.exists() else {})


@contextlib.contextmanager
def _plugged_in(path: Path) -> Iterator[socket.socket]:
    """Yield a connection to a plant of the lab, which may be starting."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        deadline_s = time.monotonic() + PLUG_IN_TIMEOUT_S
        while True:
            try:
                line.connect(str(path))
            except OSError as error:
                if time.monotonic() > deadline_s:
                    raise LabError(f"nobody listens at {path}: {error}") from error
                time.sleep(POLL_S)
            else:
                break
        yield line


def _wait_until(what: str, holds: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise LabError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(POLL_S)
