"""clstat APP: one application alone, and all of it."""

import json
from pathlib import Path

import pytest

from hapair.config.built_json import dumps
from hapair.rpc.messages import ExitCode, JsonObject, Progress
from tests.cli import situations
from tests.cli.commands import given, started
from tests.cli.conftest import Golden
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.cli.situations import application, node, stand_by, status
from tests.cli.test_contract import BUILT
from tests.cli.test_looking import STAMP
from tests.cli.test_monitors import watched

ADDRESSES = [f"10.77.1.{number}/32" for number in range(50, 56)]


def two_applications() -> JsonObject:
    """Return a cluster in which orders is well and mail is stuck."""
    stuck = situations.stuck()["nodes"]
    assert isinstance(stuck, dict)
    (mail,) = stuck["node1"]["applications"]
    alarm = {"name": "stuck", "text": "it cannot be stopped here", "application": "mail"}
    calm = application(addresses=ADDRESSES)
    return status(
        node("node1", applications=[calm, {**mail, "name": "mail"}], alarms=[alarm]),
        node("node2", applications=[stand_by(), stand_by("mail")]),
    )


def happenings(daemon: FakeDaemon) -> None:
    daemon.happens("started", "layer program is up", "orders")
    daemon.happens("monitor", "port: failed: refused", "orders", "warning")
    daemon.happens("monitor", "port: failed: refused", "mail", "warning")


def test_one_application_is_shown_with_all_that_is_known_of_it(
    daemon: FakeDaemon, golden: Golden
) -> None:
    daemon.answer("status", watched())
    happenings(daemon)
    came = given("clstat", "orders")
    assert came.code == 5
    golden("clstat_orders.txt", STAMP.sub("2026-01-06 03:12:44", came.out))


def test_all_of_its_addresses_are_shown_and_nothing_of_others(daemon: FakeDaemon) -> None:
    daemon.answer("status", two_applications())
    happenings(daemon)
    came = given("clstat", "orders")
    assert came.code == ExitCode.DONE, "what needs a person is about mail"
    assert "10.77.1.55" in came.out
    assert "mail" not in came.out
    assert given("clstat", "mail").code == 5


def test_an_application_that_nobody_watches_and_that_never_failed_says_so(
    daemon: FakeDaemon,
) -> None:
    daemon.answer("status", status())
    out = given("clstat", "orders").out
    assert "MONITORS  it does not run: nobody watches it" in out
    assert "FAILURES  none of late" in out


def test_the_json_of_one_application_is_that_of_all_without_the_others(daemon: FakeDaemon) -> None:
    daemon.answer("status", two_applications())
    happenings(daemon)
    told = given("clstat", "orders", "--json").json
    assert (told["exit_code"], told["findings"]) == (0, [])
    nodes, history = told["nodes"], told["history"]
    assert isinstance(nodes, dict)
    assert isinstance(history, list)
    assert [[a["name"] for a in each["applications"]] for each in nodes.values()] == [
        ["orders"],
        ["orders"],
    ]
    assert [(each["application"], each["text"]) for each in history] == [
        ("orders", "port: failed: refused")
    ]


def test_a_peer_that_did_not_answer_stays_null(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.peer_lost())
    nodes = given("clstat", "orders", "--json").json["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["node2"] is None


@pytest.mark.parametrize("more", [(), ("--json",), ("--watch",), ("--watch", "--json")])
def test_an_unknown_application_is_one_error_that_names_the_known_ones(
    daemon: FakeDaemon, more: tuple[str, ...]
) -> None:
    def watch(talk: Talk) -> JsonObject:
        talk.send(Progress(status=two_applications()))
        talk.wait_until_gone()
        return {}

    daemon.answer("status", two_applications())
    daemon.scripts["watch"] = watch
    came = given("clstat", "order", *more)
    assert came.code == ExitCode.USAGE
    if more == ():
        assert "error: there is no application order\n" in came.err
        assert 'mend: did you mean "orders"? applications: mail, orders\n' in came.err
        assert came.out == ""


def test_one_application_can_be_watched(daemon: FakeDaemon) -> None:
    def watch(talk: Talk) -> JsonObject:
        talk.send(Progress(status=two_applications()))
        talk.wait_until_gone()
        return {}

    daemon.scripts["watch"] = watch
    with started("clstat", "orders", "--watch", "--json") as process:
        told = json.loads(process.line())
        process.interrupted()
    assert [each["name"] for each in told["nodes"]["node1"]["applications"]] == ["orders"]
    with started("clstat", "orders", "--watch") as process:
        assert process.line().startswith("APPLICATION orders")
        process.interrupted()


def test_without_the_daemon_the_files_tell_of_it_alone(root: Path) -> None:
    built = root / "etc/cluster/built/built.json"
    built.parent.mkdir(parents=True)
    built.write_bytes(dumps(BUILT))
    memory = root / "var/lib/hapair"
    memory.mkdir(parents=True)
    records = [{"application": name, "owner": "node1", "wanted": "up"} for name in ("orders", "x")]
    (memory / "state.json").write_text(json.dumps({"formed": True, "records": records}))
    came = given("clstat", "orders", "--json")
    assert came.code == ExitCode.NOT_NOW
    stored = came.json["stored"]
    assert isinstance(stored, dict)
    assert [each["application"] for each in stored["records"]] == ["orders"]
    came = given("clstat", "order")
    assert came.code == ExitCode.NOT_NOW, "the daemon that is down is what matters"
    assert "there is no application order; did you mean" in " ".join(came.out.split())


def test_why_needs_its_application(daemon: FakeDaemon) -> None:
    daemon.answer("status", status())
    came = given("clstat", "--why")
    assert came.code == ExitCode.USAGE
    assert "--why needs the application that it explains" in came.err
