"""A folder in memory: these tests write thousands of files to the disk, one by one."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.rpc.client import ROOT_VARIABLE
from tests.build.command_world import World

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
