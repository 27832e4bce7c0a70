"""A tool that could not look is not taken for one that found nothing: LVM, DRBD, files of notes.

Each row asks an adapter something to which "nothing" would be a good answer; the tool fails in
every way that tools fail in. Either the adapter raises, or it says that it does not know.
"""

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.drbd.adapter import Drbd
from hapair.adapters.drbd.backing import KernelBackings
from hapair.adapters.drbd.connections import DrbdConnections
from hapair.adapters.filesystem.looks import MountedLooks
from hapair.adapters.lvm.adapter import LvmAdapter
from hapair.adapters.lvm.parse import LvmReportError
from hapair.adapters.programs.units import Units
from hapair.adapters.scan import software, storage
from hapair.model.application import Unit
from hapair.model.outcome import Done, NotNow, Refused, Unknown
from hapair.ports.programs import CommandRunner, Finished, NotStarted, TimedOut
from tests.adapters.loops import volume_at
from tests.fakes.small import Answer, FakeRunner, FakeStorage

VOLUME: Final = volume_at(Path("/srv/orders"), minor=10)
FAILURES: Final[dict[str, Answer]] = {
    "no answer": TimedOut(60),
    "not started": NotStarted(126, "", "vgs: Too many open files"),
    "not installed": Finished(127, "", "vgs: command not found"),
    "killed": Finished(-9, "", ""),
    "a lock": Finished(5, "", "  Can't get lock for vg_orders"),
    "another group is missing": Finished(5, "", '  Volume group "other" not found'),
    "a warning alone": Finished(5, "", "  WARNING: Device for PV not found or rejected"),
    "a usage message": Finished(3, "", "Error during parsing of command line."),
}
UNSURE: Final = (Refused, Unknown, NotNow)


async def _lvm_group(run: CommandRunner) -> object:
    return (await LvmAdapter(run).group("vg")).exists


async def _lvm_remove(run: CommandRunner) -> object:
    return await LvmAdapter(run).remove("vg", "data")


async def _lvm_remove_snapshot(run: CommandRunner) -> object:
    return await LvmAdapter(run).remove_snapshots("vg", "before_resync")


async def _lvm_disown(run: CommandRunner) -> object:
    return await LvmAdapter(run).disown("vg", "data")


async def _scan_lvm(run: CommandRunner) -> object:
    return (await storage.lvm(run, Path("/nowhere"))).error or Done()


async def _scan_drbd(run: CommandRunner) -> object:
    return (await software.drbd(run, Path("/"))).error or Done()


async def _close_look(run: CommandRunner) -> object:
    return await MountedLooks(run).close("/run/look")


async def _files(run: CommandRunner) -> object:
    found = await MountedLooks(run).changed_since("/srv", 1.0, limit=5)
    return Done() if found is not None else Unknown("")


async def _generations(run: CommandRunner) -> object:
    found = await DrbdConnections(run).generations(VOLUME, timeout_s=5)
    return Done() if found is not None else Unknown("")


async def _unit(run: CommandRunner) -> object:
    return Done() if await Units(run).running(Unit("orders.service")) is not True else Unknown("")


ASKED: Final[dict[str, Callable[[CommandRunner], Awaitable[object]]]] = {
    "is there a group": _lvm_group,
    "remove a volume": _lvm_remove,
    "remove a snapshot": _lvm_remove_snapshot,
    "disown a volume": _lvm_disown,
    "what LVM has": _scan_lvm,
    "what DRBD has": _scan_drbd,
    "unmount a look": _close_look,
    "which files differ": _files,
    "which generations": _generations,
    "does a unit run": _unit,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("asked", ASKED)
async def test_a_failure_is_no_empty_answer(asked: str, failure: str) -> None:
    run = FakeRunner({"": FAILURES[failure]})
    try:
        said = await ASKED[asked](run)
    except (LvmReportError, OSError):
        return
    assert said not in (Done(), False, None)
    assert not isinstance(said, Done)


async def test_only_lvm_s_own_words_for_this_group_say_that_there_is_none() -> None:
    run = FakeRunner({"vgs": Finished(5, "", '  Volume group "vg" not found\n')})
    assert not (await LvmAdapter(run).group("vg")).exists
    assert await LvmAdapter(run).remove("vg", "data") == Done()


class Starved(FakeStorage):
    """This node has no descriptor left."""

    def load(self, name: str) -> bytes | None:
        raise OSError(errno.EMFILE, "Too many open files", name)


async def test_what_a_copy_looked_like_is_not_forgotten_for_a_lack_of_descriptors() -> None:
    """A copy that nobody remembers is believed, whoever wrote to it meanwhile."""
    with pytest.raises(OSError, match="open files"):
        await KernelBackings(FakeRunner(), Starved()).last_seen("orders.data")


async def test_a_kernel_that_cannot_be_read_has_not_let_its_disk_go(tmp_path: Path) -> None:
    """The meta-data of an attached copy would be made anew otherwise."""
    proc = tmp_path / "proc"
    proc.mkdir()
    run = FakeRunner()
    drbd = Drbd(run, proc=proc, module=tmp_path, file_systems=tmp_path / "none")
    for act in (drbd.bring_up_anew, drbd.detach_by_force, drbd.resume):
        with pytest.raises(OSError, match="directory"):
            await act(VOLUME, timeout_s=1)
    assert run.ran == []
