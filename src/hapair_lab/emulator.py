"""What every kind of emulator has in common: its plan, its files, its process, its cables.

``qemu`` runs stock kernels on an emulated (or virtual) processor, ``uml`` runs a kernel that is an
ordinary process of this machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab.acceleration import Acceleration
from hapair_lab.images import Image
from hapair_lab.process import Process
from hapair_lab.topology import Disk, GuestPlan

ROOT_DISK: Final = "root"
PULLED: Final = "pulled"


@dataclass(frozen=True, slots=True)
class EmulatorPlan:
    """All that is needed to start a guest's emulator in a lab's folder."""

    guest: GuestPlan
    folder: Path
    image: Image
    acceleration: Acceleration
    ssh_port: int
    dies_with_parent: bool

    def disk_names(self) -> tuple[str, ...]:
        """The guest's disks in the order of their letters."""
        return (ROOT_DISK, *(disk.name for disk in self.guest.disks))

    def data_disk(self, name: str) -> Disk:
        """The data disk called ``name``."""
        return next(disk for disk in self.guest.disks if disk.name == name)

    def disk_path(self, name: str) -> Path:
        """The file of a disk, an overlay on something frozen."""
        return self.folder / f"{self.guest.name}-{name}.{self.acceleration.disk_format}"

    def path(self, kind: str) -> Path:
        """The file or socket of that kind of this guest, e.g. ``agent``, ``console``."""
        return self.folder / f"{self.guest.name}.{kind}"

    def hub_folder(self) -> Path:
        """Where the cable plant listens."""
        return self.folder / "hub"

    def strip_folder(self) -> Path:
        """Where the power strip listens."""
        return self.folder / "strip"


class Emulator(ABC):
    """The process of one guest. It is known by its pid file, so any process may attach to it."""

    def __init__(self, plan: EmulatorPlan, process: Process) -> None:
        self.plan = plan
        self.process = process

    @abstractmethod
    def create_disks(self, backing_folder: Path | None) -> None:
        """Make the guest's disks: on top of a snapshot's, or new ones on the image."""

    @abstractmethod
    def start(self) -> None:
        """Give power: the guest boots from its disks."""

    @abstractmethod
    def start_saved(self, folder: Path) -> None:
        """Begin to continue from a snapshot's folder; the disks are on top of it already."""

    @abstractmethod
    def wait_until_loaded(self) -> None:
        """Wait until the guest is as it was saved; it goes on with ``resume``."""

    @abstractmethod
    def begin_saving(self) -> None:
        """Let the guest come to a stop, so that all guests of the lab do at one moment."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Keep in ``folder`` what the stopped guest needs besides its disks; it is off then."""

    @abstractmethod
    def reset(self) -> None:
        """Press the reset button."""

    @abstractmethod
    def pause(self) -> None:
        """Stop the guest's processor; its cards and disks stay."""

    @abstractmethod
    def resume(self) -> None:
        """Let the processor go on."""

    @abstractmethod
    def is_paused(self) -> bool:
        """Tell whether the processor was stopped by ``pause``."""

    @abstractmethod
    def unplug_disk(self, name: str) -> None:
        """Take a disk out until the power was off; LabError where this cannot be done."""

    @abstractmethod
    def keep_disks(self, folder: Path) -> None:
        """Give the disks of a guest that is off to a snapshot; nothing changes them any more."""

    @abstractmethod
    def _set_link(self, card: str, *, up: bool) -> None:
        """Give a running guest's card its carrier, or take it."""

    @abstractmethod
    def has_booted(self) -> None:
        """Tell a guest whose agent answers what its emulator could not tell it before."""

    def pulled_cards(self) -> tuple[str, ...]:
        """Return the cards without a cable. A cable stays pulled when the power goes."""
        kept = self.plan.path(PULLED)
        return tuple(kept.read_text().split()) if kept.exists() else ()

    def set_cable(self, card: str, *, plugged: bool) -> None:
        """Plug or pull a card's cable; works without power too."""
        others = [name for name in self.pulled_cards() if name != card]
        self.plan.path(PULLED).write_text(" ".join(others if plugged else [*others, card]))
        if self.is_running():
            self._set_link(card, up=plugged)

    def is_running(self) -> bool:
        """Tell whether the guest has power."""
        return self.process.pid() is not None

    def kill(self) -> None:
        """Cut the power: the process ends at once, nothing is told to the guest."""
        self.process.kill()
