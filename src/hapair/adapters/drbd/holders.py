"""Who holds a block device, in words that tell a person where to look."""

import os
from pathlib import Path
from typing import Final

MOUNT_INFO: Final = Path("/proc/self/mountinfo")


def holders_of(device: Path, *, sys: Path = Path("/sys"), mounted: Path = MOUNT_INFO) -> list[str]:
    """Return what is built on the device, and where it is mounted; empty when nothing is found."""
    try:
        number = device.stat().st_rdev
    except OSError:
        return []
    place = f"{os.major(number)}:{os.minor(number)}"
    above = sorted((sys / "dev/block" / place / "holders").glob("*"))
    # Any user may mount at a name that is no text.
    lines = mounted.read_bytes().decode(errors="replace").split("\n")
    found = (words[4] for line in lines if (words := line.split(" "))[2:3] == [place])
    return [*(_named(each) for each in above), *(f"the mount on {point}" for point in found)]


def _named(holder: Path) -> str:
    """Return the name that its own tool knows it by: the kernel counts maps only."""
    try:
        name = (holder / "dm/name").read_text().strip()
    except OSError:
        return holder.name
    return f"the device-mapper map {name}"
