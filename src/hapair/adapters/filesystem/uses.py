"""What holds a device besides the mount that we made, named so that a person can end it.

Blocking code: call it in a forked child. Files of other file systems are not touched, because one
may lie on a file server that is gone.
"""

import contextlib
import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.filesystem import calls
from hapair.adapters.filesystem.holders import INIT, holds
from hapair.adapters.filesystem.sockets import bound_on
from hapair.adapters.shared.mounts import Mount, lies_on, mount_info, number_of, plain, words_of
from hapair.adapters.shared.spaces import (
    PROC,
    Process,
    Space,
    leaving_with,
    name_in,
    other_spaces,
    own_mounts,
    pids,
    process_of,
)
from hapair.model.text import shown

SYS: Final = Path("/sys")
DEV: Final = Path("/dev")
Number = tuple[int, int]
_LOOP_GET_STATUS64: Final = 0x4C05
_LOOP_INFO_BYTES: Final = 232


@dataclass(frozen=True, slots=True)
class Use:
    what: str
    mend: str
    by: tuple[Process, ...] = ()  # Who has it; nobody when only the kernel does.
    export: bool = False
    inside: Number | None = None  # The device of another file system, mounted inside ours.
    place: str = ""  # Of a mount in our own name space, or the file of a loop device.


@dataclass(frozen=True, slots=True)
class Loop:
    node: Path
    number: Number
    file: str
    lies_on: Number  # The device of the file system that its file lies on, or the file itself.


def mounted(ours: Mount) -> Iterator[Use]:
    """Return what is mounted from the device, or inside ``ours``, and does not go with ``ours``."""
    here, spaces = own_mounts(), tuple(other_spaces())
    again = [each for each in here if each.device == ours.device and not is_ours(each, ours, here)]
    # Who unmounts it here unmounts its copies as well: that of systemd-udevd, for one.
    goes_again = [leaving_with(each, here, spaces) for each in again]
    by_number = {mount.number: mount for mount in here}
    for mount in here:
        point = shown(mount.mount_point)
        unmounting = f"umount {shlex.quote(point)}"
        if _is_inside(mount, ours, by_number):
            what = f"the mount on {point}"
            yield Use(what, unmounting, inside=mount.device, place=mount.mount_point)
        elif mount in again:
            folder = f" (its folder {shown(mount.root)})" if mount.root != "/" else ""
            yield Use(f"the mount on {point}{folder}", unmounting, place=mount.mount_point)
        elif _is_over(mount, ours):
            what = f"the overlay on {point}, which has a layer there"
            yield Use(what, unmounting, place=mount.mount_point)
    known = {mount.device for mount in here}
    overlays = (
        (space, mount)
        for space in spaces
        for mount in space.mounts
        if _is_over(mount, ours) and mount.device not in known
    )
    for space, mount in (*foreign_mounts(ours, here, spaces), *overlays):
        if any(goes(mount, space.mounts) for goes in goes_again):
            continue
        lives = tuple(process_of(pid) for pid in space.pids)
        what = "overlay" if mount.layers else "mount"
        point = shown(mount.mount_point)
        yield Use(
            f"the {what} on {point} in the mount name space of {lives[0]}",
            f"stop it, or: nsenter -t {lives[0].pid} -m umount -R {shlex.quote(point)}",
            lives,
        )


def others(ours: Mount) -> Iterator[Use]:
    """Return what else holds the device, without a mount: also who has it open."""
    yield from in_kernel(ours)
    yield from opened(ours)


def in_kernel(ours: Mount, proc: Path = PROC, sys: Path = SYS) -> Iterator[Use]:
    """Return what nobody may end: devices above it, swap spaces, exports, what init keeps."""
    yield from _above(ours.device, sys)
    yield from _swaps(ours, proc)
    yield from _exports(ours, proc)
    yield from _kept_by_init(ours, proc)


def _is_inside(mount: Mount, ours: Mount, by_number: Mapping[int, Mount]) -> bool:
    """Tell whether it keeps ours from being unmounted; what ours hides does not."""
    inside = bool(ours.number) and lies_on(mount, ours, by_number)
    return inside and mount.device != ours.device


def _is_over(mount: Mount, ours: Mount) -> bool:
    """Tell whether an overlay has a layer in ours: it keeps the device even without our mount."""
    return any(_is_in(layer, ours) for layer in mount.layers)


def is_ours(mount: Mount, ours: Mount, here: tuple[Mount, ...]) -> bool:
    """Tell whether it is our mount, or a copy of it that goes with it."""
    same = mount.mount_point == ours.mount_point and mount.root == "/"
    return same or leaving_with(ours, here, ())(mount, here)


def foreign_mounts(
    ours: Mount, here: tuple[Mount, ...], spaces: tuple[Space, ...]
) -> Iterator[tuple[Space, Mount]]:
    """Return the mounts of the device in other name spaces that do not go with ours."""
    goes = leaving_with(ours, here, spaces)
    for space in spaces:
        for mount in space.mounts:
            if mount.device == ours.device and not goes(mount, space.mounts):
                yield space, mount


