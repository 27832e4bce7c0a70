"""One QEMU process: its command line, its life, and the saving of its state."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

from hapair_lab import hub, strip
from hapair_lab.emulator import ROOT_DISK, Emulator, EmulatorPlan
from hapair_lab.errors import LabError
from hapair_lab.process import Process
from hapair_lab.qmp import QmpClient
from hapair_lab.tools import run_tool

AGENT_PORT: Final = "hapair-lab"
STRIP_RECONNECT_S: Final = 1
SAVE_TIMEOUT_S: Final = 300.0
POLL_S: Final = 0.02
UNLIMITED_BYTES_PER_S: Final = 10 * 1024**3

# ``norandmaps``: a program that lies at the same place each time is translated once; starting one
# costs a third or less.
KERNEL_COMMAND_LINE: Final = (
    "console=ttyS0 root=/dev/vda rw quiet mitigations=off nokaslr norandmaps init_on_alloc=0 "
    "audit=0 apparmor=0 "
    "no_timer_check cryptomgr.notests raid=noautodetect ipv6.disable_ipv6=0 "
    "systemd.show_status=0 systemd.hostname={name} "
    "systemd.machine_id=000000000000000000000000000000{number:02x}"
)


def _card_arguments(plan: EmulatorPlan) -> list[str]:
    arguments = []
    for card in plan.guest.cards:
        if card.segment is None:
            forward = f"hostfwd=tcp:127.0.0.1:{plan.ssh_port}-:22"
            backend = f"user,id={card.name},restrict=on,ipv6=off,{forward}"
        else:
            path = hub.socket_path(plan.hub_folder(), plan.guest.name, card.name)
            backend = f"stream,id={card.name},server=off,addr.type=unix,addr.path={path}"
        device = f"virtio-net-pci,netdev={card.name},mac={card.mac},romfile="
        arguments += ["-netdev", backend, "-device", device]
    return arguments


def _disk_arguments(plan: EmulatorPlan) -> list[str]:
    """Flushes reach the host's page cache, which outlives a killed emulator, but not its disks."""
    arguments = []
    for name in plan.disk_names():
        path = plan.disk_path(name)
        drive = f"file={path},if=none,id={name},format=qcow2,cache=unsafe,discard=unmap"
        arguments += [
            "-drive",
            drive,
            "-device",
            f"virtio-blk-pci,drive={name},serial={name},id=disk-{name}",
        ]
    return arguments


def _strip_arguments(plan: EmulatorPlan) -> list[str]:
    """The guest's line to the power strip; the strip may come and go."""
    path = strip.socket_path(plan.strip_folder(), plan.guest.name)
    backend = f"socket,id=strip,path={path},server=off,reconnect={STRIP_RECONNECT_S}"
    return ["-chardev", backend, "-device", f"virtserialport,chardev=strip,name={strip.PORT}"]


