"""What a Lems, or its machine, has too little of says nothing of the application."""

import errno
import os
import socket
from pathlib import Path

import pytest

from hapair.lems.answers import Command, Probe, Said
from hapair.lems.files import NOT_NOW
from hapair.lems.probes import commands
from hapair.lems.probes.http import Http
from hapair.lems.probes.logs import Log
from hapair.lems.probes.processes import Processes
from hapair.lems.probes.resources import Resources
from hapair.lems.probes.tcp import Tcp
from hapair.lems.probes.units import Unit
from hapair.lems.programs import Strays
from hapair.model.monitor import (
    CheckProbe,
    HttpProbe,
    LogProbe,
    ProcessProbe,
    ResourcesProbe,
    TcpProbe,
    UnitProbe,
)
from tests.lems.running import (
    ask,
    ask_without_descriptors,
    script,
    with_programs_of,
    without_descriptors,
)

LOCAL = "127.0.0.1"


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Return the folder of what looks like a control group in which this process lives."""
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "memory.events").write_text("oom_kill 5\n")
    return tmp_path


def probes(group: Path) -> list[Probe]:
    log = group / "log"
    log.touch()
    return [
        Tcp(TcpProbe(LOCAL, 1), 1.0),
        Http(HttpProbe(f"http://{LOCAL}:1/"), 1.0),
        Log(LogProbe(str(log), "x")),
        Processes(ProcessProbe(), str(group), seen=True),
        Processes(ProcessProbe(name="python"), str(group)),
        Processes(ProcessProbe(pid_file=f"{group}/cgroup.procs"), str(group)),
        Resources(ResourcesProbe(), str(group)),
        Unit(UnitProbe("a.service")),
        commands.check(CheckProbe("/bin/false"), {}),
    ]


def test_without_a_descriptor_no_probe_finds_anything(group: Path) -> None:
    for probe in probes(group):
        answer = ask_without_descriptors(probe)
        assert answer.state == "unknown", (probe, answer)
        assert "Too many open files" in answer.text


def test_nor_are_strays_looked_for_then() -> None:
    with without_descriptors():
        Strays().end((), frozenset())


def test_nor_is_what_was_killed_before_taken_for_killed_now(group: Path) -> None:
    probe = Resources(ResourcesProbe(), str(group))
    assert ask_without_descriptors(probe).state == "unknown"
    assert ask(probe).state == "good"


@pytest.mark.parametrize("code", sorted(NOT_NOW))
def test_a_connection_that_this_machine_cannot_make_is_not_refused(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: code)
    answer = ask(Tcp(TcpProbe(LOCAL, 1), 1.0))
    assert (answer.state, answer.text) == (
        "unknown",
        f"it could not be asked: {os.strerror(code)}",
    )


def owned() -> tuple[int, str]:
    """Return how many descriptors this process has, and its children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return len(list(Path("/proc/self/fd").iterdir())), children


def test_a_process_that_cannot_be_followed_is_not_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none)
    before = owned()
    answer = ask(commands.check(CheckProbe("/bin/sleep", "1000"), {}))
    assert answer.text == "it could not be asked: Too many open files"
    assert owned() == before


def test_what_systemd_tells_in_vain_is_not_known_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The processes that it names are followed by one descriptor each."""
    script(tmp_path / "systemctl", f"printf 'ActiveState=active\\nMainPID={os.getpid()}\\n'")
    processes = Processes(ProcessProbe(), "", unit="a.service")
    follow, followed = os.pidfd_open, list[int]()

    def one(pid: int) -> int:
        followed.append(pid)
        if len(followed) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return follow(pid)

    class Asked:
        trouble, asked, close = processes.trouble, processes.asked, processes.close

        def ask(self) -> Said:
            command = processes.ask()
            assert isinstance(command, Command)
            return with_programs_of(tmp_path, command)

    monkeypatch.setattr(os, "pidfd_open", one)
    assert ask(Asked()).text == "it could not be asked: Too many open files"
    assert followed[-1] == os.getpid()
