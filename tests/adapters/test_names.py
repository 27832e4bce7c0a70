"""A resolver that hangs holds up nobody who has known the name before."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import pytest

from hapair.adapters.shared.names import PATIENCE_S, THREADS_MAX, Answer, NamesLoop

T = TypeVar("T")
FOUND: Final[Answer] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]


class Resolver:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.knows = True

    def __call__(self, host: str, *_: object) -> Answer:
        self.asked.append(host)
        self.goes_on.wait(10.0)
        if not self.knows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return FOUND


def played(story: Callable[[Resolver], Awaitable[T]]) -> T:
    resolver = Resolver()

    async def told() -> T:
        return await story(resolver)

    try:
        with asyncio.Runner(loop_factory=lambda: NamesLoop(resolver)) as runner:
            return runner.run(told())
    finally:
        resolver.goes_on.set()


async def look(host: str = "witness") -> object:
    return await asyncio.get_running_loop().getaddrinfo(host, 80)


def test_a_name_that_was_known_before_is_known_while_the_resolver_hangs() -> None:
    async def story(resolver: Resolver) -> float:
        assert await look() == FOUND
        resolver.goes_on.clear()
        began_s = time.monotonic()
        assert await look() == FOUND
        took_s = time.monotonic() - began_s
        resolver.goes_on.set()
        return took_s

    assert PATIENCE_S * 0.9 < played(story) < PATIENCE_S + 5.0


def test_a_name_that_is_gone_is_where_it_was_and_one_that_never_was_is_an_error() -> None:
    async def story(resolver: Resolver) -> None:
        await look()
        resolver.knows = False
        assert await look() == FOUND
        with pytest.raises(socket.gaierror, match="not known"):
            await look("other")

    played(story)


def test_each_name_is_asked_once_at_a_time_and_nobody_else_waits() -> None:
    """The threads for everything else are free, whatever the resolver does."""

    async def story(resolver: Resolver) -> None:
        resolver.goes_on.clear()
        every = [asyncio.ensure_future(look()) for _ in range(3 * THREADS_MAX)]
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10.0) == "free"
        every[0].cancel()
        await asyncio.sleep(0)
        resolver.goes_on.set()
        assert await asyncio.gather(*every[1:]) == [FOUND] * (len(every) - 1)
        assert resolver.asked == ["witness"]

    played(story)


def test_such_a_loop_starts_programs() -> None:
    program = """
import asyncio
from hapair.adapters.shared.names import NamesLoop
from hapair.adapters.shared.process import ProcessRunner

with asyncio.Runner(loop_factory=NamesLoop) as runner:
    print(runner.run(ProcessRunner()(("/bin/echo", "started"), timeout_s=30.0)).stdout)
"""
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, check=True)
    assert done.stdout.split() == [b"started"]
