"""When a child of ours ends, without asyncio's own watching of children."""

import asyncio
import os
from typing import Final

REAP_INTERVAL_S: Final = 0.1


def exit_of(pid: int) -> asyncio.Future[int]:
    """Return the exit code to be of our own child. It is reaped even when nobody waits for it.

    Wait with ``asyncio.wait``, which does not cancel what it waits for.
    """
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()
    try:
        handle = os.pidfd_open(pid)
    except OSError:  # No descriptor is left.
        return loop.create_task(_reaped(pid), name=f"wait for process {pid}")

    def reap() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        if not exited.done():
            exited.set_result(os.waitstatus_to_exitcode(status))

    try:
        loop.add_reader(handle, reap)
    except OSError:  # The kernel has no memory to watch one more.
        os.close(handle)
        return loop.create_task(_reaped(pid), name=f"wait for process {pid}")
    return exited


def _exit_code_now(pid: int) -> int | None:
    reaped, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if reaped else None


async def _reaped(pid: int) -> int:
    while True:
        if (exit_code := _exit_code_now(pid)) is not None:
            return exit_code
        await asyncio.sleep(REAP_INTERVAL_S)
