"""Who holds a block device, in words that tell a person where to look."""

from collections.abc import Iterator
from pathlib import Path

from hapair.adapters.shared.mounts import number_of
from hapair.adapters.shared.spaces import PROC, name_in, other_spaces, own_mounts, process_of
from hapair.model.text import shown


def holders_of(device: Path, *, sys: Path = Path("/sys"), proc: Path = PROC) -> list[str]:
    """Return what is built on the device, and where it is mounted; empty when nothing is found."""
    if (number := number_of(str(device))) is None:
        return []
    major, minor = number
    above = sorted((sys / "dev/block" / f"{major}:{minor}" / "holders").glob("*"))
    loops = writable_loops(device, sys=sys)
    return [*(_named(each) for each in above), *loops, *_mounts_of(number, proc)]


def _mounts_of(number: tuple[int, int], proc: Path) -> Iterator[str]:
    """Name its mounts; those of other name spaces only where they are no copies of ours."""
    ours = [each.mount_point for each in own_mounts(proc) if each.device == number]
    yield from (f"the mount on {shown(each)}" for each in ours)
    for space in other_spaces(proc):
        for mount in space.mounts:
            if mount.device == number and mount.mount_point not in ours:
                lives = process_of(space.pids[0], proc)
                yield f"the mount on {shown(mount.mount_point)} in the mount name space of {lives}"


def writable_loops(device: Path, *, sys: Path = Path("/sys")) -> list[str]:
    """Return the loop devices through which the device can be written: they claim nothing.

    So they keep nobody from attaching it, and nobody keeps them from writing to it.
    """
    found = sorted(sys.glob("block/loop*/loop/backing_file"))
    return [f"the loop device {each.parts[-3]}" for each in found if _writes(each, device)]


def _writes(backing_file: Path, device: Path) -> bool:
    try:
        place = Path(backing_file.read_text().rstrip("\n"))
        # Other files are not asked: one on a dead file server would hang.
        if Path("/dev") not in place.parents or place.stat().st_rdev != device.stat().st_rdev:
            return False
        return (backing_file.parents[1] / "ro").read_text().strip() == "0"
    except (OSError, ValueError):
        return False


def _named(holder: Path) -> str:
    """Return the name that its own tool knows it by: the kernel only numbers such devices."""
    try:
        name = name_in(holder / "dm/name")
    except OSError:
        return holder.name
    return f"the device-mapper map {name}"
