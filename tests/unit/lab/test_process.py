"""The long-lived processes of a lab, and what they start."""

import os
import signal
import sys
from pathlib import Path

import pytest

from hapair_lab.process import PREFERENCE, Process

TWO = """
import os, sys, time
child = os.fork()
if child:
    with open(sys.argv[1], "w") as note:
        note.write(f"{child}\\n")
time.sleep(600)
"""


def _until_written(path: Path) -> int:
    while not path.exists() or not path.read_text().endswith("\n"):
        pass
    return int(path.read_text())


@pytest.mark.parametrize("whole_group", [True, False])
def test_what_a_process_started_ends_with_it_where_that_is_wanted(
    tmp_path: Path, *, whole_group: bool
) -> None:
    read, write = os.pipe()
    process = Process(tmp_path / "pid", "a-word-of-mine", tmp_path / "log", whole_group=whole_group)
    argv = [sys.executable, "-c", TWO, str(tmp_path / "child"), "a-word-of-mine"]
    process.start(argv, dies_with_parent=True, pass_fds=(write,))
    os.close(write)
    child = _until_written(tmp_path / "child")
    process.kill()
    if not whole_group:
        os.kill(child, signal.SIGKILL)
    assert os.read(read, 1) == b"", "whoever could write to it has ended"
    os.close(read)


def test_a_process_gets_the_environment_and_the_files_that_it_is_given(tmp_path: Path) -> None:
    read, write = os.pipe()
    process = Process(tmp_path / "pid", "os.write", tmp_path / "log")
    process.start(
        [sys.executable, "-c", f"import os; os.write({write}, os.environ['WORD'].encode())"],
        dies_with_parent=False,
        pass_fds=(write,),
        environment={"WORD": "given"},
    )
    os.close(write)
    with os.fdopen(read) as said:
        assert said.read().strip() == "given"
    process.wait_for_end()


def test_a_preferred_process_goes_first_before_and_after_a_restart(tmp_path: Path) -> None:
    process = Process(tmp_path / "pid", "sleep", tmp_path / "log", whole_group=True)
    process.prefer()  # Nothing runs yet: it holds for the start.
    for _ in range(2):
        process.start(["sleep", "600"], dies_with_parent=True)
        pid = process.pid()
        assert pid is not None
        assert os.getpriority(os.PRIO_PROCESS, pid) == (PREFERENCE if may_prefer() else 0)
        process.kill()


def may_prefer() -> bool:
    """Tell whether this user may give a process a better place than its own."""
    return os.geteuid() == 0
