"""The example of a start and stop script keeps to the contract of docs/operating/scripts.md."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair_lab.recipe import PAYLOAD

pytestmark = pytest.mark.native

EXAMPLE: Final = Path(__file__).parents[2] / "packaging/examples/daemon"
LIMIT_S: Final = 30


class Daemon:
    """The lab's server under the example's script, both in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("", 0)) as free:
            self.port = str(free.getsockname()[1])
        self.program, self._pid_file = folder / "server", folder / "pid"
        self.program.write_text(f"#!{sys.executable} -IS\n{(PAYLOAD / 'server.py').read_text()}")
        (folder / "data").mkdir()
        script = (EXAMPLE / "run").read_text()
        for of_the_example, here in (
            ("/usr/local/sbin/daemon", self.program),
            ("/srv/daemon", folder / "data"),
            ("/run/daemon.pid", self._pid_file),
            ("port=7007", f"port={self.port}"),
            ("--reuid=daemon --regid=daemon", "--reuid=0 --regid=0"),  # The folder is root's alone.
        ):
            assert of_the_example in script
            script = script.replace(of_the_example, str(here))
        (folder / "run").write_text(script)
        (folder / "run").chmod(0o755)
        self._run = folder / "run"
        self.program.chmod(0o755)

    def run(self, *argument: str) -> int:
        return subprocess.run([self._run, *argument], check=False, timeout=LIMIT_S).returncode

    def answers(self) -> bool:
        argv = [sys.executable, "-IS", str(EXAMPLE / "check"), "127.0.0.1", self.port]
        return subprocess.run(argv, check=False, timeout=LIMIT_S).returncode == 0

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text())

    def crash(self) -> None:
        handle = os.pidfd_open(self.pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], LIMIT_S)
        os.close(handle)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.run("stop")


def test_it_serves_when_it_is_started_and_is_down_when_it_is_stopped(daemon: Daemon) -> None:
    assert not daemon.answers()
    assert daemon.run("start") == 0
    assert daemon.answers()
    assert daemon.run("stop") == 0
    assert not daemon.answers()
    assert daemon.run("stop") == 0, "nothing to stop is success, too"


def test_a_second_start_leaves_what_runs_alone(daemon: Daemon) -> None:
    assert daemon.run("start") == 0
    pid = daemon.pid
    assert daemon.run("start") == 0
    assert daemon.pid == pid
    assert daemon.run("stop") == 0
    assert not daemon.answers()


def test_it_starts_after_a_crash_and_fails_when_it_cannot(daemon: Daemon) -> None:
    assert daemon.run("start") == 0
    daemon.crash()
    assert daemon.run("start") == 0
    assert daemon.answers()
    daemon.crash()
    daemon.program.unlink()
    assert daemon.run("start") != 0
    assert daemon.run("stop") == 0


def test_a_number_that_is_another_programs_by_now_is_left_alone(
    daemon: Daemon, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", str(LIMIT_S)]) as another:
        (tmp_path / "pid").write_text(f"{another.pid}\n")
        assert daemon.run("stop") == 0
        assert another.poll() is None
        another.kill()
