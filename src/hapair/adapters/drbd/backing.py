"""The port ``BackingVolumes``: the logical volumes below DRBD while DRBD does not have them."""

import asyncio
import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.writers import LIMIT_S, last_mount, writers_of
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.children import Write
from hapair.adapters.shared.forked import Ended, Forked
from hapair.adapters.shared.passing import LVM_LOCKED, passes, refused
from hapair.adapters.shared.together import Together
from hapair.model.application import Volume
from hapair.model.backing import Backing, LastSeen
from hapair.model.outcome import Done, NotNow, Outcome, Refused, Unknown
from hapair.ports.machine import Storage
from hapair.ports.programs import CommandRunner, Finished, TimedOut

START_BYTES: Final = 128 * 1024  # The superblocks and the first group of ext4 and XFS lie here.
BLKROSET: Final = 0x125D  # From linux/fs.h.
GUARD_TRIES: Final = 10
GUARD_AGAIN_S: Final = 0.1
OPEN_S: Final = 2.0  # Of a device; who closes it waits for what others have written to it.
WRITTEN: Final = 6  # Places in a device's "stat", see the kernel's Documentation/block/stat.
DISCARDED: Final = 13
UNDER_WAY: Final = 8
IN_USE: Final = 1  # The child's own word for "somebody has the device".


class KernelBackings:
    """Decides nothing; what it remembers lies in one file for each volume."""

    def __init__(
        self,
        run: CommandRunner,
        storage: Storage,
        *,
        devices: Path = Path("/dev"),
        sys: Path = Path("/sys"),
        boot_id: Path = Path("/proc/sys/kernel/random/boot_id"),
        etc: Path = Path("/etc"),
    ) -> None:
        self._run = run
        self._storage = storage
        self._devices = devices
        self._sys = sys
        self._boot_id = boot_id
        self._etc = etc
        self._forked = Forked()
        self._together = Together()

    async def look(self, volume: Volume, *, timeout_s: float) -> Backing | Refused | Unknown:
        """Activate the volume if needed, and look at it; its first blocks without any cache."""
        activated = await activate(self._run, self._devices, volume, timeout_s)
        if not isinstance(activated, Done):
            return activated
        device = self._device(volume)
        try:
            read = await self._forked(
                volume.resource, lambda write: _digest(device, write), timeout_s=timeout_s
            )
        except OSError as error:
            return NotNow(f"{volume.backing_device} cannot be read: {error.strerror}")
        if not isinstance(read, Ended) or read.exit_code != 0:
            return Unknown(f"{volume.backing_device} cannot be read")
        try:
            return self._seen(device, read.text)
        except (OSError, ValueError, IndexError) as error:
            return Unknown(f"what was written to {volume.backing_device} is not known: {error}")

    def _folder(self, device: Path) -> Path:
        """Return what the kernel tells of a device; from now on it counts what is written to it.

        Somebody may have told it not to, as advice for fast disks says.
        """
        number = device.stat().st_rdev
        folder = self._sys / "dev/block" / f"{os.major(number)}:{os.minor(number)}"
        with suppress(OSError):
            (folder / "queue/iostats").write_text("1")
        return folder

    def _seen(self, device: Path, start: str) -> Backing:
        folder = self._folder(device)
        counts = (folder / "stat").read_text().split()
        uuid, number_of_disk = folder / "dm/uuid", folder / "diskseq"  # Linux 5.15 and later.
        disk = number_of_disk.read_text().strip() if number_of_disk.exists() else ""
        return Backing(
            volume=uuid.read_text().strip() if uuid.exists() else "",
            activation=f"{self._boot_id.read_text().strip()} {disk}",
            written_sectors=int(counts[WRITTEN]) + int(counts[DISCARDED]),
            start=start,
            under_way=int(counts[UNDER_WAY]),
        )

    async def writers(self, volume: Volume) -> str:
        """Return who may have written to the volume, or may do it again; empty: no trace."""
        device = self._device(volume)
        traces = await writers_of(self._run, volume, device, self._etc)
        mounted = ""
        with suppress(OSError):  # There is no room for a process.
            read = await self._forked(
                volume.resource, lambda write: _last_mount(device, write), timeout_s=LIMIT_S
            )
            mounted = read.text if isinstance(read, Ended) else ""
        return "; ".join(part for part in (traces, mounted) if part)

    async def guard(self, volume: Volume) -> None:
        """Make the kernel refuse writes to the volume; nothing happens while anybody has it.

        It lasts until DRBD is given the volume, until ``blockdev --setrw`` or the next activation.
        Newer kernels give a device back a moment after DRBD has said that it let it go.
        """
        device = self._device(volume)

        def work(_: Write) -> int:
            with suppress(OSError):
                self._folder(device)
            with _opened(device, os.O_EXCL) as descriptor:
                if descriptor is None:
                    return IN_USE
                _set_read_only(descriptor, read_only=True)
            return 0

        with suppress(OSError):
            for _ in range(GUARD_TRIES):
                guarded = await self._together(f"guard {device}", work, timeout_s=OPEN_S)
                if not isinstance(guarded, Ended) or guarded.exit_code != IN_USE:
                    return
                await asyncio.sleep(GUARD_AGAIN_S)

    async def last_seen(self, resource: str) -> LastSeen | None:
        """Return what was remembered; None also when it is damaged, or the disk does not give it.

        OSError when only this node lacks something just now: a copy that nobody remembers would be
        believed.
        """
        name = _file(resource)
        try:
            content = await apart(name, lambda: self._storage.load(name))
            return read_last_seen(content) if content is not None else None
        except OSError as error:
            if passes(error):
                raise
            return None
        except ValueError:
            return None

    async def remember(self, resource: str, seen: LastSeen | None) -> Outcome:
        name = _file(resource)
        try:
            if seen is None:
                await apart(name, lambda: self._storage.forget(name))
            else:
                content = json.dumps(asdict(seen)).encode()
                await apart(name, lambda: self._storage.store(name, content))
        except OSError as error:
            return Refused(f"{name} cannot be written: {error.strerror}")
        return Done()

    def _device(self, volume: Volume) -> Path:
        return self._devices / volume.volume_group / volume.logical_volume


