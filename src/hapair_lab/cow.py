"""Copy-on-write disks of User Mode Linux: makes a plain disk out of one and what it stands on.

The kernel's format, version 3: a packed big-endian header (magic, version, time of the backing
file, size, sector size, alignment, format, path of the backing file), a bitmap of the sectors that
are here, and the sectors themselves, each part aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.tools import run_tool

HEADER: Final = struct.Struct(">IIIQIII4096s")
MAGIC: Final = 0x4F4F4F4D
VERSION: Final = 3
BITS: Final = 8
ALL_SET: Final = 0xFF
COPY_BYTES: Final = 4 * 1024 * 1024


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a disk; what was never written takes no space in the copy."""
    run_tool("cp", "--sparse=always", "--reflink=auto", str(source), str(target))


def runs(bitmap: bytes) -> Iterator[tuple[int, int]]:
    """Yield the runs of set bits (the lowest bit of a byte first): where each begins, and ends."""
    begin = None
    for index, byte in enumerate(bitmap):
        if (byte == 0 and begin is None) or (byte == ALL_SET and begin is not None):
            continue
        for bit in range(BITS):
            number = index * BITS + bit
            if byte >> bit & 1:
                begin = number if begin is None else begin
            elif begin is not None:
                yield begin, number
                begin = None
    if begin is not None:
        yield begin, len(bitmap) * BITS


def merge(disk: Path, backing: Path, target: Path) -> None:
    """Write to ``target`` what ``disk`` shows on top of ``backing``; LabError if it is no such."""
    with disk.open("rb") as source:
        head = source.read(HEADER.size)
        if len(head) < HEADER.size:
            raise LabError(f"{disk} is no copy-on-write disk")
        magic, version, _, size, sector, alignment, _, _ = HEADER.unpack(head)
        if (magic, version) != (MAGIC, VERSION):
            raise LabError(f"{disk} is no copy-on-write disk of version {VERSION}")
        bitmap_at = _aligned(HEADER.size, alignment)
        bitmap_bytes = -(-(size // sector) // BITS)
        source.seek(bitmap_at)
        bitmap = source.read(bitmap_bytes)
        data_at = _aligned(bitmap_at + bitmap_bytes, alignment)
        copy_sparse(backing, target)
        with target.open("r+b") as result:
            for begin, end in runs(bitmap):
                source.seek(data_at + begin * sector)
                result.seek(begin * sector)
                left = (end - begin) * sector
                while left > 0:
                    part = source.read(min(left, COPY_BYTES))
                    result.write(part)
                    left -= len(part)


def _aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
