"""What Lems say: who may, how much, and what of it is understood."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hapair.runtime.lems.server import AT_ONCE_S, LINES_S, Budget
from hapair.runtime.lems.wire import LINE_BYTES_MAX
from tests.runtime.conftest import eventually, names
from tests.runtime.lems_house import House, opened


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"findings": {"run": "x", "findings": []}}\n',
        b'{"findings": {"run": 1, "findings": [{"monitor": 1}]}}\n',
        b'{"findings": {"run": 1, "findings": {}}}\n',
        b'{"states": {"run": 1, "monitors": [{"state": "good"}]}}\n',
        b'{"states": {"run": 1, "monitors": [{"name": "x", "text": 5}]}}\n',
        b'{"hello": "lems", "run": 1}\n',
        b"x" * (LINE_BYTES_MAX + 10) + b"\n",
    ],
)
async def test_what_is_not_understood_is_one_warning(house: House, line: bytes) -> None:
    for _ in range(3):
        stranger = await house.connect()
        stranger.raw(line)
        await eventually(lambda each=stranger: each.ended)  # type: ignore[misc]
        await stranger.close()
    assert names(house.journal) == ["malformed"]


async def test_words_of_another_version_are_passed_over(house: House) -> None:
    lems = await house.watched()
    lems.says(dances={"run": 1})
    lems.says(findings={"run": 1, "findings": [], "more": 1}, more=2)
    await eventually(lambda: bool(house.events))
    assert "malformed" not in names(house.journal)


async def test_only_root_may_speak(house: House) -> None:
    house.user = os.geteuid() + 1000
    stranger = await house.connect()
    stranger.hello()
    await eventually(lambda: stranger.ended)
    assert not house.lookout.posts


def test_who_says_too_much_is_listened_to_more_slowly() -> None:
    budget = Budget()
    waits = [budget.wait_s(100, 0.0) for _ in range(int(LINES_S * AT_ONCE_S) + 20)]
    assert waits[0] == 0.0
    assert waits[-1] == pytest.approx(1.0)
    assert budget.wait_s(100, 100.0) == 0.0
    assert Budget().wait_s(LINE_BYTES_MAX * 4, 0.0) > 1.0


async def test_orders_that_are_not_understood_are_told_once(house: House) -> None:
    lems = await house.watched()
    for _ in range(2):
        lems.says(refused="no application")
    lems.says(findings={"run": 1, "findings": []})
    await eventually(lambda: bool(house.events))
    assert names(house.journal) == ["unwatched"]