def _above(number: Number, sys: Path) -> Iterator[Use]:
    """Return device-mapper, md and loop devices that lie on the device."""
    folder = sys / "dev/block" / f"{number[0]}:{number[1]}" / "holders"
    for holder in sorted(folder.glob("*")):
        try:
            name = name_in(holder / "dm/name")
        except OSError:
            yield Use(f"the device {holder.name}", f"stop what uses /dev/{holder.name}")
        else:
            yield Use(f"the device-mapper map {name}", f"dmsetup remove {name}")
    for loop in loops_over(number, sys):
        # The kernel lets go of a loop device only when nothing lies on it any more.
        yield from _above(loop.number, sys)
        yield Use(
            f"the loop device {loop.node} over {loop.file}",
            f"unmount what is on it, then: losetup -d {loop.node}",
            place=loop.file,
        )


def loops_over(number: Number, sys: Path = SYS) -> tuple[Loop, ...]:
    """Return the loop devices whose file is the device, or lies on its file system."""
    return tuple(each for each in _loops(sys) if each.lies_on == number)


def _loops(sys: Path) -> Iterator[Loop]:
    for folder in sorted(sys.glob("block/loop*/loop")):
        node = DEV / folder.parent.name
        with contextlib.suppress(OSError, ValueError):
            file = shown((folder / "backing_file").read_bytes().decode(errors="replace").strip())
            major, _, minor = (folder.parent / "dev").read_text().strip().partition(":")
            lies_on = _backing(node)
            yield Loop(node, (int(major), int(minor)), file, lies_on)


def _backing(node: Path) -> Number:
    """Ask the loop driver: the name of the file says nothing after a rename."""
    descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        info = fcntl.ioctl(descriptor, _LOOP_GET_STATUS64, bytes(_LOOP_INFO_BYTES))
    finally:
        os.close(descriptor)
    file_system, device = (int.from_bytes(info[at : at + 8], "little") for at in (0, 16))
    return os.major(device or file_system), os.minor(device or file_system)


def _swaps(ours: Mount, proc: Path) -> Iterator[Use]:
    with contextlib.suppress(OSError):
        for place in swaps(proc):
            if _is_in(place, ours) or _device_of(place) == ours.device:
                named = shown(place)
                yield Use(f"the swap space {named}", f"swapoff {shlex.quote(named)}")


def swaps(proc: Path = PROC) -> list[str]:
    """Return the devices and files with swap space; OSError."""
    lines = mount_info(proc / "swaps").split("\n")[1:]
    return [plain(words[0]) for line in lines if (words := words_of(line))]


def _exports(ours: Mount, proc: Path) -> Iterator[Use]:
    """Return what the kernel's NFS server has open: it does so once a client has asked."""
    for name in ("fs/nfsd/exports", "fs/nfs/exports"):
        with contextlib.suppress(OSError):
            found = []
            for line in mount_info(proc / name).split("\n"):
                place, _, clients = line.partition("\t")
                if _is_in(plain(place), ours):
                    found.append((_is_way(clients), shown(plain(place)), shown(clients)))
            for _, place, clients in sorted(found):  # The kernel has them in no order.
                yield _export(place, clients)
            return


def _export(place: str, clients: str) -> Use:
    if _is_way(clients):
        way = f"the way of NFS clients through {place} to what is exported in it"
        return Use(way, "exportfs -f", export=True)
    hosts = (each.partition("(")[0] for each in clients.split())
    mend = "; ".join(f"exportfs -u {shlex.quote(f'{host}:{place}')}" for host in hosts)
    return Use(f"the NFS export of {place} to {clients}", mend, export=True)


def _is_way(clients: str) -> bool:
    """Tell whether nobody exported it: NFSv4 only leads clients through it."""
    return ",v4root" in clients


def _kept_by_init(ours: Mount, proc: Path) -> Iterator[Use]:
    """Return what init has for a unit, e.g. the socket by which it starts it: init is not ended."""
    if holds(proc / str(INIT), ours, bound_on(ours.device)):
        init = process_of(INIT, proc)
        mend = "systemctl list-sockets, and stop the unit that has one there"
        yield Use(f"a socket or a file of it that {init} keeps open", mend, (init,))


def _is_in(place: str, ours: Mount) -> bool:
    return place == ours.mount_point or place.startswith(ours.mount_point.rstrip("/") + "/")


def _device_of(place: str) -> Number | None:
    return number_of(place) if place.startswith("/dev/") else None


def opened(ours: Mount) -> Iterator[Use]:
    """Return the processes that have the device itself open."""
    for pid in pids():
        if pid != os.getpid() and opens(PROC / str(pid), ours.device):
            process = process_of(pid)
            yield Use(f"{process}, which has the device open", process.end, (process,))


def opens(process: Path, number: Number) -> bool:
    """Tell whether the process has the block device itself open, under whatever name."""
    with contextlib.suppress(OSError):
        return any(_leads_to(link.path, number) for link in os.scandir(process / "fd"))
    return False


def _leads_to(link: str, number: Number) -> bool:
    with contextlib.suppress(OSError):
        return calls.target(link).is_device == number
    return False
