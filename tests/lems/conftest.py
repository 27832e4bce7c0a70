"""A parent, the daemon's side of its line, and Lems processes that are gone afterwards."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lems.daemon import Daemon, Talk
from tests.lems.place import group_of
from tests.lems.running import parent


@pytest.fixture
def line(tmp_path: Path) -> Path:
    return tmp_path / "lems.sock"


@pytest.fixture
def group() -> Iterator[Path]:
    with group_of("orders") as made:
        yield made


@pytest.fixture
def daemon(line: Path) -> Iterator[Daemon]:
    with Daemon(line) as made, parent(line):
        try:
            yield made
        finally:
            for talk in made.talks:
                if talk.name not in {"", "parent"}:
                    with suppress(ProcessLookupError):
                        os.kill(int(talk.heard[0]["pid"]), signal.SIGKILL)


@pytest.fixture
def fork(daemon: Daemon) -> Callable[[str], Talk]:
    def forked(application: str) -> Talk:
        daemon.talk("parent").say({"fork": application})
        return daemon.talk(application)

    return forked
