"""clbuild's way to witnesses, against a real service and a real folder."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from hapair.adapters.shared.process import ProcessRunner
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done, Refused
from hapair.model.witness import Answer
from hapair.runtime.building import keys
from hapair.runtime.building.wiring import RealHands
from hapair.runtime.building.witness_work import SCRATCH, try_grants
from hapair.runtime.places import Places
from hapair.witness.book import Book
from hapair.witness.codes import new_code
from hapair.witness.service import LOOPBACK, Running, Settings, running
from tests.processes import PATIENCE_S

FOREVER_S = 1e12
NODES = ("node1", "node2")


@dataclass(frozen=True)
class Nodes:
    first: Places
    second: Places


@pytest.fixture
async def nodes(tmp_path: Path) -> Nodes:
    """Two nodes that know each other's certificates, as a build leaves them."""
    both = Nodes(Places(tmp_path / "1"), Places(tmp_path / "2"))
    for node, places in zip(NODES, (both.first, both.second), strict=True):
        places.keys.mkdir(parents=True)
        await keys.make_pair(ProcessRunner(), places.keys, node=node, cluster="shop")
    both.first.peer_certificate.write_bytes(both.second.node_certificate.read_bytes())
    both.second.peer_certificate.write_bytes(both.first.node_certificate.read_bytes())
    return both


def settings(folder: Path) -> Settings:
    return Settings(folder, address=LOOPBACK, port=0, status_port=0)


def line(run: Running) -> Witness:
    return Witness(WitnessKind.CLWITNESS, f"{LOOPBACK}:{run.port}", pin=run.pin)


def invited(folder: Path) -> str:
    code, book = new_code(), Book(folder)
    book.invite("shop", code, FOREVER_S)
    book.close()
    return code


async def test_a_cluster_is_made_known_and_its_witness_passes_a_trial(
    nodes: Nodes, tmp_path: Path
) -> None:
    folder = tmp_path / "witness"
    async with running(settings(folder)) as run:
        witness, hands = line(run), RealHands()
        access = hands.witnesses("shop", "node1", nodes.first)
        assert (await access.look(witness, timeout_s=PATIENCE_S)).answer is Answer.UNREACHABLE
        assert isinstance(await access.join(witness, "wrong", timeout_s=PATIENCE_S), Refused)
        assert isinstance(await access.join(witness, invited(folder), timeout_s=PATIENCE_S), Done)
        for node, places in zip(NODES, (nodes.first, nodes.second), strict=True):
            peer = NODES[1 - NODES.index(node)]
            own = hands.witnesses(f"shop{SCRATCH}", node, places)
            other = hands.witnesses(f"shop{SCRATCH}", peer, places)
            trial = await try_grants(witness, own, other, (node, peer))
            assert trial.passed, trial
            own.close()
            other.close()
        seen = await access.look(witness, timeout_s=PATIENCE_S)
        assert (seen.answer, seen.epoch) == (Answer.SEEN, 0), "a trial leaves the record alone"
        access.close()


async def test_a_cluster_that_is_forgotten_begins_its_trials_anew(
    nodes: Nodes, tmp_path: Path
) -> None:
    folder = tmp_path / "witness"
    async with running(settings(folder)) as run:
        witness = line(run)
        for _ in range(2):
            access = RealHands().witnesses("shop", "node1", nodes.first)
            assert isinstance(
                await access.join(witness, invited(folder), timeout_s=PATIENCE_S), Done
            )
            access.close()
            scratch = RealHands().witnesses(f"shop{SCRATCH}", "node1", nodes.first)
            assert (await scratch.grant(witness, 5, timeout_s=PATIENCE_S)).answer is Answer.GRANTED
            assert (await scratch.look(witness, timeout_s=PATIENCE_S)).epoch == 5
            denied = await scratch.grant(witness, 4, timeout_s=PATIENCE_S)
            assert (denied.answer, denied.epoch) == (Answer.DENIED, 5)
            scratch.close()
            book = Book(folder)
            book.remove("shop")
            book.close()


async def test_a_shared_folder_passes_a_trial(nodes: Nodes, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    witness, hands = Witness(WitnessKind.FILE, str(shared)), RealHands()
    access = hands.witnesses("shop", "node1", nodes.first)
    await access.prepare(witness, timeout_s=PATIENCE_S)
    own = hands.witnesses(f"shop{SCRATCH}", "node1", nodes.first)
    other = hands.witnesses(f"shop{SCRATCH}", "node2", nodes.first)
    trial = await try_grants(witness, own, other, NODES)
    assert trial.passed, trial
    seen = await access.look(witness, timeout_s=PATIENCE_S)
    assert (seen.answer, seen.epoch) == (Answer.SEEN, 0)
