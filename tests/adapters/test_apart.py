"""What hangs in a thread of its own holds up neither the loop nor another such thread."""

import asyncio
import threading

import pytest

from hapair.adapters.shared.apart import HANGING_MAX, apart


async def test_what_hangs_is_given_up_by_its_time_out_alone() -> None:
    """FAIL: each new try at a place that hangs leaves one more thread, until there is no room."""
    goes_on = threading.Event()
    before = threading.active_count()
    try:
        hanging = [asyncio.ensure_future(apart("here", goes_on.wait)) for _ in range(40)]
        assert await asyncio.wait_for(apart("there", lambda: "others"), 10.0) == "others"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await hanging[0]
        assert threading.active_count() <= before + HANGING_MAX + 1
    finally:
        goes_on.set()
    assert all(await asyncio.gather(*hanging[1:]))
    assert await asyncio.wait_for(apart("here", lambda: "at last"), 10.0) == "at last"


async def test_no_room_for_a_thread_says_nothing_about_what_was_to_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAIL: the daemon takes it for a bug, and ends."""

    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    for _ in range(HANGING_MAX + 1):
        with pytest.raises(BlockingIOError, match="here cannot be read"):
            await asyncio.wait_for(apart("here", lambda: ""), 10.0)
    monkeypatch.undo()
    assert await apart("here", lambda: "later") == "later"


async def test_an_error_arrives_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await apart("here", fails)
