"""What a machine lacks for a moment is no verdict about what was to be done."""

import asyncio
import errno
import fcntl
import os
import resource
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hapair.adapters.drbd.backing import activate
from hapair.adapters.filesystem.mounter import Target, not_mounted
from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.shared.children import CRASHED, Write
from hapair.adapters.shared.exits import exit_of
from hapair.adapters.shared.forked import Ended, Forked, StillRuns
from hapair.adapters.shared.passing import LVM_LOCKED
from hapair.adapters.shared.process import ProcessRunner, run_apart
from hapair.adapters.shared.together import Together
from hapair.model.application import FileSystem, Unit
from hapair.model.outcome import NotNow, Outcome, Refused
from hapair.ports.programs import Finished, NotStarted
from tests.adapters.loops import volume_at
from tests.adapters.test_drbd_adapter import VOLUME, Node
from tests.fakes.small import FakeRunner
from tests.processes import PATIENCE_S
from tests.runtime.conftest import eventually

LACKS = NotStarted(126, "", "drbdsetup: Too many open files")
UNIT = Unit("orders.service")


@contextmanager
def without_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_program_that_lacked_descriptors_was_not_started() -> None:
    with without_descriptors():
        answer = await ProcessRunner()(("true",), timeout_s=5)
    assert isinstance(answer, NotStarted)
    assert os.strerror(errno.EMFILE) in answer.stderr
    assert await ProcessRunner()(("true",), timeout_s=5) == Finished(0, "", "")


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _started() -> int:
    return os.posix_spawn("/bin/true", ("true",), {})


async def test_a_child_that_cannot_be_watched_is_reaped_all_the_same() -> None:
    pid = _started()
    with without_descriptors():
        exited = exit_of(pid)
    assert await exited == 0
    assert not _lives(pid)


