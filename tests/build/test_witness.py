"""What clbuild does with witnesses: looks at them, joins them, tries them."""

import json
from dataclasses import replace
from typing import Final

import pytest

from hapair.core.plan.situation import CLCONF as CLCONF_NAME
from hapair.core.plan.witness_checks import (
    WitnessLook,
    looks_problems,
    majority,
    unknown_certificates,
)
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.witness import Answer, WitnessAnswer
from hapair.runtime.building.witness_work import timed
from tests.build.command_world import CLCONF, World
from tests.build.fake_witness import code_of
from tests.build.material import CLUSTER, NODES

W1, W2, FOLDER, ETCD = "w1:7790", "w2:7790", "/mnt/witness", "https://etcd1:2379"
ELEMENTS: Final = {
    W1: f'<witness kind="clwitness" at="{W1}" pin="{"1" * 64}"/>',
    W2: f'<witness kind="clwitness" at="{W2}" pin="{"2" * 64}"/>',
    FOLDER: f'<witness kind="file" at="{FOLDER}"/>',
    ETCD: f'<witness kind="etcd" at="{ETCD}"/>',
}
CODES: Final = tuple(word for at in (W1, W2) for word in ("--witness-code", code_of(at)))


def witnessed(*places: str) -> str:
    inside = "".join(ELEMENTS[at] for at in places)
    return CLCONF.replace(
        '<arbitration by="paths"/>', f'<arbitration by="witness">{inside}</arbitration>'
    )


def words(text: str) -> str:
    return " ".join(text.split())


# --- A build -------------------------------------------------------------------------------------


def test_a_code_makes_the_cluster_known_to_its_witness(world: World) -> None:
    world.edit(witnessed(W1))
    assert world.clbuild(*CODES[:2]) == 0
    third = world.hands.third_places
    assert third.asked == [f"join {W1}", f"look {W1}"]
    assert third.open == 0
    assert "cluster shop is built, generation 1" in world.out


def test_the_next_build_needs_no_code_and_looks_first(world: World) -> None:
    world.edit(witnessed(W1))
    world.clbuild(*CODES[:2])
    world.hands.third_places.asked.clear()
    assert world.clbuild() == 0
    assert world.hands.third_places.asked == [f"look {W1}"]
    assert "nothing to do" in world.out


def test_a_code_may_be_handed_over_later(world: World) -> None:
    world.edit(witnessed(W1))
    world.clbuild(*CODES[:2])
    world.hands.third_places.joined.clear()
    assert world.clbuild() == 1
    assert "it does not know this node's certificate" in words(world.err)
    assert world.clbuild(*CODES[:2]) == 0
    assert "nothing to do" in world.out


def test_each_code_finds_its_witness(world: World) -> None:
    world.edit(witnessed(W1, FOLDER, W2))
    assert world.clbuild(*CODES[2:], *CODES[:2]) == 0
    assert world.hands.third_places.joined == {W1, W2}


def test_an_answer_that_was_lost_is_asked_for_again(world: World) -> None:
    world.edit(witnessed(W1))
    world.hands.third_places.answers_lost = 1
    assert world.clbuild(*CODES[:2]) == 0
    world.hands.third_places.answers_lost = 2
    assert world.clbuild(*CODES[:2]) == 4
    assert f"witness {W1}: no answer within 15 s" in words(world.err)


def test_new_keys_need_a_code(world: World) -> None:
    world.edit(witnessed(W1))
    before = world.files()
    assert world.clbuild() == 1
    assert "it does not know the certificate that is made now" in words(world.err)
    assert "clwitness invite shop; then here: clbuild --witness-code CODE" in words(world.err)
    assert world.files() == before


def test_a_wrong_code_leaves_the_build_committed(world: World) -> None:
    world.edit(witnessed(W1))
    assert world.clbuild("--witness-code", "wrong") == 4
    assert f"the configuration is committed, but witness {W1}: this code is not known" in words(
        world.err
    )
    assert [built.generation for built in world.built()] == [1, 1]


def test_a_code_without_a_witness_is_refused(world: World) -> None:
    assert world.clbuild(*CODES[:2]) == 2
    assert "clconf.xml names no witness" in world.err


def test_a_folder_is_made_by_a_build_and_by_no_plan(world: World) -> None:
    world.edit(witnessed(FOLDER))
    third = world.hands.third_places
    assert world.clbuild("--plan") == 0
    assert not third.prepared
    assert world.clbuild() == 0
    assert third.prepared == {FOLDER}


def test_one_silent_witness_of_three_is_a_warning(world: World) -> None:
    world.edit(witnessed(FOLDER, ETCD, W1))
    world.hands.third_places.joined.add(W1)
    world.hands.third_places.silent.add(ETCD)
    assert world.clbuild(*CODES[:2]) == 0
    assert f"witness {ETCD}: it does not answer: no answer within 5 s" in words(world.err)


def test_without_a_majority_nothing_is_built(world: World) -> None:
    world.edit(witnessed(FOLDER, ETCD))
    world.hands.third_places.silent.add(ETCD)
    assert world.clbuild() == 1
    assert "without a majority of witnesses no node may act alone" in words(world.err)
    assert f"--key /etc/cluster/keys/node.key {ETCD}/health" in words(world.err)


