"""Changes that the kernel puts off: it refuses them while two nodes are just meeting or parting."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from hapair.ports.programs import CommandRunner, Finished, TimedOut

# What the kernel says of a change that it would have made a moment later: a handshake is under
# way, or another change of state came first.
NOT_NOW: Final = ("(-18)", "(-19)")
AGAIN_AFTER_S: Final = 0.1
LONGEST_S: Final = 5.0


class SettlingRunner:
    """Runs drbd-utils, and again while the kernel says "not now"; the last answer counts."""

    def __init__(self, run: CommandRunner) -> None:
        self._run = run

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        """Return its answer within ``timeout_s``, however often it had to be asked."""
        until_s = time.monotonic() + min(timeout_s, LONGEST_S)
        left_s = timeout_s
        while True:
            answer = await self._run(argv, timeout_s=left_s, stdin=stdin)
            left_s = until_s - time.monotonic() - AGAIN_AFTER_S
            if left_s <= 0 or not _put_off(answer):
                return answer
            await asyncio.sleep(AGAIN_AFTER_S)


def _put_off(answer: Finished | TimedOut) -> bool:
    return (
        isinstance(answer, Finished)
        and answer.exit_code != 0
        and any(word in answer.stderr for word in NOT_NOW)
    )