@pytest.mark.parametrize("fails", ["pidfd_open", "add_reader"])
async def test_a_forked_child_that_cannot_be_watched_is_killed_in_time_and_reaped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails: str
) -> None:
    def lacks(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def hang(_write: Write) -> int:
        (tmp_path / "pid").write_text(str(os.getpid()))
        signal.pause()
        return 0

    before = _descriptors()
    forked = Forked()
    monkeypatch.setattr(os if fails == "pidfd_open" else asyncio.get_running_loop(), fails, lacks)
    assert await forked("mount", hang, timeout_s=1) == StillRuns(1)
    monkeypatch.undo()
    pid = int((tmp_path / "pid").read_text())
    assert await forked("mount", lambda _write: 0, timeout_s=5) == Ended(0, "")
    assert not _lives(pid)
    assert _descriptors() == before


async def test_those_that_run_together_and_cannot_be_watched_may_have_happened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """FAIL: it counts as not done, and goes on beside the next try."""

    def lacks(*_: object) -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def hang(_write: Write) -> int:
        (tmp_path / "pid").write_text(str(os.getpid()))
        while True:
            time.sleep(1)

    before = _descriptors()
    together = Together()
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", lacks)
    assert await together("mount", hang, timeout_s=PATIENCE_S) == Ended(CRASHED, "")
    monkeypatch.undo()
    assert await together("mount", lambda _write: 0, timeout_s=PATIENCE_S) == Ended(0, "")
    begun = tmp_path / "pid"
    # Once the kernel has told of its end.
    await eventually(lambda: not begun.exists() or not _lives(int(begun.read_text())))
    await eventually(lambda: _descriptors() == before)


@pytest.mark.parametrize("streams", ["run", "apart"])
async def test_a_child_that_lacks_descriptors_never_ran(
    monkeypatch: pytest.MonkeyPatch, streams: str
) -> None:
    """FAIL: the program counts as one that ran and failed: so does the application."""

    def lacks(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(fcntl, "fcntl", lacks)
    if streams == "run":
        answer = await ProcessRunner()(("true",), timeout_s=5)
        assert isinstance(answer, NotStarted)
        return
    with pytest.raises(OSError, match="open files"):
        await run_apart(("true",), environment={}, output=1, timeout_s=5)


async def test_a_script_that_lacked_memory_was_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory() -> int:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, "fork", no_memory)
    with pytest.raises(OSError, match="memory"):
        await run_apart(("/bin/true",), environment={}, output=1, timeout_s=5)


async def test_a_function_without_descriptors_is_not_run() -> None:
    with without_descriptors(), pytest.raises(OSError, match="open files"):
        await Forked()("look", lambda _write: 0, timeout_s=5)


async def test_a_fork_that_fails_leaves_no_pipe_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = _descriptors()
    monkeypatch.setattr(os, "fork", no_process)
    with pytest.raises(OSError, match="unavailable"):
        await Forked()("look", lambda _write: 0, timeout_s=5)
    assert _descriptors() == before


async def test_the_pipe_of_one_that_hung_is_closed_once_though_no_other_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAIL: it is closed again at the next try, when somebody else may have its number."""

    def no_process() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def hang(_write: Write) -> int:
        signal.pause()
        return 0

    forked = Forked()
    assert await forked("key", hang, timeout_s=0.05) == StillRuns(0.05)
    with monkeypatch.context() as lacking:
        lacking.setattr(os, "fork", no_process)
        with pytest.raises(OSError, match="unavailable"):
            await forked("key", lambda _write: 0, timeout_s=PATIENCE_S)
    before = _descriptors()
    assert await forked("key", lambda _write: 0, timeout_s=PATIENCE_S) == Ended(0, "")
    assert _descriptors() == before


def _programs(run: FakeRunner) -> ApplicationPrograms:
    return ApplicationPrograms(run, "node1", root=Path("/nowhere"), notes=Path("/nowhere"))


ACTS: dict[str, Callable[[Node], Awaitable[Outcome]]] = {
    "promote": lambda node: node.drbd.promote(VOLUME, timeout_s=5),
    "demote": lambda node: node.drbd.demote(VOLUME, timeout_s=5),
    "bring up": lambda node: node.drbd.bring_up(VOLUME, timeout_s=5),
    "bring up anew": lambda node: node.drbd.bring_up_anew(VOLUME, timeout_s=5),
    "bring up as it is": lambda node: node.drbd.bring_up_as_it_is(VOLUME, timeout_s=5),
    "take down": lambda node: node.drbd.take_down(VOLUME, timeout_s=5),
    "start a unit": lambda node: _programs(node.run).start("orders", UNIT, timeout_s=5),
    "stop a unit": lambda node: _programs(node.run).stop("orders", UNIT, timeout_s=5),
    "make a volume": lambda node: LvmAdapter(node.run).create("vg", "data", 4096),
}


@pytest.mark.parametrize("what", ACTS)
async def test_nothing_is_said_by_a_program_that_was_not_started(what: str, tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.run.answers[""] = LACKS
    assert isinstance(await ACTS[what](node), NotNow)


async def test_a_kernel_without_memory_says_nothing_of_the_resource(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.run.answers[""] = Finished(10, "", "10: Failure: (122) kmalloc() failed. Out of memory?")
    assert isinstance(await node.drbd.promote(VOLUME, timeout_s=5), NotNow)


async def test_a_lock_of_lvm_that_could_not_be_had_says_nothing(tmp_path: Path) -> None:
    run = FakeRunner({"lv": Finished(5, "", f"  {LVM_LOCKED}vg_orders")})
    volume = volume_at(Path("/srv/orders"), minor=10)
    assert isinstance(await activate(run, tmp_path, volume, 5.0), NotNow)
    assert isinstance(await LvmAdapter(run).snapshot("vg", "data", "kept", 4096), NotNow)
    run.answers["lv"] = Finished(5, "", "  Insufficient free space")
    assert isinstance(await LvmAdapter(run).snapshot("vg", "data", "kept", 4096), Refused)


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOMEM, NotNow), (errno.ENODEV, Refused)])
def test_a_mount_that_lacked_memory_has_not_failed(code: int, kind: type[Outcome]) -> None:
    target = Target("/dev/drbd7", "/srv/orders", FileSystem.XFS, "")
    assert isinstance(not_mounted(target, code), kind)
