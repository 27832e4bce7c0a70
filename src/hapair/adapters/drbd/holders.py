"""Who holds a block device, in words that tell a person where to look."""

import os
from pathlib import Path


def holders_of(device: Path, *, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> list[str]:
    """Return what is built on the device, and where it is mounted; empty when nothing is found."""
    try:
        number = device.stat().st_rdev
    except OSError:
        return []
    place = f"{os.major(number)}:{os.minor(number)}"
    above = sorted((sys / "dev/block" / place / "holders").glob("*"))
    mounts = (line.split() for line in (proc / "self/mountinfo").read_text().splitlines())
    return [
        *(_named(each) for each in above),
        *(f"the mount on {words[4]}" for words in mounts if words[2] == place),
    ]


def _named(holder: Path) -> str:
    """Return the name that its own tool knows it by: the kernel counts maps only."""
    try:
        name = (holder / "dm/name").read_text().strip()
    except OSError:
        return holder.name
    return f"the device-mapper map {name}"
