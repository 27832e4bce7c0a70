"""Which features of a file system its super block tells."""

from pathlib import Path

import pytest

from hapair.adapters.filesystem.superblock import features

XFS = {100: b"\xb4\xb5"}  # Version 5 with what goes with it.


def block(folder: Path, words: dict[int, bytes], magic: tuple[int, bytes]) -> str:
    written = bytearray(2048)
    for at, content in {**words, magic[0]: magic[1]}.items():
        written[at : at + len(content)] = content
    (folder / "disk").write_bytes(written)
    return str(folder / "disk")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, ()),
        (XFS | {212: b"\0\0\0\x0f", 216: b"\0\0\0\x1f"}, ("inobtcount", "bigtime")),
        (XFS | {216: b"\0\0\x01\xe0"}, ("nrext64", "exchange", "parent", "metadir")),
        (XFS | {216: b"\0\x01\x02\0"}, ("zoned", "incompat 0x10000")),
        (XFS | {4: (16384).to_bytes(4, "big")}, ("large blocks of XFS",)),
        (XFS | {4: (1024).to_bytes(4, "big")}, ()),
        ({100: b"\xb4\xb4", 216: b"\0\0\0\x08"}, ()),  # An older one has other things there.
    ],
)
def test_the_features_of_xfs(
    tmp_path: Path, words: dict[int, bytes], expected: tuple[str, ...]
) -> None:
    assert features(block(tmp_path, words, (0, b"XFSB"))) == expected


@pytest.mark.parametrize(
    ("at", "word", "expected"),
    [
        (0x5C, 0x1FFF, ("fast_commit", "stable_inodes", "orphan_file")),
        (0x60, 0x3F7DF, ("encrypt", "casefold")),
        (0x60, 0x400000, ("incompat 0x400000",)),
        (0x64, 0x1F77F, ("verity",)),
        (0x18, 4, ("large blocks of ext4",)),
        (0x18, 2, ()),
    ],
)
def test_the_features_of_ext4(
    tmp_path: Path, at: int, word: int, expected: tuple[str, ...]
) -> None:
    words = {1024 + at: word.to_bytes(4, "little")}
    assert features(block(tmp_path, words, (1024 + 0x38, b"\x53\xef"))) == expected


def test_what_is_neither_has_none(tmp_path: Path) -> None:
    assert features(str(tmp_path / "none")) == ()
    assert features(block(tmp_path, {1024 + 0x5C: b"\xff" * 4}, (0, b"none"))) == ()
