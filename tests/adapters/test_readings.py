"""One reading for all who ask at the same time, and none that is older than its question."""

import asyncio
import threading
from dataclasses import dataclass, field
from itertools import count

import pytest

from hapair.adapters.shared.readings import Readings
from tests.processes import PATIENCE_S

MANY = 100


@dataclass
class Table:
    """A table of the kernel; while the gate is closed nobody gets an answer."""

    content: str = "before"
    begun: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None

    def read(self) -> str:
        content = self.content
        self.begun.append(content)
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return content

    async def is_read(self, times: int) -> None:
        for _ in count():
            if len(self.begun) == times:
                return
            await asyncio.sleep(0.001)


async def test_however_many_ask_one_reading_runs_and_one_waits() -> None:
    table = Table()
    understood: list[str] = []

    def understand(raw: str) -> str:
        understood.append(raw)
        return raw

    readings = Readings(table.read, understand)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        early = [group.create_task(readings.now()) for _ in range(MANY)]
        await table.is_read(1)
        table.content = "after"
        late = [group.create_task(readings.now()) for _ in range(MANY)]
        await asyncio.sleep(0)
        table.gate.set()
    assert {task.result() for task in early} == {"before"}
    assert {task.result() for task in late} == {"after"}, "not from what was under way already"
    assert table.begun == understood == ["before", "after"]


async def test_a_table_that_hangs_keeps_only_those_waiting_who_ask() -> None:
    table = Table()
    readings = Readings(table.read, str)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await readings.now()
    assert table.begun == ["before"], "it is not asked again before it has answered"
    table.gate.set()
    async with asyncio.timeout(PATIENCE_S):
        assert await readings.now() == "before"


async def test_an_error_is_told_to_all_and_is_not_kept() -> None:
    table = Table(error=OSError(24, "Too many open files"))
    table.gate.set()
    readings = Readings(table.read, str)
    answers = await asyncio.gather(*(readings.now() for _ in range(3)), return_exceptions=True)
    assert answers == [table.error] * 3
    table.error = None
    assert await readings.now() == "before"
