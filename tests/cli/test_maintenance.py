"""clmaintain, and what clstat shows of it."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli.commands import given
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.situations import WALL_S, node, status


def told(of: str, left_s: float | None = None, reason: str = "") -> JsonObject:
    return {"of": of, "reason": reason, "since_wall_s": WALL_S, "left_s": left_s}


TWO = [told("application orders", 5400.0, "schema change"), told("node node2")]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (
            ("on", "orders", "--for", "2h", "--reason", "upgrade"),
            {
                "scope": "application",
                "name": "orders",
                "on": True,
                "for_s": 7200.0,
                "reason": "upgrade",
            },
        ),
        (
            ("on", "--node", "node2"),
            {"scope": "node", "name": "node2", "on": True, "for_s": 0.0, "reason": ""},
        ),
        (("off", "--cluster"), {"scope": "cluster", "name": "", "on": False}),
    ],
)
def test_it_is_asked_for_and_its_consequences_are_told(
    daemon: FakeDaemon, words: tuple[str, ...], asked: JsonObject
) -> None:
    daemon.answer("maintain", {"text": "so it is"})
    came = given("clmaintain", *words)
    assert came.code == ExitCode.DONE
    assert came.out.startswith("so it is\n")
    assert daemon.asked_for("maintain") == [asked]
    if words[0] == "on":
        assert f"clmaintain off {'orders' if 'orders' in words else '--node node2'}" in came.out
    shown = given("clmaintain", *words, "--json").json
    assert shown["changed"] is True
    assert shown["text"] == "so it is"


def test_a_plan_asks_for_nothing(daemon: FakeDaemon) -> None:
    came = given("clmaintain", "on", "orders", "--plan")
    assert came.code == ExitCode.DONE
    assert "is not started, restarted, moved" in came.out
    assert "nothing was changed" in came.out
    assert given("clmaintain", "on", "orders", "--plan", "--json").json["changed"] is False
    assert not daemon.requests


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("on",), "on needs to know of what"),
        (("off",), "off needs to know of what"),
        (("off", "orders", "--for", "2h"), "--for and --reason belong to on"),
        (("status", "--reason", "x"), "--for and --reason belong to on"),
        (("on", "orders", "--for", "0s"), "--for 0 is no time"),
        (("on", "orders", "--reason", "x" * 201), "longer than 200"),
        (("on", "orders", "--cluster"), "not allowed with"),
        (("orders",), "invalid choice"),
    ],
)
def test_wrong_words_are_refused(daemon: FakeDaemon, words: tuple[str, ...], error: str) -> None:
    came = given("clmaintain", *words)
    assert came.code == ExitCode.USAGE
    assert error in came.err
    assert not daemon.requests


def test_what_the_daemon_refuses_is_told(daemon: FakeDaemon) -> None:
    daemon.refuse("maintain", RpcError("there is no application x", "see: clstat"))
    assert given("clmaintain", "on", "x").code == ExitCode.REFUSED


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            (),
            ["application orders since 2026-01-06 03:12:44, 1 h 30 min left: schema", "node node2"],
        ),
        (("status", "--node", "node2"), ["node node2"]),
        (("status", "orders"), ["application orders"]),
        (("status", "--cluster"), ["nothing of that is in maintenance"]),
    ],
)
def test_what_is_in_maintenance_is_told(
    daemon: FakeDaemon, words: tuple[str, ...], shown: list[str]
) -> None:
    daemon.answer("status", status(node("node1", maintenance=TWO)))
    came = given("clmaintain", *words)
    assert came.code == ExitCode.DONE
    for text in shown:
        assert text in " ".join(came.out.split())
    assert "until it is taken off" in came.out or "node node2" not in shown
    objects = given("clmaintain", *words, "--json").json["maintenance"]
    assert isinstance(objects, list)
    assert len(objects) == sum("maintenance" not in text for text in shown)


def test_a_daemon_that_tells_nothing_of_it_has_none(daemon: FakeDaemon) -> None:
    daemon.answer("status", status())
    assert given("clmaintain").out == "nothing is in maintenance\n"


def test_clstat_shows_it(daemon: FakeDaemon) -> None:
    daemon.answer("status", status(node("node1", maintenance=TWO)))
    out = given("clstat").out
    assert "maintenance of application orders since" in out
    assert "running on node1, in maintenance, data UpToDate on both nodes" in " ".join(out.split())
