"""Folders: one in memory, for thousands of files one by one, and one like a machine's root."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.rpc.client import ROOT_VARIABLE
from tests.build.command_world import World
from tests.build.scanned import write
from tests.build.test_scan_parse import MOUNTINFO

MEMORY = Path("/dev/shm")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def world(
    memory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv(ROOT_VARIABLE, str(memory / "1"))
    return World(memory, capsys)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the root of a machine that was just installed."""
    write(tmp_path, "proc/self/mountinfo", MOUNTINFO)
    write(
        tmp_path, "etc/drbd.conf", 'include "drbd.d/global_common.conf";\ninclude "drbd.d/*.res";'
    )
    return tmp_path
