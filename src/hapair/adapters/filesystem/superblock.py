"""What the superblocks of ext4 and XFS say. Blocking code: it reads the disk."""

import os
from dataclasses import dataclass
from typing import Final
from uuid import UUID

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_BYTES: Final = 2048  # Of both kinds: XFS at 0, ext4 from 1024 on.
_EXT4: Final = 1024
_EXT4_MAGIC: Final = (_EXT4 + 0x38, b"\x53\xef")
_STATE: Final = _EXT4 + 0x3A
_HAS_ERRORS: Final = 0x2
_COMPATIBLE: Final = _EXT4 + 0x5C
_HAS_JOURNAL: Final = 0x4
_READ_ONLY_COMPATIBLE: Final = _EXT4 + 0x64
_HAS_QUOTA: Final = 0x100
_EXT4_BLOCK_SHIFT: Final = _EXT4 + 0x18  # A block has 1024 bytes, so often doubled.
_EXT4_UUID: Final = _EXT4 + 0x68
_EXT4_LABEL: Final = (_EXT4 + 0x78, 16)
_JOURNAL_INODE: Final = _EXT4 + 0xE0
_XFS_MAGIC: Final = b"XFSB"
_REALTIME_BLOCKS: Final = 16
_XFS_BLOCK_BYTES: Final = 4
_XFS_UUID: Final = 32
_LOG_START: Final = 48
_XFS_LABEL: Final = (108, 12)
_UUID_BYTES: Final = 16
_XFS_VERSION: Final = 100
_XFS_WITH_FEATURES: Final = 5
# Words of features: their names, where they lie, the bits that every kernel of today knows or that
# come and go, and the names that mke2fs(8) and mkfs.xfs(8) give the newer ones.
_Words = tuple[tuple[str, int, int, dict[int, str]], ...]
_EXT4_WORDS: Final[_Words] = (
    (
        "compat",
        _COMPATIBLE,
        0x3FF,
        {0x400: "fast_commit", 0x800: "stable_inodes", 0x1000: "orphan_file"},
    ),
    ("incompat", _EXT4 + 0x60, 0xF7DF, {0x10000: "encrypt", 0x20000: "casefold"}),
    ("ro_compat", _EXT4 + 0x64, 0x1777F, {0x8000: "verity"}),
)
_XFS_INCOMPATIBLE: Final = {
    0x8: "bigtime", 0x20: "nrext64", 0x40: "exchange", 0x80: "parent", 0x100: "metadir",
    0x200: "zoned",
}  # fmt: skip
_XFS_WORDS: Final[_Words] = (
    ("compat", 208, 0, {}),
    ("ro_compat", 212, 0x7, {0x8: "inobtcount"}),
    ("incompat", 216, 0x17, _XFS_INCOMPATIBLE),
)
_BITS: Final = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file system is called; empty where that cannot be read."""

    uuid: str = ""
    label: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Return what fstab may call it."""
        tagged = (("UUID", self.uuid), ("LABEL", self.label))
        return tuple(f"{tag}={name}" for tag, name in tagged if name)


def says_errors(device: str) -> bool:
    """Tell whether the kernel noted an error in an earlier mount of an ext4."""
    block = _read(device)
    return _is_ext4(block) and bool(_little(block, _STATE, 2) & _HAS_ERRORS)


def has_journal(device: str) -> bool:
    """Tell whether a power loss leaves it whole; XFS always has a journal."""
    block = _read(device)
    if _is_xfs(block):
        return True
    return _is_ext4(block) and bool(_little(block, _COMPATIBLE, 4) & _HAS_JOURNAL)


def quotas_in_files(device: str) -> bool:
    """Tell whether quotas of an ext4 are kept in files, which somebody has to switch on.

    With the feature ``quota`` the kernel itself switches them on at each mount, as for XFS.
    """
    block = _read(device)
    return _is_ext4(block) and not _little(block, _READ_ONLY_COMPATIBLE, 4) & _HAS_QUOTA


def parts_elsewhere(device: str) -> tuple[str, ...]:
    """Name what lies on other devices: they would be missing in a copy of this one alone."""
    block = _read(device)
    if _is_xfs(block):
        external = not _big(block, _LOG_START, 8)
        realtime = bool(_big(block, _REALTIME_BLOCKS, 8))
        return (*(("log",) if external else ()), *(("realtime data",) if realtime else ()))
    if _is_ext4(block) and _little(block, _COMPATIBLE, 4) & _HAS_JOURNAL:
        return () if _little(block, _JOURNAL_INODE, 4) else ("journal",)
    return ()


def features(device: str) -> tuple[str, ...]:
    """Return the features that an older kernel or its tools may not know.

    One that has no name here is told by its bit: it came after this was written.
    """
    block = _read(device)
    words: _Words = ()
    value = _little
    large: tuple[str, ...] = ()
    if _is_ext4(block):
        words = _EXT4_WORDS
        if _little(block, _EXT4_BLOCK_SHIFT, 4) >= (_PAGE_BYTES // 1024).bit_length():
            large = ("large blocks of ext4",)
    elif _is_xfs(block) and _big(block, _XFS_VERSION, 2) & 0xF == _XFS_WITH_FEATURES:
        words, value = _XFS_WORDS, _big
        if _big(block, _XFS_BLOCK_BYTES, 4) > _PAGE_BYTES:
            large = ("large blocks of XFS",)
    bits = (
        named.get(bit, f"{word} {bit:#x}")
        for word, at, known, named in words
        for bit in (1 << place for place in range(_BITS))
        if value(block, at, 4) & bit & ~known
    )
    return (*large, *bits)


def identity(device: str) -> Identity:
    block = _read(device)
    if _is_xfs(block):
        return _identity(block, _XFS_UUID, _XFS_LABEL)
    if _is_ext4(block):
        return _identity(block, _EXT4_UUID, _EXT4_LABEL)
    return Identity()


def _identity(block: bytes, uuid_at: int, label: tuple[int, int]) -> Identity:
    at, size = label
    text = block[at : at + size].partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return Identity(str(UUID(bytes=block[uuid_at : uuid_at + _UUID_BYTES])), text)


def _read(device: str) -> bytes:
    """Return the first blocks; nothing when they cannot be read, which the mount will tell."""
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        block = os.pread(descriptor, _BYTES, 0)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return block if len(block) == _BYTES else b""


def _is_xfs(block: bytes) -> bool:
    return block.startswith(_XFS_MAGIC)


def _is_ext4(block: bytes) -> bool:
    at, magic = _EXT4_MAGIC
    return block[at : at + len(magic)] == magic


def _little(block: bytes, at: int, size: int) -> int:
    return int.from_bytes(block[at : at + size], "little")


def _big(block: bytes, at: int, size: int) -> int:
    return int.from_bytes(block[at : at + size], "big")
