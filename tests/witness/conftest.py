"""What the tests of the witness share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hapair.adapters.shared.process import ProcessRunner
from hapair.runtime.building.keys import make_pair
from hapair.witness.service import Running, running
from tests.runtime.conftest import make_certificate
from tests.witness.parties import CLUSTER, NODES, settings


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the nodes' pairs as clbuild makes them, and those of others."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in NODES:
        asyncio.run(make_pair(ProcessRunner(), folder, node=name, cluster=CLUSTER))
        for kind in ("key", "crt"):
            (folder / f"node.{kind}").rename(folder / f"{name}.{kind}")
    for name in ("stranger", "renewed"):
        make_certificate(folder, name)
    return folder


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    """Run a witness whose records are in ``tmp_path``."""
    async with running(settings(tmp_path)) as ports:
        yield ports
