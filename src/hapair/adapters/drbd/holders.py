"""Who holds a block device, in words that tell a person where to look."""

import os
from pathlib import Path

from hapair.adapters.shared.mounts import MOUNT_INFO, mount_info, mounts


def holders_of(device: Path, *, sys: Path = Path("/sys"), mounted: Path = MOUNT_INFO) -> list[str]:
    """Return what is built on the device, and where it is mounted; empty when nothing is found."""
    try:
        number = device.stat().st_rdev
    except OSError:
        return []
    major, minor = os.major(number), os.minor(number)
    above = sorted((sys / "dev/block" / f"{major}:{minor}" / "holders").glob("*"))
    found = [each for each in mounts(mount_info(mounted)) if each.device == (major, minor)]
    points = (_shown(each.mount_point) for each in found)
    return [*(_named(each) for each in above), *(f"the mount on {point}" for point in points)]


def _shown(mount_point: str) -> str:
    """Return a name as one line of text: any user may mount at one with any bytes in it."""
    return "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in mount_point
    )


def _named(holder: Path) -> str:
    """Return the name that its own tool knows it by: the kernel only numbers such devices."""
    try:
        name = (holder / "dm/name").read_text().strip()
    except OSError:
        return holder.name
    return f"the device-mapper map {name}"
