"""Who may have written to a volume behind DRBD, in words that tell a person where to look."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.holders import holders_of
from hapair.adapters.shared.apart import apart
from hapair.model.application import Volume
from hapair.model.text import shown
from hapair.ports.programs import CommandRunner, Finished

LIMIT_S: Final = 5.0
FSTAB: Final = "fstab"
UNITS: Final = "systemd/system"
WHAT: Final = "What="
_MAGIC: Final = (1024 + 0x38, b"\x53\xef")  # Of ext2, ext3 and ext4; all numbers little-endian.
_MOUNTED_AT: Final = 1024 + 0x2C
_MOUNTED_ON: Final = (1024 + 0x88, 64)
_BYTES: Final = 2048


async def writers_of(run: CommandRunner, volume: Volume, device: Path, etc: Path) -> str:
    """Return every trace that is found but for those on the device itself; empty: none."""
    names = {volume.backing_device, str(device)}
    match await run(("blkid", "-p", "-o", "export", str(device)), timeout_s=LIMIT_S):
        case Finished(exit_code=0, stdout=text):
            for line in text.splitlines():
                name, _, value = line.partition("=")
                names |= {f"{name}={value}", f'{name}="{value}"', _by(name, value)}
        case _:
            pass

    def traces() -> str:
        found = [f"{holder} has it now" for holder in holders_of(device)]
        found += _fstab_lines(etc / FSTAB, names, device)
        found += _units(etc / UNITS, names, device)
        return "; ".join(found)

    try:
        async with asyncio.timeout(LIMIT_S):  # What fstab names may lie on a dead file server.
            return await apart(FSTAB, traces)
    except OSError:
        return ""


def _by(name: str, value: str) -> str:
    return f"/dev/disk/by-{name.lower()}/{value}"


def _fstab_lines(place: Path, names: set[str], device: Path) -> Iterator[str]:
    for number, line in enumerate(_lines(place), start=1):
        fields = line.split()
        if len(fields) > 1 and _names_it(fields[0], names, device):
            yield f"line {number} of {place} mounts it on {shown(fields[1])}"


def _units(folder: Path, names: set[str], device: Path) -> Iterator[str]:
    for unit in sorted(folder.glob("*.mount")):
        for line in _lines(unit):
            if line.startswith(WHAT) and _names_it(line[len(WHAT) :].strip(), names, device):
                yield f"the unit {shown(unit.name)} mounts it"


def _names_it(source: str, names: set[str], device: Path) -> bool:
    if source in names:
        return True
    try:
        return source.startswith("/") and Path(source).stat().st_rdev == device.stat().st_rdev != 0
    except (OSError, ValueError):
        return False


def last_mount(device: Path) -> str:
    """Return where a file system of the ext family says that it was mounted last; empty: unknown.

    Call it in a forked child: the disk may hang.
    """
    try:
        with device.open("rb") as opened:
            block = opened.read(_BYTES)
    except OSError:
        return ""
    begin, magic = _MAGIC
    if block[begin : begin + len(magic)] != magic:
        return ""
    start, length = _MOUNTED_ON
    where = block[start : start + length].split(b"\0")[0].decode("utf-8", "replace")
    at_wall_s = int.from_bytes(block[_MOUNTED_AT : _MOUNTED_AT + 4], "little")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_wall_s))
    # The kernel notes the place only when a file is opened there.
    at = f"; the last place that it knows is {shown(where)}" if where else ""
    return f"its file system was mounted last at {stamp}{at}"


def _lines(place: Path) -> list[str]:
    try:
        return place.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
