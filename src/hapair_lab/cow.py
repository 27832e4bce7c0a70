"""Copy-on-write disks of User Mode Linux: makes a plain disk out of one and what it stands on.

The kernel's format, version 3: a packed big-endian header (magic, version, time of the backing
file, size, sector size, alignment, format, path of the backing file), a bitmap of the sectors that
are here, and the sectors themselves, each part aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header of a copy-on-write disk says of the places of its parts."""

    size_bytes: int
    sector_bytes: int
    alignment_bytes: int

    @property
    def bitmap_bytes(self) -> int:
        """How long the bitmap is."""
        return -(-self.size_bytes // (self.sector_bytes * BITS))

    @property
    def bitmap_at(self) -> int:
        """Where the bitmap begins."""
        return self._aligned(HEADER.size)

    @property
    def data_at(self) -> int:
        """Where the place of the first sector is."""
        return self._aligned(self.bitmap_at + self.bitmap_bytes)

    def _aligned(self, offset: int) -> int:
        return -(-offset // self.alignment_bytes) * self.alignment_bytes


def layout_of(disk: Path, head: bytes) -> Layout:
    """Read the header of ``disk``; LabError if it is none."""
    if len(head) < HEADER.size:
        raise LabError(f"{disk} is no copy-on-write disk")
    magic, version, _, size, sector, alignment, _, _ = HEADER.unpack(head)
    if (magic, version) != (MAGIC, VERSION) or not (sector and alignment):
        raise LabError(f"{disk} is no copy-on-write disk of version {VERSION}")
    return Layout(size, sector, alignment)


def merge(disk: Path, backing: Path, target: Path) -> None:
    """Write to ``target`` what ``disk`` shows on top of ``backing``.

    Raises:
        LabError: ``disk`` is no copy-on-write disk, or ends before its last sector. There may be a
            part of ``target``.
    """
    with disk.open("rb") as source:
        layout = layout_of(disk, source.read(HEADER.size))
        source.seek(layout.bitmap_at)
        bitmap = source.read(layout.bitmap_bytes)
        copy_sparse(backing, target)
        with target.open("r+b") as result:
            for begin, end in runs(bitmap):
                source.seek(layout.data_at + begin * layout.sector_bytes)
                result.seek(begin * layout.sector_bytes)
                left = (end - begin) * layout.sector_bytes
                while left > 0:
                    part = source.read(min(left, COPY_BYTES))
                    if not part:
                        raise LabError(f"{disk} ends before its last sector")
                    result.write(part)
                    left -= len(part)
