"""Disks of User Mode Linux that are copies on write, made here byte by byte."""

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapair_lab import cow
from hapair_lab.errors import LabError

SECTOR = 512
ALIGNMENT = 4096
SECTORS = 100


def bitmap_of(sectors: frozenset[int]) -> bytes:
    bits = bytearray(-(-SECTORS // 8))
    for sector in sectors:
        bits[sector // 8] |= 1 << sector % 8
    return bytes(bits)


def content(sector: int) -> bytes:
    return f"new {sector} ".encode().ljust(SECTOR, b"+")


def make_disk(path: Path, sectors: frozenset[int]) -> Path:
    """Write such a disk of 100 sectors, of which these are here."""
    backing = str(path.parent / "backing").encode()
    size = SECTORS * SECTOR
    head = cow.HEADER.pack(cow.MAGIC, cow.VERSION, 0, size, SECTOR, ALIGNMENT, 0, backing)
    with path.open("wb") as disk:
        disk.write(head)
        disk.seek(2 * ALIGNMENT)  # The header is a little longer than one.
        disk.write(bitmap_of(sectors))
        for sector in sectors:
            disk.seek(3 * ALIGNMENT + sector * SECTOR)
            disk.write(content(sector))
    return path


def make_backing(path: Path) -> bytes:
    old = b"".join(f"old {sector} ".encode().ljust(SECTOR, b"-") for sector in range(SECTORS))
    path.write_bytes(old)
    return old


some_sectors = st.frozensets(st.integers(0, SECTORS - 1))


@given(some_sectors)
def test_runs_are_the_set_bits_and_as_long_as_they_can_be(sectors: frozenset[int]) -> None:
    found = list(cow.runs(bitmap_of(sectors)))
    assert [number for begin, end in found for number in range(begin, end)] == sorted(sectors)
    gaps = itertools.pairwise(found)
    assert all(end < next_begin for (_, end), (next_begin, _) in gaps)


def test_a_run_goes_to_the_end_of_the_bitmap() -> None:
    assert list(cow.runs(b"\xff\xff")) == [(0, 16)]
    assert list(cow.runs(b"\x00\x80\xff\x01\x00")) == [(15, 25)]
    assert list(cow.runs(b"")) == []


@given(some_sectors)
@settings(max_examples=20)
def test_what_was_written_lies_over_what_was_there(sectors: frozenset[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = make_backing(folder / "backing")
        cow.merge(make_disk(folder / "disk", sectors), folder / "backing", folder / "result")
        merged = (folder / "result").read_bytes()
        assert (folder / "backing").read_bytes() == old, "others stand on it"
    for sector in range(SECTORS):
        place = slice(sector * SECTOR, (sector + 1) * SECTOR)
        assert merged[place] == (content(sector) if sector in sectors else old[place])


def test_runs_longer_than_the_buffer_are_copied_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cow, "COPY_BYTES", SECTOR + 1)
    make_backing(tmp_path / "backing")
    every = frozenset(range(SECTORS))
    cow.merge(make_disk(tmp_path / "disk", every), tmp_path / "backing", tmp_path / "result")
    assert (tmp_path / "result").read_bytes() == b"".join(map(content, range(SECTORS)))


def test_what_was_never_written_takes_no_space(tmp_path: Path) -> None:
    size = 64 * 1024 * 1024
    with (tmp_path / "backing").open("wb") as backing:
        backing.truncate(size)
    disk = make_disk(tmp_path / "disk", frozenset({7}))
    cow.merge(disk, tmp_path / "backing", tmp_path / "result")
    result = (tmp_path / "result").stat()
    assert result.st_size == size
    assert result.st_blocks * 512 < 1024 * 1024


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"OOOM",
        b"\0" * cow.HEADER.size,
        cow.HEADER.pack(cow.MAGIC, 2, 0, SECTOR, SECTOR, ALIGNMENT, 0, b"/x"),
        cow.HEADER.pack(cow.MAGIC, cow.VERSION, 0, SECTOR, 0, ALIGNMENT, 0, b"/x"),
        cow.HEADER.pack(cow.MAGIC, cow.VERSION, 0, SECTOR, SECTOR, 0, 0, b"/x"),
    ],
    ids=["empty", "short", "no magic", "version 2", "no sectors", "no alignment"],
)
def test_what_is_no_such_disk_is_told_and_nothing_is_written(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "disk").write_bytes(head)
    make_backing(tmp_path / "backing")
    with pytest.raises(LabError, match="no copy-on-write disk"):
        cow.merge(tmp_path / "disk", tmp_path / "backing", tmp_path / "result")
    assert not (tmp_path / "result").exists()


def test_a_disk_that_lost_its_end_is_told(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "disk", frozenset({3, 4}))
    with disk.open("r+b") as torn:
        torn.truncate(3 * ALIGNMENT + 4 * SECTOR)
    make_backing(tmp_path / "backing")
    with pytest.raises(LabError, match="ends before"):
        cow.merge(disk, tmp_path / "backing", tmp_path / "result")
