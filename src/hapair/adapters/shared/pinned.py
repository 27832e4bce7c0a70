"""Programs that the kernel can begin to run whatever the disk does: what it asks for is in memory.

To load a program the kernel goes through names, among them symbolic links, and reads its file and
the dynamic linker's. Who holds these names open and these files in locked memory can start it by
vfork, which costs a fraction of a fork and must not be used where a disk may hang.
"""

import asyncio
import mmap
import os
import struct
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOKED_AT_EVERY_S: Final = 60.0  # An upgrade puts another file there.
TRUSTED_S: Final = 150.0  # A look that takes longer hangs: so may the start of what lies there now.
LINKS_MAX: Final = 40  # As in the kernel.
HEADER_BYTES: Final = 4096
# What at the beginning of a program tells where the name of its dynamic linker is.
_ELF: Final = struct.Struct("<6s26xQ14xHH")
_ELF_64: Final = b"\x7fELF\x02\x01"  # Little-endian, as on amd64, arm64 and riscv64.
_PART: Final = struct.Struct("<I4xQ16xQ")
_LINKER: Final = 3


@dataclass(slots=True)
class _Kept:
    file: os.stat_result
    held: ExitStack
    until_s: float


_kept: Final[dict[Path, _Kept]] = {}


def is_pinned(program: str) -> bool:
    """Tell whether ``program``, a path, can be loaded without a disk. None is asked for this."""
    kept = _kept.get(Path(program))
    return kept is not None and time.monotonic() < kept.until_s


async def keep_pinned(program: Path) -> None:
    """Keep it in memory until cancelled. While its disk hangs, or there is none, it is not."""
    try:
        while True:
            await asyncio.to_thread(pin, program)
            await asyncio.sleep(LOOKED_AT_EVERY_S)
    finally:
        unpin(program)


def pin(program: Path) -> None:
    """Keep what lies there now in memory; blocks while its disk does. What is no program is not."""
    try:
        file = program.stat()
        kept = _kept.get(program)
        if kept is None or not os.path.samestat(kept.file, file):
            unpin(program)
            with ExitStack() as held:
                linker = _linker(_hold(program, held))
                if linker is not None:
                    _hold(linker, held)
                kept = _kept[program] = _Kept(file, held.pop_all(), 0.0)
        kept.until_s = time.monotonic() + TRUSTED_S
    except (OSError, ValueError, struct.error):  # It is not there, or none that is understood.
        unpin(program)


def unpin(program: Path) -> None:
    if kept := _kept.pop(program, None):
        kept.held.close()


def _hold(path: Path, held: ExitStack, links: int = LINKS_MAX) -> bytes:
    """Hold the names through which the kernel finds a file, and the file; return its beginning."""
    for place in [*reversed(path.parents), path]:
        handle = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        held.callback(os.close, handle)
        if place.is_symlink():
            if links == 0:
                raise ValueError(path)
            target = place.parent / place.readlink() / path.relative_to(place)
            return _hold(target, held, links - 1)
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    held.callback(content.close)
    _ = content[:: mmap.PAGESIZE]  # What is touched is read, and locked like all of our memory.
    return content[:HEADER_BYTES]


def _linker(header: bytes) -> Path | None:
    """Return the dynamic linker of the program that begins so; None: it has none.

    Raises:
        ValueError: that is no program for a processor of today.
    """
    kind, parts_at, size, count = _ELF.unpack_from(header)
    if kind != _ELF_64 or parts_at + size * count > len(header):
        raise ValueError(kind)
    for at in range(parts_at, parts_at + size * count, size):
        part, offset, length = _PART.unpack_from(header, at)
        if part == _LINKER:
            return Path(os.fsdecode(header[offset : offset + length].rstrip(b"\0")))
    return None
