"""Whatever befalls a build, at any moment, it ends as built or as before, and can be typed again.

The moments are not listed here: a run without trouble tells them, so a new step has its own.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

import pytest

from hapair.model.outcome import Outcome, Refused, Unknown
from hapair.rpc.messages import RpcError
from hapair.runtime.verbs import Call
from tests.jobs.hosts import OVER_DRBD
from tests.jobs.world import NAMES, Killed, World

TROUBLES: Final = ("killed", "interrupted", "refused", "unknown", "peer lost", "power lost")
DEPTH: Final = 3
NESTED: Final = 24  # Of the many ways to be in trouble three times, so many are played.


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
    """One build and its troubles, each of them at a moment that is counted from the last one."""

    def __init__(self, root: Path, *, in_fstab: bool = True) -> None:
        self.world = World(root, in_fstab=in_fstab, in_fstab_of_peer=in_fstab)
        self.before = self.world.looks()
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
        return self.world.looks() == self.before

    def is_built(self) -> bool:
        generations = [self.world.built(name).generation for name in NAMES]
        mounted = self.world.hosts["node1"].mount == OVER_DRBD or self.rebooted
        return mounted and generations == [2, 2] and not self.world.places("node1").job.exists()

    async def end(self, told: str, *, build_again: bool = True) -> None:
        """Let the daemon look again, see one of the two states, and build anew."""
        self.mend()
        assert await self.take_back() == (), told
        assert self.is_as_before() != self.is_built(), f"{told}: {self.world.looks()}"
        if build_again:
            assert await self.type_it(), told
            assert self.is_built(), told


async def all_moments(root: Path) -> tuple[str, ...]:
    story = Story(root)
    assert await story.type_it()
    assert story.is_built()
    return tuple(story.world.moments)


def befalls(trouble: str, moment: str) -> bool:
    """Only a deed can be refused or remain unanswered; the rest happens at any moment."""
    if trouble == "refused":
        return moment.endswith(", before")
    return trouble != "unknown" or moment.endswith((", before", ", after"))


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_trouble_at_any_moment_ends_in_one_of_two_states(
    tmp_path: Path, trouble: str
) -> None:
    moments = await all_moments(tmp_path / "smooth")
    for number, moment in enumerate(moments):
        if not befalls(trouble, moment):
            continue
        story = Story(tmp_path / str(number), in_fstab=number % 3 > 0 or trouble == "power lost")
        story.let(trouble, number)
        told = f"{trouble} at {number} ({moment})"
        says_built = await story.type_it()
        home = story.world.hosts["node1"]
        if says_built:
            assert story.is_built(), told
        elif trouble == "interrupted" and "Introduce" not in moment:  # It is built by then.
            assert story.is_as_before(), f"{told}: {story.world.looks()}"
        elif trouble == "peer lost":  # Its part waits for it; the data does not.
            assert home.looks() == story.before[0], told
        await story.end(told, build_again=number % 3 == 0)


@pytest.mark.parametrize("seed", range(NESTED))
async def test_taking_back_may_be_interrupted_again_and_again(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    moments = await all_moments(tmp_path / "smooth")
    in_fstab = chance.random() < 0.5
    story = Story(tmp_path / "story", in_fstab=in_fstab)
    troubles = TROUBLES if in_fstab else TROUBLES[:-1]  # A boot mounts nothing else.
    told = [(chance.choice(troubles), chance.randrange(len(moments)))]
    story.let(*told[0])
    await story.type_it()
    for _ in range(DEPTH - 1):
        told.append((chance.choice(troubles), chance.randrange(40)))
        if chance.random() < 0.5:
            story.mend()
        story.let(*told[-1])
        await (story.take_back() if chance.random() < 0.7 else story.type_it())
    await story.end(str(told))
