"""The whole process by a clock of the test: what it tells whom, also when everything goes wrong."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.files import FileStorage
from hapair.alerts.fit import BARE
from hapair.alerts.memory import FILE
from hapair.alerts.process import BOARD_BYTES_MAX, Process
from hapair.alerts.returns import REMEMBERED_S
from hapair.model.alerts import Alerts, Kind, Letter, Level, Message, Method, Receiver
from hapair.model.built import Built
from hapair.model.timeline import Happening
from hapair.rpc.history import happening_object
from hapair.rpc.messages import DaemonDown, JsonObject, dump
from tests.cli import situations
from tests.config.reference import BUILT

ADMINS: Final = Receiver("admins", Method.MAIL, "root")
PAGER: Final = Receiver("pager", Method.HOOK, "/bin/pager", least=Level.ALARM)
CONFIGURED: Final = replace(BUILT, cluster=replace(BUILT.cluster, alerts=Alerts((ADMINS, PAGER))))


@dataclass
class Clock:
    now_s: float = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return 1e9 + self.now_s


@dataclass
class Carried:
    answer: str | None
    refused: bool = False

    def outcome(self) -> str | None:
        return self.answer


@dataclass
class World:
    """A daemon that answers what the test says, and receivers that take it or not."""

    storage: FileStorage
    name: str = "node1"
    clock: Clock = field(default_factory=Clock)
    status: JsonObject = field(default_factory=situations.status)
    lines: list[Happening] = field(default_factory=list)
    orders: list[object] = field(default_factory=list)
    there: object = None
    down: bool = False
    step_s: float = 1.0  # Of a round.
    outcomes: dict[str, str | None] = field(default_factory=dict)
    refuses: Callable[[Letter], bool] = lambda _: False  # For good, as pager does.
    letters: list[tuple[str, Letter]] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)  # By pager.
    done: list[object] = field(default_factory=list)
    given_up: list[object] = field(default_factory=list)
    board: JsonObject = field(default_factory=dict)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.process = Process(
            lambda: CONFIGURED,
            self._ask,
            self.storage,
            self.clock,
            self._begin,
            self.name,
            lambda _: None,
        )

    def _ask(self, verb: str, args: JsonObject, timeout_s: float) -> JsonObject:
        assert (verb, timeout_s > 0) == ("alerts-round", True)
        if self.down:
            self.clock.now_s += timeout_s
            raise DaemonDown("it does not answer", "start it")
        since, done, board = args["since"], args["done"], args["board"]
        assert isinstance(since, int)
        assert isinstance(done, list)
        assert isinstance(board, dict)
        self.done += done
        given_up = args["given_up"]
        assert isinstance(given_up, list)
        self.given_up += given_up
        self.board = board
        self.clock.now_s += self.step_s
        fresh = [each for each in self.lines if each.number > since >= 0]
        newest = max((each.number for each in self.lines), default=0)
        orders, self.orders = self.orders, []
        return {
            "node": self.name,
            "status": self.status,
            "events": [happening_object(each) for each in fresh],
            "newest": newest,
            "peer": self.there,
            "orders": orders,
        }

    def _begin(self, receiver: Receiver, letter: Letter) -> Carried:
        self.letters.append((receiver.name, letter))
        if receiver == PAGER and self.refuses(letter):
            return Carried("413 too large", refused=True)
        self.taken += letter.messages if receiver == PAGER else ()
        return Carried(self.outcomes.get(receiver.name, ""))

    def pass_rounds(self, count: int, built: Built = CONFIGURED) -> None:
        for _ in range(count):
            self.process.round(built)

    def happens(self, name: str, severity: str = "alarm", application: str = "") -> None:
        number = len(self.lines) + 1
        self.lines.append(
            Happening(
                number, self.clock.wall_s(), self.clock.now_s, "node1", name, f"{name} {number}",
                application, severity,
            )
        )  # fmt: skip

    def receivers(self) -> dict[object, JsonObject]:
        """Return how the receivers are, as the process says it."""
        listed = self.board["receivers"]
        assert isinstance(listed, list)
        return {each["receiver"]: each for each in listed}

    def told(self, receiver: str) -> list[Kind]:
        messages = (m for name, letter in self.letters if name == receiver for m in letter.messages)
        return [message.kind for message in messages]


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
