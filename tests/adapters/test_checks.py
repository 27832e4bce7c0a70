"""A check of a file system is waited for, never doubled, and never killed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair.adapters.filesystem.checks import Checks
from hapair.adapters.filesystem.mounter import Mounter, Target
from hapair.model.application import FileSystem
from hapair.model.outcome import Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.processes import PATIENCE_S
from tests.runtime.conftest import eventually

DEVICE = "/dev/drbd7"


class Gate:
    """A check that lasts until the gate is opened; it notes each time that it begins."""

    def __init__(self, folder: Path) -> None:
        self.begun = folder / "begun"
        self.gate = folder / "gate"
        wait = f"until [ -e {self.gate} ]; do sleep 0.05; done"
        text = f'echo $0 >>{self.begun}; {wait}; echo "$0: clean"; exit 1'
        self.checks = Checks(("sh", "-c", text))

    def open(self) -> None:
        self.gate.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path)
    yield made
    made.open()


async def test_who_comes_after_a_time_out_waits_for_the_same_check(gate: Gate) -> None:
    for _ in range(2):
        assert await gate.checks(DEVICE, timeout_s=0.3) == TimedOut(0.3)
    gate.open()
    ended = await gate.checks(DEVICE, timeout_s=PATIENCE_S)
    assert ended == Finished(1, f"{DEVICE}: clean\n", "")
    assert gate.begun.read_text() == f"{DEVICE}\n"
    assert await gate.checks(DEVICE, timeout_s=PATIENCE_S) == ended
    assert gate.begun.read_text() == 2 * f"{DEVICE}\n"


async def test_who_is_cancelled_leaves_the_check_alone(gate: Gate) -> None:
    asked = asyncio.ensure_future(gate.checks(DEVICE, timeout_s=PATIENCE_S))
    await eventually(gate.begun.exists)
    asked.cancel()
    await asyncio.wait([asked])
    gate.open()
    assert isinstance(await gate.checks(DEVICE, timeout_s=PATIENCE_S), Finished)
    assert gate.begun.read_text() == f"{DEVICE}\n"


async def test_devices_are_checked_beside_one_another(gate: Gate) -> None:
    assert await gate.checks(DEVICE, timeout_s=0.2) == TimedOut(0.2)
    gate.open()
    assert isinstance(await gate.checks("/dev/drbd8", timeout_s=PATIENCE_S), Finished)


async def test_a_missing_program_is_told() -> None:
    ended = await Checks(("hapair-test-no-such-check",))(DEVICE, timeout_s=PATIENCE_S)
    assert isinstance(ended, Finished)
    assert ended.exit_code == 127
    assert "not found" in ended.stdout


async def test_a_check_that_goes_on_is_no_verdict(gate: Gate) -> None:
    mounter = Mounter(gate.checks)
    target = Target(DEVICE, "/srv/orders", FileSystem.EXT4, "")
    outcome = await mounter.check(target, 0.2)
    assert isinstance(outcome, Unknown)
    assert "left alone" in outcome.why


async def test_xfs_is_repaired_by_a_person(gate: Gate) -> None:
    target = Target(DEVICE, "/srv/orders", FileSystem.XFS, "")
    assert isinstance(await Mounter(gate.checks).check(target, 1), Refused)
