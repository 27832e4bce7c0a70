"""The service dies at the worst moment, and its disk fails: no answer is ever taken back."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from hapair.model.cluster import Witness, WitnessKind
from hapair.model.witness import Answer, WitnessAnswer
from hapair.witness.book import Ask, Book, Sighting
from hapair.witness.commits import Commits
from hapair.witness.service import running
from hapair.witness.wire import Look, No, Reply
from tests.runtime.conftest import WAIT_S
from tests.witness.parties import TIMEOUT_S, asker, joined, settings, witness_at

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def dying_service(folder: Path) -> AsyncIterator[tuple[Witness, asyncio.subprocess.Process]]:
    argv = (sys.executable, "-m", "tests.witness.dying_service", str(folder))
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            ports = json.loads(await process.stdout.readline())
        at = f"127.0.0.1:{ports['port']}"
        yield Witness(WitnessKind.CLWITNESS, at, TIMEOUT_S, ports["pin"]), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_killed_between_commit_and_reply_it_gives_the_same_answer_when_asked_again(
    tmp_path: Path, certificates: Path
) -> None:
    async with running(settings(tmp_path)) as run:
        await joined(run, tmp_path, certificates)
    first, second = (asker(certificates, node) for node in ("node1", "node2"))
    async with dying_service(tmp_path) as (witness, process):
        answer = await first.grant(witness, 3, timeout_s=TIMEOUT_S)
        assert answer.answer is Answer.UNREACHABLE
        async with asyncio.timeout(WAIT_S):
            assert await process.wait() == -signal.SIGKILL
    async with running(settings(tmp_path)) as run:
        again = witness_at(run)
        denied = await second.grant(again, 3, timeout_s=TIMEOUT_S)
        assert denied == WitnessAnswer(Answer.DENIED, 3, "node1")
        granted = await first.grant(again, 3, timeout_s=TIMEOUT_S)
        assert granted == WitnessAnswer(Answer.GRANTED, 3, "node1")
    first.close()
    second.close()


class FullDisk(Book):
    """Its next commits fail, as many as ``failing`` says."""

    failing = 0
    how: Exception = sqlite3.OperationalError("database or disk is full")

    def settle(
        self, asks: Sequence[Ask], sightings: Mapping[str, Sighting], now_s: float
    ) -> list[Reply]:
        if self.failing and asks:
            self.failing -= 1
            raise self.how
        return super().settle(asks, sightings, now_s)


async def test_while_its_disk_is_full_it_grants_nothing_and_says_why(
    tmp_path: Path, certificates: Path
) -> None:
    book = FullDisk(tmp_path)
    async with running(settings(tmp_path), book) as run:
        witness = await joined(run, tmp_path, certificates)
        clients = asker(certificates, "node1")
        book.failing = 1
        answer = await clients.grant(witness, 1, timeout_s=TIMEOUT_S)
        assert answer.answer is Answer.UNREACHABLE
        assert "disk is full" in answer.why
        seen = await clients.look(witness, timeout_s=TIMEOUT_S)
        assert seen == WitnessAnswer(Answer.SEEN)
        assert (await clients.grant(witness, 1, timeout_s=TIMEOUT_S)).answer is Answer.GRANTED
        clients.close()


async def test_whatever_fails_who_asked_is_answered_and_the_next_one_is_served(
    tmp_path: Path,
) -> None:
    book = FullDisk(tmp_path)
    book.failing, book.how = 1, RuntimeError("can't start new thread")
    commits = Commits(book)
    asks = [Ask(Look("shop"), "nobody") for _ in range(3)]
    async with asyncio.timeout(TIMEOUT_S):
        replies = await asyncio.gather(*(commits.ask(ask, "here") for ask in asks))
        assert [isinstance(each, No) and each.answer for each in replies] == ["failed"] * 3
        assert await commits.ask(asks[0], "here") != replies[0]
        await commits.close()


async def test_many_who_ask_at_once_share_commits(tmp_path: Path, certificates: Path) -> None:
    async with running(settings(tmp_path)) as run:
        witness = await joined(run, tmp_path, certificates)
        nodes = [asker(certificates, node) for node in ("node1", "node2") for _ in range(2)]
        answers = await asyncio.gather(
            *(node.grant(witness, epoch, timeout_s=TIMEOUT_S)
              for epoch in range(1, 6) for node in nodes)
        )  # fmt: skip
        granted = {(a.epoch, a.holder) for a in answers if a.answer is Answer.GRANTED}
        assert len({epoch for epoch, _ in granted}) == len(granted)
        assert (await nodes[0].look(witness, timeout_s=TIMEOUT_S)).epoch == 5
        for node in nodes:
            node.close()
