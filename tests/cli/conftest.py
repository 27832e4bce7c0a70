"""A node below a temporary root, with a scripted daemon."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hapair.rpc.client import ROOT_VARIABLE
from tests.cli.commands import end_requests
from tests.cli.fake_daemon import FakeDaemon

GOLDEN = Path(__file__).parent / "golden"
Golden = Callable[[str, str], None]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


@pytest.fixture(autouse=True)
def requests_end() -> Iterator[None]:
    yield
    end_requests()


@pytest.fixture
def daemon(root: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(root) as fake:
        yield fake


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with its file in golden/; ``--rewrite`` writes it."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--rewrite"):
            file.write_text(text)
        assert text == file.read_text()

    return compare
