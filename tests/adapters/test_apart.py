"""What hangs in a thread of its own holds up neither the loop nor another such thread."""

import asyncio
import threading

import pytest

from hapair.adapters.shared.apart import apart


async def test_what_hangs_is_given_up_by_its_time_out_alone() -> None:
    goes_on = threading.Event()
    try:
        hanging = [asyncio.ensure_future(apart(goes_on.wait)) for _ in range(40)]
        assert await asyncio.wait_for(apart(lambda: "others"), 10.0) == "others"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await hanging[0]
    finally:
        goes_on.set()
    assert all(await asyncio.gather(*hanging[1:]))


async def test_an_error_arrives_where_it_was_asked_for() -> None:
    def fails() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await apart(fails)
