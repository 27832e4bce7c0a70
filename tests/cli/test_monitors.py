"""lemsctl, and the monitors on the pages of clstat."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli.commands import given
from tests.cli.conftest import Golden
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.situations import WALL_S, application, node, status


def monitor(name: str, state: str = "good", **more: object) -> JsonObject:
    return {
        "name": name,
        "kind": "tcp",
        "state": state,
        "text": "",
        "since_s": 7200.0,
        "checks": 720,
        "failures": 2,
        "last_s": 0.01,
        "interval_s": 10.0,
        "origin": "appconf.xml",
        "changed": "",
        "halted_wall_s": None,
        "perf": {},
        **more,
    }


MONITORS = [
    monitor("filesystem", kind="filesystem", origin="always there"),
    monitor("port", "failed", text="127.0.0.1:5432 refuses", since_s=12.0),
    monitor("space", "warning", text="91 % in use", kind="check", perf={"used": "91%"}),
    monitor("page", "halted", changed="halted", halted_wall_s=WALL_S - 7500, origin="lemsctl"),
]
ANSWER: JsonObject = {
    "application": "orders",
    "node": "node1",
    "watched": True,
    "why": "",
    "restarts": 3,
    "period_s": 600.0,
    "monitors": MONITORS,
    "changed": ["halted page", "removed deep"],
    "history": [
        {"wall_s": WALL_S, "monitor": "port", "state": "failed", "text": "refused"},
        {"wall_s": WALL_S + 2, "monitor": "port", "state": "good", "text": ""},
    ],
}


@pytest.mark.parametrize("do", ["status", "list", "history"])
def test_what_is_watched_is_shown(daemon: FakeDaemon, golden: Golden, do: str) -> None:
    daemon.answer("monitors", ANSWER)
    came = given("lemsctl", "orders", do)
    assert came.code == ExitCode.DONE
    golden(f"lemsctl-{do}.txt", came.out)
    assert daemon.asked_for("monitors") == [{"application": "orders"}]
    if do == "status":
        assert given("lemsctl", "orders").out == came.out


def test_json_is_what_the_daemon_says(daemon: FakeDaemon) -> None:
    daemon.answer("monitors", ANSWER)
    assert given("lemsctl", "orders", "--json").json == {"format": 1, **ANSWER}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"watched": False}, "not watched on node1: it does not run there"),
        ({"why": "no Lems"}, "nobody watches it on node1: no Lems"),
        ({"restarts": 0}, "when it fails: it moves at once"),
    ],
)
def test_who_watches_is_told(daemon: FakeDaemon, changed: JsonObject, text: str) -> None:
    daemon.answer("monitors", ANSWER | changed)
    assert text in " ".join(given("lemsctl", "orders").out.split())


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("halt", "port"), {"do": "halt", "monitor": "port"}),
        (("resume", "port"), {"do": "resume", "monitor": "port"}),
        (("remove", "port"), {"do": "remove", "monitor": "port"}),
        (
            ("add", "http", "url=http://h/?a=b", "interval=5s"),
            {"do": "add", "kind": "http", "keys": {"url": "http://h/?a=b", "interval": "5s"}},
        ),
    ],
)
def test_a_change_is_asked_for_and_told(
    daemon: FakeDaemon, words: tuple[str, ...], asked: JsonObject
) -> None:
    daemon.answer("monitor-change", {"application": "orders", "text": "done", "changed": ["x y"]})
    came = given("lemsctl", "orders", *words)
    assert came.code == ExitCode.DONE
    assert came.out.splitlines()[:2] == ["done", "differs from appconf.xml: x y"]
    assert daemon.asked_for("monitor-change") == [{"application": "orders", **asked}]
    assert given("lemsctl", "orders", *words, "--json").json["text"] == "done"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("halt",), "halt needs the name of one monitor"),
        (("check", "a", "b"), "check needs the name of one monitor"),
        (("add",), "add needs the kind of the monitor"),
        (("add", "tcp", "5432"), "'5432' is no key=value"),
        (("add", "tcp", "port=1", "port=2"), "port is written twice"),
        (("list", "port"), "list takes no more words"),
        (("dance",), "invalid choice: 'dance'"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_asked(
    daemon: FakeDaemon, words: tuple[str, ...], error: str
) -> None:
    came = given("lemsctl", "orders", *words)
    assert came.code == ExitCode.USAGE
    assert error in came.err
    assert "mend" in came.err
    assert not daemon.requests


def test_what_the_daemon_refuses_is_told(daemon: FakeDaemon) -> None:
    error = RpcError("orders has no monitor x", "its monitors: a", exit_code=ExitCode.USAGE)
    daemon.refuse("monitor-change", error)
    came = given("lemsctl", "orders", "halt", "x")
    assert came.code == ExitCode.USAGE
    assert "its monitors: a" in came.err


@pytest.mark.parametrize(
    ("state", "code"),
    [("good", ExitCode.DONE), ("warning", ExitCode.DONE), ("failed", ExitCode.REFUSED)],
)
def test_a_check_tells_by_its_exit_code(daemon: FakeDaemon, state: str, code: ExitCode) -> None:
    answer: JsonObject = {"application": "orders", "node": "node2", "state": state, "text": "so"}
    daemon.answer("monitor-check", answer)
    came = given("lemsctl", "orders", "check", "port")
    assert came.code == code
    assert came.out == f"port of orders on node2: {state}: so\n"
    assert given("lemsctl", "orders", "check", "port", "--json").json["state"] == state


def watched() -> JsonObject:
    return status(
        node(
            "node1",
            applications=[
                application(
                    monitors=MONITORS,
                    changed=["halted page"],
                    watched={"run": 2, "why": "", "answers": True, "restarts": 3},
                    failures=[{"node": "node1", "count": 1, "wall_s": WALL_S, "runs": 1}],
                )
            ],
        )
    )


def test_clstat_tells_who_fails_warns_or_was_halted_for_long(
    daemon: FakeDaemon, golden: Golden
) -> None:
    daemon.answer("status", watched())
    came = given("clstat")
    assert came.code == 5
    golden("monitors.txt", "\n".join(came.out.splitlines()[1:]) + "\n")


def test_what_an_alarm_tells_is_not_told_twice(daemon: FakeDaemon) -> None:
    told = watched()
    nodes = told["nodes"]
    assert isinstance(nodes, dict)
    alarm = {"name": "monitor-failed", "text": "port failed", "application": "orders"}
    nodes["node1"]["alarms"] = [alarm]
    daemon.answer("status", told)
    out = given("clstat").out
    assert "port failed for" not in out.partition("NETWORKS")[0]


def test_an_application_that_does_not_answer_yet_says_what_it_waits_for(
    daemon: FakeDaemon,
) -> None:
    waiting = [monitor("port", "waiting", text="refused"), monitor("filesystem")]
    watch = {"run": 2, "why": "", "answers": False, "restarts": 3}
    daemon.answer(
        "status",
        status(node("node1", applications=[application(monitors=waiting, watched=watch)])),
    )
    assert "not yet since its start; waits for port (refused)" in given("clstat").out


def test_why_tells_the_monitors_and_the_restarts_that_are_left(daemon: FakeDaemon) -> None:
    daemon.answer("status", watched())
    daemon.answer("why", {"application": "orders", "nodes": [{"node": "node1", "reasons": []}]})
    out = given("clstat", "--why", "orders").out
    assert "1 failed, 1 good, 1 halted, 1 warning; 2 of 3 restarts here are left" in out
    assert "port failed for 12 s: 127.0.0.1:5432 refuses" in out
    assert "halted page: differs from appconf.xml" in out
