"""What the tests of the witness share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hapair.witness.service import Running, running
from tests.runtime.conftest import make_certificate
from tests.witness.parties import NODES, settings


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with keys and certificates of both nodes, a stranger and another one."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in (*NODES, "stranger", "renewed"):
        make_certificate(folder, name)
    return folder


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    """Run a witness whose records are in ``tmp_path``."""
    async with running(settings(tmp_path)) as ports:
        yield ports
