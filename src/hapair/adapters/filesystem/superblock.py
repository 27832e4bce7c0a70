"""What the superblock of ext4 says. Blocking code: it reads the disk."""

import os
from typing import Final

_PLACE: Final = 1024  # The superblock's offset, and its size.
_MAGIC: Final = (0x38, b"\x53\xef")
_STATE: Final = 0x3A
_HAS_ERRORS: Final = 0x2


def says_errors(device: str) -> bool:
    """Tell whether the kernel noted an error in an earlier mount."""
    block = _read(device)
    return block is not None and bool(_number(block, _STATE) & _HAS_ERRORS)


def _read(device: str) -> bytes | None:
    """Return the block; None when it cannot be read or is not ext4, which the mount will tell."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        block = os.pread(descriptor, _PLACE, _PLACE)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    at, magic = _MAGIC
    return block if block[at : at + len(magic)] == magic else None


def _number(block: bytes, at: int) -> int:
    return int.from_bytes(block[at : at + 2], "little")