def command_line(plan: EmulatorPlan, incoming: Path | None) -> list[str]:
    """Return the emulator's command line; ``incoming`` is a saved state to continue from."""
    guest = plan.guest
    kernel_words = KERNEL_COMMAND_LINE.format(name=guest.name, number=guest.number)
    return [
        "qemu-system-x86_64",
        *("-name", guest.name, "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "pc,usb=off,smm=off", "-m", str(guest.memory_mib), "-smp", "1"),
        *plan.acceleration.arguments,
        *("-kernel", str(plan.image.kernel), "-initrd", str(plan.image.initrd)),
        *("-append", kernel_words),
        *("-qmp", f"unix:{plan.path('qmp')},server=on,wait=off"),
        *("-chardev", f"file,id=console,path={plan.path('console')},append=on"),
        *("-serial", "chardev:console"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=agent,path={plan.path('agent')},server=on,wait=off"),
        *("-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        *_strip_arguments(plan),
        *("-chardev", f"file,id=journal,path={plan.path('journal')},append=on"),
        *("-device", "virtconsole,chardev=journal"),
        *("-device", "virtio-rng-pci"),
        *_disk_arguments(plan),
        *_card_arguments(plan),
        *(("-incoming", f"exec:cat '{incoming}'") if incoming is not None else ()),
    ]


def writing(state: Path) -> str:
    """Return where a state is sent to; its file is there once all of it is, else no part either."""
    part = _part(state)
    return f"exec:{{ cat > '{part}' && mv '{part}' '{state}'; }} || rm -f '{part}'"


def _part(state: Path) -> Path:
    return state.with_suffix(".part")


class Qemu(Emulator):
    """A guest with a processor of its own, emulated or virtual."""

    def __init__(self, plan: EmulatorPlan) -> None:
        process = Process(
            pid_file=plan.path("pid"), word=str(plan.path("qmp")), log=plan.path("emulator")
        )
        super().__init__(plan, process)

    def create_disks(self, backing_folder: Path | None) -> None:
        for name in self.plan.disk_names():
            target = self.plan.disk_path(name)
            target.unlink(missing_ok=True)
            base = ("qemu-img", "create", "-q", "-f", "qcow2")
            if backing_folder is not None:
                backing = backing_folder / target.name
                run_tool(*base, "-b", str(backing), "-F", "qcow2", str(target))
            elif name == ROOT_DISK:
                image = str(self.plan.image.root_disk)
                run_tool(*base, "-b", image, "-F", "raw", str(target))
            else:
                run_tool(*base, str(target), str(self.plan.data_disk(name).size_bytes))

    def start(self) -> None:
        self._start(incoming=None)

    def start_saved(self, folder: Path) -> None:
        """Start from a saved state; the guest stays paused until ``resume``."""
        self._start(incoming=self._state_in(folder))

    def _start(self, incoming: Path | None) -> None:
        if self.is_running():
            raise LabError(f"{self.plan.guest.name} is already powered on")
        for kind in ("qmp", "agent"):
            self.plan.path(kind).unlink(missing_ok=True)
        self.process.start(
            command_line(self.plan, incoming), dies_with_parent=self.plan.dies_with_parent
        )
        for card in self.pulled_cards():
            self._set_link(card, up=False)

    def _state_in(self, folder: Path) -> Path:
        return folder / f"{self.plan.guest.name}.state"

    def _set_link(self, card: str, *, up: bool) -> None:
        with self._control() as control:
            control.execute("set_link", name=card, up=up)

    def _control(self) -> QmpClient:
        """Open the control connection."""
        if not self.is_running():
            raise LabError(
                f"{self.plan.guest.name} is powered off",
                hint=f"cllab power on {self.plan.guest.name}",
            )
        return QmpClient(self.plan.path("qmp"))

    def reset(self) -> None:
        with self._control() as control:
            control.execute("system_reset")

    def pause(self) -> None:
        with self._control() as control:
            control.execute("stop")

    def resume(self) -> None:
        with self._control() as control:
            control.execute("cont")

    def is_paused(self) -> bool:
        with self._control() as control:
            return control.field("query-status", "status") == "paused"

    def unplug_disk(self, name: str) -> None:
        with self._control() as control:
            control.execute("device_del", id=f"disk-{name}")

    def wait_until_loaded(self) -> None:
        deadline_s = time.monotonic() + SAVE_TIMEOUT_S
        with self._control() as control:
            while control.field("query-status", "status") == "inmigrate":
                if time.monotonic() > deadline_s:
                    raise LabError(f"the state of {self.plan.guest.name} is not loaded in time")
                time.sleep(POLL_S)

    def has_booted(self) -> None:
        """Do nothing: its cards are told of their cables by the emulator itself."""

    def begin_saving(self) -> None:
        self.pause()

    def save(self, folder: Path) -> None:
        """Write the state of the paused guest; it must not go on afterwards."""
        deadline_s = time.monotonic() + SAVE_TIMEOUT_S
        with self._control() as control:
            control.execute("migrate-set-parameters", max_bandwidth=UNLIMITED_BYTES_PER_S)
            state = self._state_in(folder)
            control.execute("migrate", uri=writing(state))
            # The emulator is done when the program took all; it may find no room for the rest.
            while not state.exists():
                status = control.field("query-migrate", "status")
                has_ended = status == "failed" or (
                    status == "completed" and not _part(state).exists() and not state.exists()
                )
                if has_ended or time.monotonic() > deadline_s:
                    raise LabError(f"the state of {self.plan.guest.name} was not saved: {status}")
                time.sleep(POLL_S)
        self.kill()

    def keep_disks(self, folder: Path) -> None:
        for name in self.plan.disk_names():
            disk = self.plan.disk_path(name)
            shutil.move(disk, folder / disk.name)
