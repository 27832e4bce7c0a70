"""What the tests of the daemon share."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair.runtime.history.journal_log import Journal
from tests.processes import PATIENCE_S
from tests.runtime.fakes import SetClock

WAIT_S: Final = PATIENCE_S


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal("node1", tmp_path / "events.jsonl", SetClock(), show=lambda _: None)
    yield made
    made.close()


async def eventually(holds: Callable[[], bool]) -> None:
    """Give the event loop turns until it holds; no time is slept away."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


def names(journal: Journal) -> list[object]:
    return [line["name"] for line in journal.since(0, 1000)]


def make_certificate(folder: Path, name: str) -> None:
    """Make a key and a self-signed certificate, as clbuild does."""
    subprocess.run(
        (
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt"),
        ),
        check=True,
        capture_output=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with keys and certificates of node1, node2 and a stranger."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("node1", "node2", "stranger"):
        make_certificate(folder, name)
    return folder
