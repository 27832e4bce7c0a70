"""The whole process by a clock of the test: what it tells whom, also when everything goes wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hapair.adapters.files import FileStorage
from hapair.alerts.fit import BARE
from hapair.alerts.memory import FILE
from hapair.alerts.process import BOARD_BYTES_MAX
from hapair.alerts.returns import REMEMBERED_S
from hapair.model.alerts import Kind
from hapair.rpc.messages import dump
from tests.alerts.world import ADMINS, CONFIGURED, World
from tests.cli import situations


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(FileStorage(tmp_path))


def test_what_clstat_shows_is_told_once_and_that_it_is_over(world: World) -> None:
    world.pass_rounds(5)
    world.status = situations.peer_lost()
    world.pass_rounds(60)
    begun = world.told("admins")
    assert set(begun) == {Kind.BEGIN}
    world.status = situations.status()
    world.pass_rounds(60)
    assert world.told("admins") == begun + [Kind.OVER] * len(begun)


def test_what_the_other_node_told_to_be_over_meanwhile_is_not_told_again(
    world: World, tmp_path: Path
) -> None:
    """FAIL: the node that comes back from its reboot tells "over" once more."""
    (tmp_path / "other").mkdir()
    other = World(FileStorage(tmp_path / "other"), "node2")
    world.status = other.status = situations.failed()
    for _ in range(60):
        world.pass_rounds(1)
        other.there, world.there = world.board, other.board
        other.pass_rounds(1)
    begun = world.told("admins")
    assert begun
    assert other.told("admins") == []
    other.there, other.status = None, situations.status()  # node1 is away, and it is over.
    other.pass_rounds(60)
    assert other.told("admins") == [Kind.OVER] * len(begun)
    world.status, world.there = situations.status(), other.board
    world.clock.now_s = other.clock.now_s
    world.start()
    for _ in range(60):
        world.pass_rounds(1)
        other.there, world.there = world.board, other.board
        other.pass_rounds(1)
    assert world.told("admins") == begun
    world.clock.now_s += REMEMBERED_S
    world.pass_rounds(1)
    world.status = situations.failed()  # And what comes back is told, and its end, too.
    world.pass_rounds(60)
    world.status = situations.status()
    world.pass_rounds(60)
    assert world.told("admins") == [*begun, *begun, *[Kind.OVER] * len(begun)]


@pytest.mark.parametrize("there", [None, {}, {"overs": 7}, {"overs": {"each": [{"number": "x"}]}}])
def test_who_hears_nothing_of_it_tells_that_it_is_over(world: World, there: object) -> None:
    world.status = situations.failed()
    world.pass_rounds(60)
    begun = world.told("admins")
    world.status, world.there = situations.status(), there
    world.start()
    world.pass_rounds(60)
    assert world.told("admins") == [*begun, *[Kind.OVER] * len(begun)]


def test_what_the_other_node_has_told_is_not_told_here(world: World, tmp_path: Path) -> None:
    other = World(FileStorage(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    other.status = world.status = situations.failed()
    other.pass_rounds(10)
    assert other.told("admins")
    second = replace(CONFIGURED, cluster=replace(CONFIGURED.cluster, nodes=("node2", "node1")))
    world.there = other.board
    for _ in range(60):
        world.pass_rounds(1, second)
    assert world.told("admins") == []


def test_a_storm_of_a_thousand_alarms_is_a_few_letters_that_say_how_many(world: World) -> None:
    world.pass_rounds(1)
    for number in range(1000):
        world.happens(f"kind{number}")
    world.step_s = 20.0
    world.pass_rounds(60)
    assert 1 <= len([1 for name, _ in world.letters if name == "pager"]) <= 20
    told = world.told("pager")
    left_out = sum(letter.left_out for name, letter in world.letters if name == "pager")
    # What is beyond counting one by one is told in a message of its own.
    assert len(told) + left_out == 40 + 1
    assert any("960 more events" in line for _, letter in world.letters for line in letter.lines())


def test_a_receiver_that_fails_is_tried_again_and_the_other_one_does_not_wait(world: World) -> None:
    world.outcomes["admins"] = "refused"
    world.pass_rounds(1)
    world.happens("bug")
    world.pass_rounds(60)
    assert world.told("pager") == [Kind.EVENT]
    assert 3 <= len(world.told("admins")) <= 6
    world.outcomes["admins"] = ""
    tries = len(world.told("admins"))
    world.step_s = 20.0
    world.pass_rounds(40)
    assert len(world.told("admins")) == tries + 1
    assert world.board["receivers"] == [
        {
            "receiver": name,
            "waiting": 0,
            "left_out": 0,
            "failures": 0,
            "error": "",
            "given_up": 0,
            "given_up_s": 0.0,
            "why": "",
        }
        for name in ("admins", "pager")
    ]


def test_what_takes_only_small_letters_gets_everything_in_small_ones(world: World) -> None:
    """FAIL: a storm is refused as one letter, and nothing ever arrives again."""
    world.refuses = lambda letter: len(letter.messages) > 4
    world.pass_rounds(1)
    for number in range(20):
        world.happens(f"event-{number}")
    world.step_s = 20.0
    world.pass_rounds(40)
    assert len(world.taken) == 20
    assert world.given_up == []


@pytest.mark.parametrize("method", ["its text", "in any form"])
def test_a_letter_that_is_refused_for_good_keeps_no_other_one_back(
    world: World, method: str
) -> None:
    """FAIL: a content filter refuses one message, and no alarm ever arrives again."""
    word = "poison" if method == "its text" else "orders"
    world.refuses = lambda letter: any(word in f"{m.about} {m.text}" for m in letter.messages)
    world.pass_rounds(1)
    world.happens("poison", application="orders")
    world.happens("bug")
    world.step_s = 20.0
    world.pass_rounds(40)
    world.happens("other")
    world.pass_rounds(20)
    told = [(message.about, message.text) for message in world.taken]
    others = [("node1", "bug 2"), ("node1", "other 3")]
    assert [each for each in told if each[0] != "orders"] == others
    pager = world.receivers()["pager"]
    if method == "its text":
        assert ("orders", BARE) in told
        assert world.given_up == []
        assert pager["given_up"] == 0
        return
    assert world.given_up == [
        "the receiver pager refuses for good what is told of orders: 413 too large"
    ]
    assert (pager["waiting"], pager["given_up"], pager["why"]) == (0, 1, "413 too large")
    assert sum(letter.left_out for name, letter in world.letters if name == "pager") == 1


def test_what_refuses_everything_is_told_of_once_until_it_takes_something(world: World) -> None:
    world.refuses = lambda _: True
    world.pass_rounds(1)
    world.step_s = 120.0
    for number in range(6):
        world.happens(f"event-{number}")
    world.pass_rounds(100)
    assert len(world.given_up) == 1
    pager = world.receivers()["pager"]
    assert pager["given_up"] == 6
    tries = [letter for name, letter in world.letters if name == "pager"]
    assert len(tries) < 30
    world.refuses = lambda _: False
    world.happens("bug")
    world.pass_rounds(40)
    world.refuses = lambda letter: letter.messages[0].about == "orders"
    world.happens("bug", application="orders")
    world.pass_rounds(40)
    assert len(world.given_up) == 2


def test_what_is_given_up_while_the_daemon_is_down_is_told_to_it_later(world: World) -> None:
    world.refuses = lambda _: True
    world.pass_rounds(1)
    world.happens("bug")
    world.pass_rounds(1)
    world.down = True
    world.pass_rounds(10)
    world.refuses = lambda _: False
    assert world.given_up == []
    world.down = False
    world.pass_rounds(2)
    assert len(world.given_up) == 1


def test_a_receiver_that_is_gone_from_the_configuration_is_forgotten_with_its_letter(
    world: World,
) -> None:
    world.refuses = lambda _: True
    world.pass_rounds(1)
    world.happens("bug")
    world.pass_rounds(1)
    alerts = replace(CONFIGURED.cluster.alerts, receivers=(ADMINS,))
    world.pass_rounds(5, replace(CONFIGURED, cluster=replace(CONFIGURED.cluster, alerts=alerts)))
    assert list(world.receivers()) == ["admins"]


def test_a_receiver_that_hangs_keeps_its_letter_and_nobody_else_waits(world: World) -> None:
    world.outcomes["admins"] = None
    world.pass_rounds(1)
    world.happens("bug")
    world.happens("other")
    world.step_s = 20.0
    world.pass_rounds(40)
    assert len([1 for name, _ in world.letters if name == "admins"]) == 1
    assert world.told("pager") == [Kind.EVENT, Kind.EVENT]


def test_what_only_a_newer_version_remembers_stays_in_the_file(world: World) -> None:
    world.outcomes["admins"] = "busy"
    world.status = situations.peer_lost()
    world.pass_rounds(5)
    lies = json.loads(world.storage.load(FILE) or b"")
    lies["novelty"] = lies["outboxes"][0]["novelty"] = {"a": 1}
    world.storage.store(FILE, json.dumps(lies).encode())
    world.start()
    world.outcomes["admins"] = ""
    world.pass_rounds(200)
    after = json.loads(world.storage.load(FILE) or b"")
    assert after["sent"] != lies.get("sent")
    assert after["novelty"] == after["outboxes"][0]["novelty"] == {"a": 1}


def test_what_was_not_sent_is_sent_after_a_restart_and_nothing_twice(world: World) -> None:
    world.outcomes["admins"] = "refused"
    world.status = situations.failed()
    world.pass_rounds(1)
    world.happens("bug")
    world.pass_rounds(20)
    told = world.told("pager")
    world.letters.clear()
    world.outcomes.clear()
    world.start()
    world.pass_rounds(60)
    assert world.told("pager") == []
    assert Kind.EVENT in world.told("admins")
    assert len(world.told("admins")) >= len(told)


def test_a_memory_that_cannot_be_read_or_written_keeps_nobody_from_being_told(
    world: World, tmp_path: Path
) -> None:
    world.pass_rounds(1)
    (tmp_path / FILE).write_bytes(b"{")
    world.start()
    world.pass_rounds(1)
    (tmp_path / FILE).unlink(missing_ok=True)
    (tmp_path / FILE).mkdir()  # Root may write everywhere, but not this.
    world.happens("bug")
    world.pass_rounds(5)
    assert world.told("pager") == [Kind.EVENT]


def test_a_failover_is_one_message_also_when_the_process_starts_again_meanwhile(
    world: World,
) -> None:
    world.pass_rounds(1)
    for name in ("silent", "detected", "granted"):
        world.happens(name, "warning")
    world.happens("decided", "warning", "orders")
    world.pass_rounds(3)
    world.start()
    world.pass_rounds(3)
    assert Kind.FAILOVER not in world.told("admins")
    world.happens("started", "info", "orders")
    world.pass_rounds(3)
    world.start()
    world.step_s = 20.0
    world.pass_rounds(40)
    assert world.told("admins").count(Kind.FAILOVER) == 1


def test_what_comes_and_goes_is_told_as_that_also_by_a_process_that_starts_anew(
    world: World,
) -> None:
    world.status = situations.failed()
    world.pass_rounds(20)
    (begun,) = world.told("pager")
    for _ in range(5):
        world.status = situations.status()
        world.pass_rounds(20)
        world.start()
        world.status = situations.failed()
        world.pass_rounds(20)
    assert world.told("pager") == [begun, Kind.OVER, Kind.BEGIN]
    assert "it comes and goes: back once" in world.taken[-1].text
    book = world.board["book"]
    assert isinstance(book, dict)
    (number,) = (each["number"] for each in book["opens"])
    assert world.board["returns"] == [{"number": number, "returns": 5}]


def test_a_daemon_that_is_gone_is_told_and_that_it_is_back(world: World) -> None:
    world.status = situations.failed()
    world.pass_rounds(20)
    before = world.told("pager")
    world.down = True
    world.pass_rounds(2)
    assert world.told("pager") == before
    world.pass_rounds(10)
    assert world.told("pager") == [*before, Kind.BEGIN]
    assert "hapaird on node1 does not answer" in world.letters[-1][1].subject
    world.down = False
    world.pass_rounds(30)
    assert world.told("pager") == [*before, Kind.BEGIN, Kind.OVER]


def test_an_answer_keeps_reminders_away(world: World) -> None:
    world.status = situations.failed()
    world.pass_rounds(20)
    begun = len(world.told("admins"))
    world.orders = [{"id": 4, "order": "answer", "numbers": [99]}]
    world.pass_rounds(2)
    world.orders = [{"id": 5, "order": "answer", "numbers": [], "reason": "disk ordered"}]
    world.pass_rounds(2)
    first, second = world.done
    assert isinstance(first, dict)
    assert first["error"] == "there is no alert 99"
    assert isinstance(second, dict)
    assert second["id"] == 5
    world.clock.now_s += 10 * 3600
    world.pass_rounds(20)
    assert len(world.told("admins")) == begun


def test_a_test_goes_to_the_receivers_and_tells_what_came_of_it(world: World) -> None:
    world.outcomes["pager"] = "no battery"
    world.orders = [
        {"id": 1, "order": "test", "receiver": ""},
        {"id": 2, "order": "test", "receiver": "nobody"},
        {"id": 3, "order": "dance"},
    ]
    world.pass_rounds(3)
    assert world.told("admins") == world.told("pager") == [Kind.TEST]
    errors = {each["id"]: each.get("error") for each in world.done if isinstance(each, dict)}
    assert errors[2] == "there is no receiver nobody"
    assert "dance" in str(errors[3])
    (tested,) = (each for each in world.done if isinstance(each, dict) and each["id"] == 1)
    assert tested["receivers"] == [
        {"receiver": "admins", "error": ""},
        {"receiver": "pager", "error": "no battery"},
    ]


def test_the_board_fits_into_one_request_of_the_daemon(world: World) -> None:
    status = situations.failed()
    nodes = status["nodes"]
    assert isinstance(nodes, dict)
    nodes["node1"]["alarms"] = [
        {"name": "stuck", "text": "ü" * 3000, "application": f"app{n}"} for n in range(200)
    ]
    world.status = status
    world.pass_rounds(20)
    assert len(dump(world.board)) <= BOARD_BYTES_MAX
