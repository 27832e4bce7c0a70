"""Stories of jobs that something befalls, at any moment and again and again.

The moments are not listed here: a run without trouble tells them, so a new step has its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from hapair.model.outcome import Outcome, Refused, Unknown
from hapair.rpc.messages import RpcError
from hapair.runtime.verbs import Call
from tests.jobs.hosts import OVER_DRBD
from tests.jobs.world import NAMES, Killed, World

TROUBLES: Final = ("killed", "interrupted", "refused", "unknown", "peer lost", "power lost")
DEPTH: Final = 3


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have the tools that the survey asks for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("lvs", "vgs", "lvcreate", "lvremove", "blkid", "blockdev", "cmp", "drbdadm",
                 "drbdsetup", "e2fsck", "xfs_repair"):  # fmt: skip
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


class Story:
    """One build and its troubles, each of them at a moment that is counted from the last one.

    Another job says what is typed and how it looks when that is done.
    """

    def __init__(self, root: Path, *, in_fstab: bool = True) -> None:
        self.world = World(root, in_fstab=in_fstab, in_fstab_of_peer=in_fstab)
        self.before = self.looks()
        self.typed: asyncio.Task[object] | None = None
        self.rebooted = False  # What is built is mounted when it is started then.

    def let(self, trouble: str, number: int) -> None:
        answers: dict[str, Callable[[str], Outcome | None]] = {
            "killed": self._kill,
            "interrupted": self._interrupt,
            "refused": lambda _: Refused("it broke"),
            "unknown": lambda _: Unknown("it gave no answer"),
            "peer lost": self._lose_peer,
            "power lost": self._lose_power,
        }
        self.world.happens[len(self.world.moments) + number] = answers[trouble]

    def _kill(self, _what: str) -> None:
        raise Killed

    def _interrupt(self, _what: str) -> None:
        if self.typed is not None:
            self.typed.cancel()

    def _lose_peer(self, _what: str) -> None:
        self.world.hosts["node2"].lose_power()

    def _lose_power(self, _what: str) -> None:
        """This node boots with what lay on its disks, and with its line of fstab."""
        self.rebooted = True
        self.world.hosts["node1"].lose_power()
        self.world.hosts["node1"].boot()
        raise Killed

    async def type_it(self) -> bool:
        """Type clbuildapp; tell whether it says that the application is built."""
        builder = self.world.builders["node1"]
        return await self.ends_well(builder.buildapp(Call({"application": "orders"})))

    def looks(self) -> list[object]:
        return self.world.looks()

    def is_done(self) -> bool:
        """Tell whether it is as it should be when what was typed has come to its end."""
        generations = [self.world.built(name).generation for name in NAMES]
        mounted = self.world.hosts["node1"].mount == OVER_DRBD or self.rebooted
        return mounted and generations == [2, 2] and not self.world.places("node1").job.exists()

    async def ends_well(self, typed: Coroutine[object, object, object]) -> bool:
        self.typed = asyncio.create_task(typed)
        try:
            await self.typed
        except (RpcError, asyncio.CancelledError):
            return False
        except Killed:
            self.world.start_daemon("node1")
            return False
        return True

    async def take_back(self) -> tuple[str, ...]:
        try:
            return await self.world.builders["node1"].finish_interrupted(Call())
        except Killed:
            self.world.start_daemon("node1")
            return ("killed",)

    def mend(self) -> None:
        """End the troubles: the peer is there again, with a new daemon."""
        self.world.happens.clear()
        peer = self.world.hosts["node2"]
        if not peer.on:
            peer.boot()
            self.world.start_daemon("node2")

    def is_as_before(self) -> bool:
        return self.looks() == self.before

    async def end(self, told: str, *, again: bool = True) -> None:
        """Let the daemon look again, see one of the two states, and type it again."""
        self.mend()
        left = await self.take_back()
        assert left == (), f"{told}: {left}"
        assert self.is_as_before() != self.is_done(), f"{told}: {self.looks()}"
        if again:
            assert await self.type_it(), told
            assert self.is_done(), f"{told}: {self.looks()}"


@dataclass(frozen=True, slots=True)
class Befallen:
    """A story that was typed once and got into trouble."""

    story: Story
    number: int  # Of the moment.
    moment: str
    says_done: bool
    told: str


# In a folder; by the number of the moment stories begin in different ways.
Begin = Callable[[Path, int], Awaitable[Story]]
USUAL: Final = 2


async def begin_build(root: Path, number: int) -> Story:
    return Story(root, in_fstab=number % 3 > 0)


async def all_moments(root: Path, begin: Begin = begin_build) -> tuple[str, ...]:
    story = await begin(root, USUAL)
    assert await story.type_it()
    assert story.is_done(), story.looks()
    return tuple(story.world.moments)


def befalls(trouble: str, moment: str) -> bool:
    """Only a deed can be refused or remain unanswered; the rest happens at any moment."""
    if trouble == "refused":
        return moment.endswith(", before")
    return trouble != "unknown" or moment.endswith((", before", ", after"))


async def at_each_moment(trouble: str, root: Path, begin: Begin) -> AsyncIterator[Befallen]:
    for number, moment in enumerate(await all_moments(root / "smooth", begin)):
        if not befalls(trouble, moment):
            continue
        story = await begin(root / str(number), number)
        story.let(trouble, number)
        told = f"{trouble} at {number} ({moment})"
        says_done = await story.type_it()
        assert story.is_done() or not says_done, f"{told}: {story.looks()}"
        yield Befallen(story, number, moment, says_done, told)


async def again_and_again(
    story: Story, chance: Random, moments: int, troubles: tuple[str, ...] = TROUBLES
) -> None:
    """Let something befall what was typed, and then what takes it back or types it again."""
    told = [(chance.choice(troubles), chance.randrange(moments))]
    story.let(*told[0])
    await story.type_it()
    for _ in range(DEPTH - 1):
        told.append((chance.choice(troubles), chance.randrange(40)))
        if chance.random() < 0.5:
            story.mend()
        story.let(*told[-1])
        await (story.take_back() if chance.random() < 0.7 else story.type_it())
    await story.end(str(told))
