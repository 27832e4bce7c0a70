"""The drbdsetup of 8.4, called directly: the failover path has one program start less.

That it is there is looked at once. Its disk may hang later, and whoever decides waits for no disk.
"""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from hapair.adapters.drbd.argv import SETUP, SETUP_OF_8_4, Argv
from hapair.adapters.shared.process import COMMAND_NOT_FOUND
from hapair.ports.programs import CommandRunner, Finished, TimedOut

Lines = AsyncGenerator[tuple[str, ...]]
Follow = Callable[[Argv, Callable[[], float]], Lines]


class Direct:
    def __init__(self, run: CommandRunner, follow: Follow) -> None:
        self._run = run
        self._follow = follow
        self.setup = SETUP_OF_8_4 if os.access(SETUP_OF_8_4, os.X_OK) else SETUP

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        """Run a program; the usual drbdsetup where an upgrade took the other one away."""
        answer = await self._run(argv, timeout_s=timeout_s, stdin=stdin)
        if argv[0] != SETUP_OF_8_4 or not (
            isinstance(answer, Finished) and answer.exit_code == COMMAND_NOT_FOUND
        ):
            return answer
        self.setup = SETUP
        return await self._run((SETUP, *argv[1:]), timeout_s=timeout_s, stdin=stdin)

    async def follow(self, argv: Argv, idle_s: Callable[[], float]) -> Lines:
        """Follow a program; one that ends and told nothing may not be there any more."""
        told = False
        async with aclosing(self._follow(argv, idle_s)) as lines:
            async for batch in lines:
                told = told or bool(batch)
                yield batch
        if not told:
            self.setup = SETUP