async def make_writable(together: Together, device: Path) -> None:
    """Take the guard away; where that fails, the attachment will say why."""

    def work(_: Write) -> int:
        with _opened(device) as descriptor:
            if descriptor is not None:
                _set_read_only(descriptor, read_only=False)
        return 0

    with suppress(OSError):
        await together(f"open {device}", work, timeout_s=OPEN_S)


async def activate(
    run: CommandRunner, devices: Path, volume: Volume, timeout_s: float
) -> Done | Refused | Unknown:
    """Activate the logical volumes that the boot left out, whoever told LVM to leave them out.

    A boot may leave some out when two ``vgchange`` make ``/dev/mapper/control`` at the same
    moment (LVM 2.03.16 of Debian 12). A volume that lvm.conf keeps inactive is left out by
    lvchange as well, and that is no failure to it.
    """
    missing = _missing(devices, volume)
    if not missing:
        return Done()
    argv = ("lvchange", "--activate", "y", "--ignoreactivationskip", *missing)
    match await run(argv, timeout_s=timeout_s):
        case TimedOut(after_s):
            return Unknown(f"{' '.join(argv)} gave no answer within {after_s} s")
        case Finished(exit_code=0):
            if still := _missing(devices, volume):
                return Refused(f"LVM does not activate {still[0]}: see lvmconfig activation")
            return Done()
        case finished:
            said = " ".join((finished.stderr or finished.stdout).split())
            why = f"{' '.join(argv)} ended with {finished.exit_code}: {said}"
            return refused(why, finished, LVM_LOCKED)


def _missing(devices: Path, volume: Volume) -> tuple[str, ...]:
    """Return which of a volume's two logical volumes have no device, as LVM names them."""
    names = (volume.logical_volume, volume.meta_volume)
    group = volume.volume_group
    return tuple(f"{group}/{name}" for name in names if not (devices / group / name).exists())


def read_last_seen(content: bytes) -> LastSeen:
    """Read what any version remembered; what only a newer one looks at is passed over.

    ValueError: it is damaged.
    """
    names = {field.name for field in fields(Backing)}
    try:
        known = json.loads(content)
        backing = {name: each for name, each in known["backing"].items() if name in names}
        return LastSeen(Backing(**backing), known["attached"])
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is not what was written: {error!r}") from None


def _file(resource: str) -> str:
    return f"backing-{resource}.json"


@contextmanager
def _opened(device: Path, flags: int = 0) -> Iterator[int | None]:
    """Open for reading; None when that is not possible, e.g. because somebody has it."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _set_read_only(descriptor: int, *, read_only: bool) -> None:
    try:
        fcntl.ioctl(descriptor, BLKROSET, int(read_only).to_bytes(4, "little"))
    except OSError:
        return  # A guard only: what is written all the same is found out.


def _digest(device: Path, write: Write) -> int:
    """Write the digest of the first blocks as they are on the disk: caches may be older."""
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    place = mmap.mmap(-1, START_BYTES)  # Direct reading wants memory at the beginning of a page.
    length = os.readv(descriptor, [place])
    write(hashlib.sha256(place[:length]).hexdigest())
    return 0


def _last_mount(device: Path, write: Write) -> int:
    write(last_mount(device))
    return 0
