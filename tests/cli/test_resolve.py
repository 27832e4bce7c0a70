"""clresolve against a scripted daemon."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli import situations
from tests.cli.commands import given, started
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.cli.situations import WALL_S, application, node, stand_by, volume

STEPS = ["node2: keep a snapshot of orders.data as it is now", "and so on"]


def side(name: str, *, uses: bool, **changed: object) -> JsonObject:
    return {
        "node": name,
        "standing": "together",
        "holds_right": uses,
        "phase": "running" if uses else "stopped",
        "uses": uses,
        "wall_s": WALL_S,
        "volumes": [
            {
                "resource": "orders.data",
                "role": "Primary" if uses else "Secondary",
                "disk": "UpToDate",
                "connection": "StandAlone",
                "written_bytes": 3 * 1024**2 if uses else 4096,
                "mounted": uses,
                "apart_since_wall_s": WALL_S - 7260,
                "kept": [],
                **changed,
            }
        ],
    }


def files(name: str, *paths: str, why: str = "") -> JsonObject:
    changed = [{"path": path, "size_bytes": 42, "changed_wall_s": WALL_S - 60} for path in paths]
    return {"node": name, "resource": "orders.data", "why": why, "changed": changed}


def looked(**changed: object) -> JsonObject:
    return {
        "application": "orders",
        "split": True,
        "why": "",
        "owner": "node1",
        "volumes": [
            {
                "resource": "orders.data",
                "rule": "diverged",
                "because": "both copies were written while apart",
                "split": True,
            }
        ],
        "sides": [side("node1", uses=True), side("node2", uses=False)],
        "victim": "node2",
        "because": "the other side runs it",
        "possible": ["node2"],
        "files": [files("node1", "lines.txt"), files("node2")],
        **changed,
    }


def apart() -> JsonObject:
    there = volume(primary=False, connection="StandAlone")
    return situations.status(
        node("node1", applications=[application(volumes=[volume(connection="StandAlone")])]),
        node("node2", applications=[stand_by(volumes=[there])]),
    )


def resolved(_: Talk) -> JsonObject:
    return {
        "application": "orders",
        "victim": "node2",
        "steps": STEPS,
        "snapshots": ["vg_orders/data_split_20260106_031244"],
        "volumes": ["orders.data"],
        "done": True,
    }


def split_brain(daemon: FakeDaemon, **changed: object) -> None:
    """Let the daemon know a split brain, and be UpToDate again once it was resolved."""
    daemon.answer("split-look", looked(**changed))
    daemon.scripts["split-resolve"] = resolved
    daemon.scripts["status"] = lambda talk: (
        situations.status() if talk.daemon.asked_for("split-resolve") else apart()
    )


def test_both_sides_are_shown_and_the_kept_snapshot_is_named(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    came = given("clresolve", "orders", "--victim", "node2")
    assert came.code == ExitCode.DONE
    assert [line for line in came.err.splitlines() if len(line) > 80] == []
    text = " ".join(came.err.split())
    assert "node1: runs it (running), together, holds the right to act alone" in text
    assert "apart for 2 h 1 min (since 2026-01-06 01:11:44), wrote 3.0 MiB alone" in text
    assert "2026-01-06 03:11:44 42 B lines.txt" in text
    assert "files of orders.data on node2: none changed since they are apart" in text
    assert "PROPOSAL node2 gives up what only it wrote: the other side runs it" in text
    assert "orders: both copies are connected and UpToDate again" in came.out
    assert "mount -o ro,noload /dev/vg_orders/data_split_20260106_031244 /mnt" in came.out
    assert "lvremove vg_orders/data_split_20260106_031244" in came.out
    (args,) = daemon.asked_for("split-resolve")
    assert args == {"application": "orders", "victim": "node2", "snapshot": True, "plan": False}


def test_without_a_name_it_takes_the_application_that_needs_it(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    assert given("clresolve", "--victim", "node2", "--no-files").code == ExitCode.DONE
    assert daemon.asked_for("split-look") == [{"application": "orders", "files": False}]


def test_a_healthy_cluster_has_nothing_to_resolve(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    came = given("clresolve")
    assert came.code == ExitCode.REFUSED
    assert "no copies refuse each other" in came.err


def test_an_application_that_tries_once_more_to_connect_is_taken_too(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    trying = application("orders", volumes=[volume(connection="Connecting")])
    daemon.answer("status", situations.status(node("node1", applications=[trying])))
    assert given("clresolve", "--plan", "--no-files").code == ExitCode.DONE
    assert daemon.asked_for("split-look") == [{"application": "orders", "files": False}]


def test_of_several_one_must_be_named(daemon: FakeDaemon) -> None:
    both = [application(n, volumes=[volume(connection="StandAlone")]) for n in ("one", "two")]
    daemon.answer("status", situations.status(node("node1", applications=both)))
    came = given("clresolve")
    assert came.code == ExitCode.USAGE
    assert "name one: clresolve one" in came.err


def test_what_is_no_split_brain_is_refused_with_the_reason(daemon: FakeDaemon) -> None:
    split_brain(daemon, split=False, why="orders.data: the two copies are connected")
    came = given("clresolve", "orders", "--victim", "node2")
    assert came.code == ExitCode.REFUSED
    assert "the two copies are connected" in came.err
    assert daemon.asked_for("split-resolve") == []


@pytest.mark.parametrize("typed", ["node1", "NODE2", "", "yes"])
def test_only_the_name_of_a_possible_victim_is_a_decision(typed: str, daemon: FakeDaemon) -> None:
    split_brain(daemon)
    came = given("clresolve", "orders", "--victim", typed)
    assert came.code == ExitCode.USAGE
    assert "type exactly: node2" in came.err
    assert daemon.asked_for("split-resolve") == []


def test_without_a_terminal_nothing_is_decided(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    with started("clresolve", "orders") as process:
        _, err = process.ended()
    assert process.returncode == ExitCode.USAGE
    assert "clresolve --victim node2" in err
    assert daemon.asked_for("split-resolve") == []


def test_while_both_sides_run_nobody_is_asked(daemon: FakeDaemon) -> None:
    because = "both nodes use their copy: stop the application on one of them first"
    split_brain(daemon, victim="", because=because, possible=[])
    came = given("clresolve", "orders")
    assert came.code == ExitCode.REFUSED
    assert because in came.err


def test_a_plan_shows_the_steps_and_changes_nothing(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    daemon.answer("split-resolve", {"application": "orders", "steps": STEPS, "done": False})
    came = given("clresolve", "orders", "--plan")
    assert came.code == ExitCode.DONE
    assert "SPLIT BRAIN of orders" in came.out
    assert "  1. node2: keep a snapshot of orders.data" in came.out
    assert "nothing was changed" in came.out
    (args,) = daemon.asked_for("split-resolve")
    assert args["plan"] is True


def test_a_plan_as_json_has_sides_and_steps(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    daemon.answer("split-resolve", {"application": "orders", "steps": STEPS, "done": False})
    told = given("clresolve", "orders", "--plan", "--json").json
    assert told["steps"] == STEPS
    assert told["victim"] == "node2"


def test_a_plan_without_a_victim_has_no_steps(daemon: FakeDaemon) -> None:
    split_brain(daemon, victim="", because="no node runs or owns it", possible=["node1", "node2"])
    assert given("clresolve", "orders", "--plan").code == ExitCode.DONE
    assert daemon.asked_for("split-resolve") == []


def test_the_result_as_json_names_the_snapshot(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    told = given("clresolve", "orders", "--victim", "node2", "--json").json
    assert told["snapshots"] == ["vg_orders/data_split_20260106_031244"]
    assert told["synchronised"] is True


def test_one_need_not_wait_for_the_resync(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    came = given("clresolve", "orders", "--victim", "node2", "--no-wait")
    assert came.code == ExitCode.DONE
    assert "clstat shows how far the resync is" in came.out


def test_a_resync_that_takes_longer_goes_on(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    daemon.answer("status", situations.resync())
    came = given("clresolve", "orders", "--victim", "node2", "--timeout", "100ms")
    assert came.code == ExitCode.UNFINISHED
    assert "orders.data: 43 % done" in came.err


def test_a_refusal_of_the_daemon_is_told(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    daemon.refuse("split-resolve", RpcError("vg_orders has no room", "make room (vgs)"))
    came = given("clresolve", "orders", "--victim", "node2")
    assert came.code == ExitCode.REFUSED
    assert "make room" in came.err


def test_a_side_that_tells_little_is_shown_as_unknown(daemon: FakeDaemon) -> None:
    nothing = {"role": "", "disk": "", "connection": "", "written_bytes": None,
               "apart_since_wall_s": None, "kept": ["vg_orders/data_before_resync"]}  # fmt: skip
    split_brain(
        daemon,
        sides=[side("node1", uses=True), side("node2", uses=False, **nothing)],
        files=[files("node2", why="no room")],
    )
    came = given("clresolve", "orders", "--victim", "node2")
    text = " ".join(came.err.split())
    assert "not up apart since an unknown time, written: unknown; kept: vg_orders/data" in text
    assert "files of orders.data on node2: not compared: no room" in text
