"""Processes of control groups, and what the groups use: real ones, and files like the kernel's."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from hapair.lems.answers import Answer, Command, failed
from hapair.lems.probes.processes import Processes, has_ended, pids_in
from hapair.lems.probes.resources import Resources
from hapair.lems.probes.units import UnitState
from hapair.model.monitor import ProcessProbe, ResourcesProbe
from tests.lems.place import living
from tests.lems.running import ask


@pytest.mark.native
def test_any_process_will_do_where_nothing_else_is_said(group: Path) -> None:
    asked = Processes(ProcessProbe(), str(group))
    assert ask(asked) == Answer("good", "the program left no process behind")
    assert ask(Processes(ProcessProbe(), str(group), seen=True)) == failed(
        "no processes", certain=True
    )
    with living(group) as process:
        answer = ask(asked)
        assert (answer.state, answer.text) == ("good", "1 processes")
        (descriptor,) = answer.living
        assert not has_ended(descriptor)
        process.kill()
        process.wait()
        assert has_ended(descriptor)
        assert ask(asked) == failed("no processes", certain=True)
    asked.close()


@pytest.mark.native
def test_groups_below_count_too(group: Path) -> None:
    (group / "inner").mkdir()
    with living(group / "inner") as process:
        assert list(pids_in(str(group))) == [process.pid]
        assert ask(Processes(ProcessProbe(), str(group))).text == "1 processes"
        process.kill()
        process.wait()
    while "populated 1" in (group / "inner" / "cgroup.events").read_text():
        pass
    (group / "inner").rmdir()


@pytest.mark.native
def test_processes_are_known_by_name_command_line_and_file(group: Path, tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def state(match: str = "", name: str = "", pid_file: str = "") -> str:
        return ask(Processes(ProcessProbe(match, name, pid_file), str(group))).state

    with living(group) as first, living(group, "sleep", "2000") as second:
        assert state(name="sleep") == "good"
        assert state(name="slee") == "failed"
        assert state(match="sleep 2.00") == "good"
        assert state(match="sleep 3") == "failed"
        assert state(pid_file=str(file)) == "failed"
        file.write_text(f"{second.pid}\n")
        assert state(pid_file=str(file)) == "good"
        assert state(pid_file=str(file), match="1000") == "failed", "all words hold of one"
        file.write_text(f"{os.getpid()}\n")
        assert state(pid_file=str(file)) == "failed", "it does not live in the group"
        file.write_text("none")
        assert state(pid_file=str(file)) == "failed"
        assert first.pid != second.pid


@pytest.mark.native
def test_numbers_have_limits(group: Path) -> None:
    def answer(least: int, most: int) -> Answer:
        probe = ProcessProbe(name="sleep", least=least, most=most)
        return ask(Processes(probe, str(group)))

    with living(group), living(group):
        assert answer(2, 2).state == "good"
        assert len(answer(2, 2).living) == 2
        assert len(answer(1, 0).living) == 1, "of those that may go none is watched"
        assert answer(3, 0) == failed("2 processes sleep, fewer than 3", certain=True)
        assert answer(1, 1) == failed("2 processes sleep, more than 1")


def test_an_empty_pid_file_names_no_process(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "pid").touch()
    answer = ask(Processes(ProcessProbe(pid_file=str(tmp_path / "pid")), str(tmp_path)))
    assert (answer.state, answer.text) == ("failed", f"no processes {tmp_path}/pid")


def test_a_pid_file_that_nobody_can_read_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n")
    os.mkfifo(tmp_path / "pid")
    asked = Processes(ProcessProbe(pid_file=str(tmp_path / "pid")), str(tmp_path))
    answer = ask(asked, timeout_s=1.0)
    assert answer.state == "unknown"
    assert answer.text.endswith("pid: this is no regular file, and cannot be read")


def test_what_a_unit_uses_is_asked_of_systemd_first() -> None:
    said = Resources(ResourcesProbe(memory_bytes=1), "", "a.service").ask()
    assert isinstance(said, Command)


@pytest.mark.native
def test_the_main_process_of_a_unit_is_watched(group: Path) -> None:
    asked = Processes(ProcessProbe(), "", unit="a.service")
    active = UnitState("active", "running", 0, "/a")
    assert asked._of_unit(active) == Answer(  # noqa: SLF001
        "good", "a.service is active (running), without a main process"
    )
    with living(group) as process:
        said = asked._of_unit(UnitState("active", "running", process.pid, "/a"))  # noqa: SLF001
        assert callable(said)
        answer = said()
        assert isinstance(answer, Answer)
        assert (answer.text, len(answer.living)) == (f"process {process.pid} of a.service", 1)
        process.kill()
        process.wait()
        assert isinstance(asked.ask(), Command), "systemd may know another main process by now"
        said = asked._of_unit(UnitState("active", "running", process.pid, "/a"))  # noqa: SLF001
        assert said == failed(f"process {process.pid} of a.service has ended", certain=True)
    with living(group) as successor:
        said = asked._of_unit(UnitState("active", "running", successor.pid, "/a"))  # noqa: SLF001
        assert callable(said)
        answer = said()
        assert isinstance(answer, Answer)
        assert answer.text == f"process {successor.pid} of a.service"
    down = asked._of_unit(UnitState("failed", "failed", 0, ""))  # noqa: SLF001
    assert down == failed("a.service is failed (failed)", certain=True)


@pytest.mark.native
def test_the_time_of_processors_is_told_and_limited(group: Path) -> None:
    asked = Resources(ResourcesProbe(cpu_percent=1), str(group))
    with living(group, "sh", "-c", "while :; do :; done"):
        assert ask(asked).state == "good", "nothing to compare with"
        answer = ask(asked)
        until_s = time.monotonic() + 10
        while answer.state == "good" and time.monotonic() < until_s:
            answer = ask(asked)
    used = answer.perf["cpu"][:-1]
    assert (answer.state, answer.text) == (
        "failed",
        f"{used} % of a processor in use, limit 1",
    )


@pytest.mark.native
def test_memory_of_processes_counts_where_no_controller_counts_it(group: Path) -> None:
    text = "import time; kept = bytearray(64 << 20); print(flush=True); time.sleep(1000)"
    asked = Resources(ResourcesProbe(memory_bytes=32 << 20), str(group))
    argv = ("/usr/bin/python3", "-c", text)
    with living(group, *argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        answer = ask(asked)
    assert answer.state == "failed"
    assert int(answer.perf["memory"][:-1]) > 64 << 20
    assert answer.text.endswith("MiB in use, limit 32")


def controller(folder: Path, killed: int, current: int = 0, cached: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "memory.events").write_text(f"low 0\noom 5\noom_kill {killed}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nfile 7\n")


def test_memory_is_what_the_controller_counts_without_mere_cache(tmp_path: Path) -> None:
    controller(tmp_path, 0, current=900 << 20, cached=500 << 20)
    assert ask(Resources(ResourcesProbe(memory_bytes=401 << 20), str(tmp_path))).state == "good"
    answer = ask(Resources(ResourcesProbe(memory_bytes=399 << 20), str(tmp_path)))
    assert answer.text == "400 MiB in use, limit 399"


def test_a_process_that_the_kernel_killed_is_a_failure(tmp_path: Path) -> None:
    controller(tmp_path, 3)
    asked = Resources(ResourcesProbe(), str(tmp_path))
    unconcerned = Resources(ResourcesProbe(out_of_memory=False), str(tmp_path))
    assert ask(asked).state == ask(unconcerned).state == "good", "what was before does not count"
    controller(tmp_path, 4)
    assert ask(asked).text == "the kernel killed a process for want of memory"
    assert ask(unconcerned).state == "good"
    assert ask(asked).state == "good", "it is told once"


def test_where_others_are_counted_too_one_of_ours_has_to_be_gone(tmp_path: Path) -> None:
    controller(tmp_path, 3)
    group = tmp_path / "orders"
    group.mkdir()
    procs = group / "cgroup.procs"
    asked = Resources(ResourcesProbe(), str(group))
    procs.write_text("7\n8\n")
    assert ask(asked).state == "good"
    controller(tmp_path, 4)
    assert ask(asked).state == "good", "another one's"
    procs.write_text("8\n")
    assert ask(asked).state == "good", "it ended by itself"
    controller(tmp_path, 5)
    procs.write_text("")
    assert ask(asked).state == "failed"
