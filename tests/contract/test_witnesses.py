"""What every witness promises, asked for real: our own service, etcd, a shared folder."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.witness.client import WitnessClients
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done
from hapair.model.witness import Answer, WitnessAnswer
from hapair.ports.arbiters import Witnesses
from hapair.witness.service import running
from tests.runtime.conftest import make_certificate
from tests.witness.parties import (
    CLUSTER,
    NODES,
    TIMEOUT_S,
    asker,
    etcd,
    files_of,
    joined,
    settings,
)

UNUSED: Iterator[int] = itertools.count(1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in NODES:
        make_certificate(folder, name)
    return folder


@pytest.fixture(scope="module")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd(tmp_path_factory.mktemp("etcd")) as url:
        yield url


@dataclass(frozen=True, slots=True)
class Pair:
    """The two nodes of a cluster, and the witness that both may ask."""

    first: Witnesses
    second: Witnesses
    witness: Witness

    async def grant(self, number: int, epoch: int) -> WitnessAnswer:
        node = (self.first, self.second)[number]
        return await node.grant(self.witness, epoch, timeout_s=TIMEOUT_S)

    async def look(self) -> WitnessAnswer:
        return await self.first.look(self.witness, timeout_s=TIMEOUT_S)


@pytest.fixture(params=["clwitness", "etcd", "file"])
async def pair(
    request: pytest.FixtureRequest, certificates: Path, tmp_path: Path
) -> AsyncIterator[Pair]:
    kind = WitnessKind(request.param)
    cluster = f"{CLUSTER}{next(UNUSED)}" if kind is WitnessKind.ETCD else CLUSTER
    first, second = (asker(certificates, node, cluster) for node in NODES)
    try:
        match kind:
            case WitnessKind.CLWITNESS:
                async with running(settings(tmp_path)) as run:
                    yield Pair(first, second, await joined(run, tmp_path, certificates))
            case WitnessKind.ETCD:
                yield Pair(first, second, Witness(kind, request.getfixturevalue("etcd_url")))
            case WitnessKind.FILE:
                witness = Witness(kind, str(tmp_path))
                assert isinstance(await first.prepare(witness, timeout_s=TIMEOUT_S), Done)
                yield Pair(first, second, witness)
    finally:
        first.close()
        second.close()


GRANTED, DENIED, SEEN = Answer.GRANTED, Answer.DENIED, Answer.SEEN


async def test_what_nobody_asked_for_is_held_by_nobody(pair: Pair) -> None:
    assert await pair.look() == WitnessAnswer(SEEN, 0, "")


async def test_the_first_one_who_asks_gets_the_epoch_and_the_other_one_is_told_who(
    pair: Pair,
) -> None:
    assert await pair.grant(1, 5) == WitnessAnswer(GRANTED, 5, "node2")
    assert await pair.grant(0, 5) == WitnessAnswer(DENIED, 5, "node2")
    assert await pair.look() == WitnessAnswer(SEEN, 5, "node2")


async def test_asking_again_gives_the_same_answer(pair: Pair) -> None:
    for _ in range(3):
        assert await pair.grant(0, 1) == WitnessAnswer(GRANTED, 1, "node1")
        assert await pair.grant(1, 1) == WitnessAnswer(DENIED, 1, "node1")


async def test_an_epoch_that_is_over_is_given_to_nobody_not_even_to_its_holder(pair: Pair) -> None:
    await pair.grant(0, 3)
    assert (await pair.grant(1, 4)).answer is GRANTED
    for number in range(2):
        for epoch in (1, 3):
            assert await pair.grant(number, epoch) == WitnessAnswer(DENIED, 4, "node2")


async def test_a_later_epoch_may_go_to_either_node(pair: Pair) -> None:
    holders = [0, 1, 1, 0]
    for epoch, number in enumerate(holders, start=10):
        assert (await pair.grant(number, epoch)).answer is GRANTED
    assert await pair.look() == WitnessAnswer(SEEN, 13, "node1")


async def test_looking_records_nothing(pair: Pair) -> None:
    await pair.grant(0, 2)
    assert await pair.look() == await pair.look()
    assert (await pair.grant(1, 3)).answer is GRANTED


async def test_of_two_who_ask_at_the_same_moment_exactly_one_gets_it(pair: Pair) -> None:
    for epoch in range(1, 9):
        asked = [pair.grant(number, epoch) for number in (0, 1, 1, 0)]
        answers = await asyncio.gather(*asked)
        holders = {answer.holder for answer in answers}
        assert len(holders) == 1, answers
        granted = [answer.answer is GRANTED for answer in answers]
        assert granted in ([True, False, False, True], [False, True, True, False])


async def test_the_greatest_epoch_is_recorded_as_any_other(pair: Pair) -> None:
    greatest = 2**63 - 1
    assert await pair.grant(0, greatest) == WitnessAnswer(GRANTED, greatest, "node1")
    assert await pair.grant(1, greatest) == WitnessAnswer(DENIED, greatest, "node1")


@pytest.mark.parametrize("epoch", [0, -1, 2**63])
async def test_what_is_no_epoch_is_not_recorded(pair: Pair, epoch: int) -> None:
    assert (await pair.grant(0, epoch)).answer is Answer.UNREACHABLE
    assert await pair.look() == WitnessAnswer(SEEN, 0, "")


NOWHERE = {
    WitnessKind.CLWITNESS: "127.0.0.1:9",
    WitnessKind.ETCD: "http://127.0.0.1:9",
    WitnessKind.FILE: "/nonexistent/share",
}


@pytest.mark.parametrize("kind", list(WitnessKind))
async def test_a_witness_that_is_not_there_is_unreachable_and_says_which(
    certificates: Path, kind: WitnessKind
) -> None:
    witness = Witness(kind, NOWHERE[kind], pin="0" * 64)
    node = WitnessClients(CLUSTER, NODES[0], files_of(certificates, NODES[0]))
    for answer in (
        await node.grant(witness, 1, timeout_s=TIMEOUT_S),
        await node.look(witness, timeout_s=TIMEOUT_S),
    ):
        assert answer.answer is Answer.UNREACHABLE
        assert NOWHERE[kind] in answer.why
        assert answer.epoch == 0


async def test_without_time_there_is_no_answer(pair: Pair) -> None:
    answer = await pair.first.grant(pair.witness, 1, timeout_s=0.0)
    assert answer.answer is Answer.UNREACHABLE
    assert "within 0 s" in answer.why


async def test_two_clusters_do_not_meet_at_one_witness(pair: Pair, certificates: Path) -> None:
    await pair.grant(0, 7)
    other = asker(certificates, NODES[0], "other")
    if pair.witness.kind is WitnessKind.FILE:
        await other.prepare(pair.witness, timeout_s=TIMEOUT_S)
    seen = await other.look(pair.witness, timeout_s=TIMEOUT_S)
    other.close()
    assert seen.epoch == 0