# --- A trial -------------------------------------------------------------------------------------


def test_a_trial_goes_through_a_whole_grant_on_its_own_record(world: World) -> None:
    world.edit(witnessed(FOLDER, ETCD))
    third = world.hands.third_places
    third.records[ETCD, "shop"] = (7, "node2")
    assert world.clbuild("--check-witness") == 0
    assert world.out.count("ok\n") == 8
    assert "grant epoch 1 to node1" in world.out
    assert "all is well, seen from node1; type it on node2 too" in world.out
    assert third.records[ETCD, "shop"] == (7, "node2")
    assert third.records[ETCD, "shop/check"] == (1, "node1")
    assert third.open == 0
    assert not world.nodes[0].places.built.exists()


def test_a_trial_can_be_repeated(world: World) -> None:
    world.edit(witnessed(ETCD))
    assert [world.clbuild("--check-witness") for _ in range(2)] == [0, 0]
    assert "grant epoch 2 to node1" in world.out


def test_a_witness_that_gives_an_epoch_twice_does_not_pass(world: World) -> None:
    world.edit(witnessed(ETCD, FOLDER))
    world.hands.third_places.generous = True
    assert world.clbuild("--check-witness", "--json") == 1
    tried = json.loads(world.out)
    assert [each["passed"] for each in tried["witnesses"]] == [False, False]
    assert tried["witnesses"][0]["steps"][-1]["what"] == "refuse it to node2"
    assert tried["witnesses"][0]["steps"][-1]["why"].startswith("it answers granted instead of")


def test_a_witness_that_does_not_answer_does_not_pass(world: World) -> None:
    world.edit(witnessed(ETCD, FOLDER))
    world.hands.third_places.silent.add(ETCD)
    assert world.clbuild("--check-witness") == 1
    assert "failed: no answer within 5 s" in world.out
    assert "1 of 2 witnesses did not pass" in world.err


def test_a_trial_needs_a_witness(world: World) -> None:
    assert world.clbuild("--check-witness") == 2
    assert "--check-witness: clconf.xml names no witness" in world.err


# --- What answers mean ---------------------------------------------------------------------------

FILE: Final = Witness(WitnessKind.FILE, FOLDER)
SERVICE: Final = Witness(WitnessKind.CLWITNESS, W1, pin="1" * 64)
STORE: Final = Witness(WitnessKind.ETCD, f"{ETCD}/ https://etcd2:2379")
PLAIN: Final = Witness(WitnessKind.ETCD, "http://etcd1:2379")
SEEN: Final = WitnessAnswer(Answer.SEEN, 3, "node2")
SILENT: Final = WitnessAnswer(Answer.UNREACHABLE, why="no answer")


def test_more_than_half_decides() -> None:
    assert [majority(count) for count in (1, 2, 3)] == [1, 2, 2]


@pytest.mark.parametrize(
    ("witness", "answer", "what", "mend", "warning"),
    [
        (FILE, SILENT, "it does not answer: no answer", f"findmnt -T {FOLDER}", True),
        (STORE, SILENT, "it does not answer", f"node.key {ETCD}/health", True),
        (PLAIN, SILENT, "it does not answer", "curl http://etcd1:2379/health", True),
        (SERVICE, SILENT, "it does not answer", "clwitness invite shop", True),
        (
            SERVICE,
            WitnessAnswer(Answer.SEEN, 9, "web1"),
            "another cluster that is called shop",
            "another name",
            False,
        ),
    ],
)
def test_what_a_look_tells(
    witness: Witness, answer: WitnessAnswer, what: str, mend: str, *, warning: bool
) -> None:
    cluster = replace(CLUSTER, witnesses=(FILE, SERVICE, STORE))
    looks = [WitnessLook(witness, answer, 0.01), WitnessLook(FILE, SEEN, 0.01)]
    (problem,) = looks_problems("node1", cluster, looks)
    assert what in problem.what
    assert mend in problem.mend
    assert (problem.where, problem.warning) == ("node1", warning)


def test_a_witness_that_is_slower_than_its_time_out_is_told() -> None:
    cluster = replace(CLUSTER, witnesses=(FILE,))
    (problem,) = looks_problems("node1", cluster, [WitnessLook(FILE, SEEN, 1.4)])
    assert "it answered after 1.4 s, and is waited for 1 s only" in problem.what
    assert problem.warning


def test_only_a_service_knows_a_cluster_by_its_certificates() -> None:
    cluster = replace(CLUSTER, witnesses=(FILE, SERVICE, STORE))
    (problem,) = unknown_certificates(cluster, NODES)
    assert (problem.where, problem.field) == ("node1 and node2", f"witness {W1}")
    assert not list(unknown_certificates(cluster, ()))


async def test_an_answer_is_timed() -> None:
    async def answer() -> WitnessAnswer:
        return SEEN

    moments = iter((10.0, 10.25))
    found = await timed(answer(), lambda: next(moments))
    assert (found.answer, found.took_s) == (SEEN, 0.25)


def test_the_look_is_one_of_the_checks_that_are_shown(world: World) -> None:
    world.edit(witnessed(FOLDER))
    assert world.clbuild("--verbose") == 0
    assert "  ok       witnesses" in world.err
    assert CLCONF_NAME not in world.err
