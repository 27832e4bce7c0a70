"""clalert against a scripted daemon."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli.commands import given
from tests.cli.conftest import Golden
from tests.cli.fake_daemon import FakeDaemon


def opened(number: int, **changed: object) -> JsonObject:
    cause = {"key": "k", "level": "alarm", "about": "orders", "text": "the disk is lost"}
    return {"cause": cause, "number": number, "since_s": 1e9, "told_by": "node1"} | changed


BOARD: JsonObject = {
    "book": {
        "opens": [
            opened(7),
            opened(8, told_by="", cause={"level": "warning", "about": "public", "text": "no link"}),
            opened(9, answer={"until_s": 2.0**52, "text": "disk ordered"}),
            opened(10, answer={"until_s": 1e9 + 3600}),
        ]
    },
    "returns": [{"number": 8, "returns": 1}, {"number": 10, "returns": 3}],
    "receivers": [
        {"receiver": "admins", "waiting": 0, "error": ""},
        {"receiver": "pager", "waiting": 2, "error": "no battery"},
        {"receiver": "chat", "given_up": 2, "given_up_s": 1e9, "why": "it answered 413"},
    ],
    "sent": [
        {"at_s": 1e9, "receiver": "admins", "subject": "[shop] alarm: orders", "error": ""},
        {"at_s": 1e9, "receiver": "pager", "subject": "[shop] alarm: orders", "error": "refused"},
    ],
}


def test_what_is_open_and_how_the_receivers_are(daemon: FakeDaemon, golden: Golden) -> None:
    daemon.answer("alerts", {"boards": {"here": BOARD, "there": None}})
    golden("clalert_list.txt", given("clalert").out)
    golden("clalert_history.txt", given("clalert", "history").out)
    assert given("clalert", "list", "--json").json == {"format": 1, "here": BOARD, "there": None}


def test_where_nothing_is_open_it_says_so(daemon: FakeDaemon) -> None:
    daemon.answer("alerts", {"boards": {"here": {}, "there": {}}})
    assert given("clalert").out == "nothing is open\n"
    assert given("clalert", "history").out == "this node has sent nothing\n"


def test_where_no_process_sends_it_says_what_to_do(daemon: FakeDaemon) -> None:
    daemon.answer("alerts", {"boards": {"here": None, "there": {}}})
    came = given("clalert")
    assert came.code == ExitCode.NOT_NOW
    assert "write <alerts> into clconf.xml" in came.err


def test_a_test_says_what_came_of_each_receiver(daemon: FakeDaemon) -> None:
    tried = [{"receiver": "admins", "error": ""}, {"receiver": "pager", "error": "no battery"}]
    daemon.answer("alerts-test", {"receivers": tried})
    came = given("clalert", "test")
    assert (came.code, came.out) == (ExitCode.REFUSED, "admins: taken\npager: no battery\n")
    daemon.answer("alerts-test", {"receivers": tried[:1]})
    assert given("clalert", "test", "admins").code == ExitCode.DONE
    assert daemon.asked_for("alerts-test")[-1] == {"receiver": "admins"}


def test_an_answer_says_how_many(daemon: FakeDaemon) -> None:
    daemon.answer("alerts-answer", {"answered": [7, 8]})
    came = given("clalert", "answer", "7", "8", "--for", "8h", "--reason", "disk ordered")
    assert came.out == "answered: 2 alert(s)\n"
    asked = {"numbers": [7, 8], "reason": "disk ordered", "for_s": 28800.0}
    assert daemon.asked_for("alerts-answer") == [asked]
    daemon.answer("alerts-answer", {"answered": []})
    assert given("clalert", "answer").out == "nothing is open\n"


def test_what_the_process_refuses_is_shown_with_its_mend(daemon: FakeDaemon) -> None:
    daemon.refuse("alerts-answer", RpcError("there is no alert 99", "list them with: clalert list"))
    came = given("clalert", "answer", "99")
    assert came.code == ExitCode.REFUSED
    assert "mend: list them with: clalert list" in came.err


@pytest.mark.parametrize(
    "words",
    [
        ("list", "7"), ("history", "admins"), ("test", "a", "b"), ("answer", "x"), ("dance",),
        ("list", "--for", "8h"), ("test", "--reason", "why"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    words: tuple[str, ...], daemon: FakeDaemon
) -> None:
    came = given("clalert", *words)
    assert came.code == ExitCode.USAGE
    assert daemon.requests == []
