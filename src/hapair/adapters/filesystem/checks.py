"""Checks of file systems: waited for, never two of one device, and never killed.

A check that is killed in the middle of a repair leaves more damage than it found. So it outlives
who waits for it, and the daemon; whoever comes next waits for the same one. Asked to end (TERM) it
stops where it does no harm.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Final

from hapair.adapters.shared.process import OUTPUT_BYTES_MAX, plain_environment
from hapair.adapters.shared.starts import begin
from hapair.ports.programs import Finished, TimedOut

PROGRAM: Final = ("fsck.ext4", "-p")
NAMES: Final = frozenset({"fsck.ext4", "e2fsck"})  # Of its processes.
_FOUND_BY_PATH: Final = ("/bin/sh", "-c", 'exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class _Check:
    exited: asyncio.Future[int]
    output: int  # A file in memory: a pipe would break when the daemon ends, and the check with it.


class Checks:
    def __init__(self, program: tuple[str, ...] = PROGRAM) -> None:
        self._program = program
        self._begun: dict[str, _Check] = {}

    async def __call__(self, device: str, *, timeout_s: float) -> Finished | TimedOut:
        """Check the device, or wait for its check that goes on; OSError: none could be started."""
        check = self._begun.get(device)
        if check is None:
            check = self._begun[device] = self._begin(device)
        await asyncio.wait({check.exited}, timeout=timeout_s)
        if not check.exited.done():
            return TimedOut(timeout_s)
        del self._begun[device]
        text = os.pread(check.output, OUTPUT_BYTES_MAX, 0).decode("utf-8", "replace")
        os.close(check.output)
        return Finished(check.exited.result(), text, "")

    def _begin(self, device: str) -> _Check:
        output = os.memfd_create("check", os.MFD_CLOEXEC)
        try:
            argv = (*_FOUND_BY_PATH, *self._program, device)
            check = begin(argv, plain_environment(), (None, output, output))
        except OSError:
            os.close(output)
            raise
        return _Check(check.exited, output)
