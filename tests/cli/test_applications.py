"""clrunapp, clhaltapp, clmoveapp and clbuildapp against a scripted daemon."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli import situations
from tests.cli.commands import given, started
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.processes import PATIENCE_S

ORDERS = ("clrunapp", "clhaltapp", "clmoveapp")
VERBS = {"clrunapp": "run", "clhaltapp": "halt", "clmoveapp": "move"}


def moved(talk: Talk) -> JsonObject:
    talk.daemon.happens("move", "moves to node2: an operator asked", "orders")
    talk.progress("stopping on node1")
    talk.daemon.happens("stopped", "everything of it is down on this node", "orders")
    talk.daemon.happens("started", "layer program is up", "billing")
    talk.daemon.happens("started", "layer program is up", "orders")
    return {"text": "orders runs on node2"}


@pytest.mark.parametrize("command", ORDERS)
def test_it_waits_shows_the_steps_and_says_the_end(command: str, daemon: FakeDaemon) -> None:
    daemon.scripts[VERBS[command]] = moved
    came = given(command, "orders")
    assert came.code == ExitCode.DONE
    assert came.out.startswith("orders runs on node2 (")
    assert "stopped           orders: everything of it is down" in came.err
    assert "stopping on node1" in came.err
    assert "billing" not in came.err, "the history of other applications is not asked for"


@pytest.mark.parametrize("command", ORDERS)
def test_a_refusal_says_why_and_the_mend(command: str, daemon: FakeDaemon) -> None:
    daemon.refuse(VERBS[command], RpcError("the copy on node2 is not UpToDate", "wait for it"))
    came = given(command, "orders")
    assert came.code == ExitCode.REFUSED
    assert came.out == ""
    assert f"{command}: error: the copy on node2 is not UpToDate\n" in came.err
    assert came.err.endswith(f"{command}: mend: wait for it\n")


@pytest.mark.parametrize("command", ORDERS)
def test_as_json_it_tells_the_steps_too(command: str, daemon: FakeDaemon) -> None:
    daemon.scripts[VERBS[command]] = moved
    told = given(command, "orders", "--json").json
    history = told["history"]
    assert isinstance(history, list)
    assert [line["name"] for line in history] == ["move", "stopped", "started"]
    assert told["application"] == "orders"
    assert told["text"] == "orders runs on node2"


@pytest.mark.parametrize("command", ORDERS)
def test_a_refusal_as_json_is_json(command: str, daemon: FakeDaemon) -> None:
    daemon.refuse(VERBS[command], RpcError("no", "mend", exit_code=ExitCode.NOT_NOW))
    came = given(command, "orders", "--json")
    assert came.code == ExitCode.NOT_NOW
    assert came.json == {"error": "no", "mend": "mend", "problems": [], "exit_code": 3}


@pytest.mark.parametrize("command", ORDERS)
def test_without_waiting_it_returns_when_it_is_accepted(command: str, daemon: FakeDaemon) -> None:
    daemon.answer(VERBS[command], {"text": "orders runs on node1"})
    assert given(command, "orders", "--no-wait").out == "orders runs on node1\n"


@pytest.mark.parametrize("command", ORDERS)
def test_when_the_time_is_over_it_says_that_it_goes_on(command: str, daemon: FakeDaemon) -> None:
    def slow(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.scripts[VERBS[command]] = slow
    came = given(command, "orders", "--timeout", "100ms")
    assert came.code == ExitCode.UNFINISHED
    assert "the daemon may still be working on it" in came.err


@pytest.mark.parametrize("command", ORDERS)
@pytest.mark.usefixtures("root")
def test_without_a_daemon_it_says_how_to_start_it(command: str) -> None:
    came = given(command, "orders")
    assert came.code == ExitCode.NOT_NOW
    assert "mend: start it: systemctl start hapaird" in came.err


@pytest.mark.parametrize("command", ORDERS)
def test_a_ctrl_c_says_what_goes_on_and_how_to_undo_it(command: str, daemon: FakeDaemon) -> None:
    def slow(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.scripts[VERBS[command]] = slow
    with started(command, "orders") as process:
        assert daemon.asked.wait(PATIENCE_S)
        out, err = process.interrupted()
    assert process.returncode == ExitCode.INTERRUPTED
    assert out == ""
    assert "interrupted. The daemon goes on " in err
    assert "undo: cl" in err
    assert "Traceback" not in err


def test_the_node_is_told_to_the_daemon(daemon: FakeDaemon) -> None:
    daemon.answer("run", {"text": "orders runs on node2"})
    given("clrunapp", "orders", "--node", "node2")
    assert daemon.asked_for("run") == [{"application": "orders", "node": "node2"}]


def test_what_failed_is_forgotten_on_both_nodes_and_nothing_is_started(daemon: FakeDaemon) -> None:
    daemon.answer("clear", {"text": "what failed of orders is forgotten, on both nodes"})
    assert "forgotten, on both nodes" in given("clrunapp", "orders", "--clear").out
    assert daemon.asked_for("clear") == [{"application": "orders"}]
    assert daemon.asked_for("run") == []
    came = given("clrunapp", "orders", "--clear", "--node", "node2")
    assert came.code == ExitCode.USAGE
    assert "on both nodes" in came.err


@pytest.mark.parametrize("command", ORDERS)
@pytest.mark.usefixtures("root")
def test_an_application_must_be_named(command: str) -> None:
    came = given(command)
    assert came.code == ExitCode.USAGE
    assert "required: APP" in came.err


@pytest.mark.parametrize(
    "words", [(), ("--release",), ("orders", "--abandon"), ("--abandon", "--release")]
)
@pytest.mark.usefixtures("root")
def test_either_an_application_is_built_or_a_build_is_abandoned(words: tuple[str, ...]) -> None:
    assert given("clbuildapp", *words).code == ExitCode.USAGE


def test_abandoning_says_what_is_as_before_what_stays_and_where_the_note_is(
    daemon: FakeDaemon,
) -> None:
    left: JsonObject = {
        "steps": ["node1: mount the file system natively x.data"],
        "told": ["node2: vg_x/data stays: it may be the only copy"],
        "aside": "/var/lib/hapair/job.json.aside_1",
    }
    daemon.answer("abandon", left)
    out = given("clbuildapp", "--abandon").out
    assert out == (
        "  1. node1: mount the file system natively x.data\n"
        "stays: node2: vg_x/data stays: it may be the only copy\n"
        "the note was set aside: /var/lib/hapair/job.json.aside_1\n"
        "all of this is as it was before\n"
    )
    assert "nothing was changed" in given("clbuildapp", "--abandon", "--plan").out
    daemon.answer("abandon", {**left, "told": [], "released": ["x", "y"]})
    assert given("clbuildapp", "--abandon").out.endswith("out of the cluster: x, y\n")
    daemon.answer("abandon", {"steps": [], "told": ["x is built"], "aside": ""})
    assert given("clbuildapp", "--abandon").out == "stays: x is built\n"
    typed = [each["plan"] for each in daemon.asked_for("abandon")]
    assert typed == [False, True, False, False]
    daemon.answer("abandon", {"steps": [], "told": [], "aside": ""})
    assert "no unfinished build" in given("clbuildapp", "--abandon").out
    assert given("clbuildapp", "--abandon", "--json").json["steps"] == []


LEFT: JsonObject = {
    "application": "orders",
    "steps": ["node1: stop the application", "node1: mount the file system natively orders.data"],
    "told": [
        "node2: vg_orders/data keeps the former copy, which nothing mounts",
        "node1: start its program again, as without the cluster: systemctl start orders.service",
    ],
    "start_again": "systemctl start orders.service",
    "changed": True,
}
LAST_WORDS = (
    "  node2: vg_orders/data keeps the former copy, which nothing mounts\n"
    "  node1: start its program again, as without the cluster: systemctl start orders.service\n"
)


def test_a_release_says_what_is_left_of_it(daemon: FakeDaemon) -> None:
    daemon.answer("release", LEFT)
    assert given("clbuildapp", "--release", "orders").out == (
        f"orders is out of the cluster (2 steps)\n{LAST_WORDS}"
    )
    assert given("clbuildapp", "--release", "orders", "--plan").out == (
        "  1. node1: stop the application\n"
        "  2. node1: mount the file system natively orders.data\n"
        f"afterwards:\n{LAST_WORDS}"
        "nothing was changed; without --plan this is done\n"
    )
    asked = [{"application": "orders", "plan": False}, {"application": "orders", "plan": True}]
    assert daemon.asked_for("release") == asked
    said = given("clbuildapp", "--release", "orders", "--json").json
    assert said["changed"]
    assert said["start_again"] == "systemctl start orders.service"
    daemon.answer("release", {"application": "orders", "steps": [], "told": [], "changed": False})
    came = given("clbuildapp", "orders", "--release")
    assert came.out == "orders is not built: there is nothing to release\n"
    assert came.code == ExitCode.DONE


STEPS: JsonObject = {
    "application": "orders",
    "summary": ["/srv/orders is put under replication"],
    "steps": ["make a volume for DRBD's records", "mount it over DRBD"],
    "warnings": ["appconf.xml:3: warning: <limits>: short. Mend: longer"],
    "changed": True,
    "volumes": [{"resource": "orders.data"}],
}


def test_a_plan_is_printed_step_by_step(daemon: FakeDaemon) -> None:
    daemon.answer("buildapp", STEPS)
    came = given("clbuildapp", "orders", "--plan")
    assert came.out == (
        "warning: appconf.xml:3: warning: <limits>: short. Mend: longer\n"
        "/srv/orders is put under replication\n"
        "  1. make a volume for DRBD's records\n"
        "  2. mount it over DRBD\n"
        "nothing was changed; without --plan this is done\n"
    )
    assert daemon.asked_for("buildapp") == [{"application": "orders", "plan": True}]


def test_building_shows_how_far_it_is(daemon: FakeDaemon) -> None:
    def build(talk: Talk) -> JsonObject:
        talk.progress("copying", 30, 120)
        return STEPS

    daemon.scripts["buildapp"] = build
    came = given("clbuildapp", "orders")
    assert "orders is built (2 steps)\n" in came.out
    assert "copied to the other node in the background" in came.out
    assert "copying: 25 %" in came.err
    assert given("clbuildapp", "orders", "--json").json["changed"] is True


def test_building_again_does_nothing(daemon: FakeDaemon) -> None:
    daemon.answer("buildapp", {**STEPS, "steps": [], "summary": [], "warnings": []})
    out = given("clbuildapp", "orders").out
    assert out == "orders is what its appconf.xml says: there is nothing to do\n"


def test_problems_of_a_file_are_listed_all_at_once(daemon: FakeDaemon) -> None:
    problem: JsonObject = {
        "where": "appconf.xml:3", "field": "<address>", "what": "no address", "mend": "write one",
    }  # fmt: skip
    daemon.refuse(
        "buildapp",
        RpcError("appconf.xml has errors", exit_code=ExitCode.USAGE, problems=(problem, problem)),
    )
    came = given("clbuildapp", "orders")
    assert came.code == ExitCode.USAGE
    assert came.err.count("appconf.xml:3: <address>: no address. Mend: write one") == 2


def test_an_interrupted_build_closes_the_connection_and_is_rolled_back(daemon: FakeDaemon) -> None:
    def slow(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.scripts["buildapp"] = slow
    with started("clbuildapp", "orders") as process:
        assert daemon.asked.wait(PATIENCE_S)
        _, err = process.interrupted()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "puts back what had been done" in err
    assert daemon.gone.wait(PATIENCE_S)


def test_the_healthy_status_is_no_order(daemon: FakeDaemon) -> None:
    """A command for one application asks for nothing but that."""
    daemon.answer("status", situations.status())
    daemon.answer("halt", {"text": "orders is halted"})
    given("clhaltapp", "orders")
    assert {request.verb for request in daemon.requests} == {"halt", "events"}
