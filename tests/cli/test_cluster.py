"""clform, clhalt, clstartup and clconfirm against a scripted daemon."""

import json
import threading
from pathlib import Path

import pytest

from hapair.cli import clform
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli import situations
from tests.cli.commands import given, started
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.processes import PATIENCE_S


def build_something(root: Path) -> None:
    built = root / "etc/cluster/built/built.json"
    built.parent.mkdir(parents=True)
    built.write_text("{}")


def test_forming_tells_what_runs_where(daemon: FakeDaemon) -> None:
    daemon.answer("form", {"text": "node1 and node2 are together"})
    daemon.answer("status", situations.status())
    came = given("clform")
    assert came.code == ExitCode.DONE
    assert came.out == (
        "cluster shop is formed: node1 and node2 act together\n  orders  running on node1\n"
    )
    assert daemon.asked_for("form") == [
        {
            "start": "command",
            "timeout_s": 60.0,
            "allow_single_node": False,
            "join_existing_cluster": True,
            "autostart": True,
            "node": "both",
        }
    ]


def test_forming_waits_until_applications_have_started(daemon: FakeDaemon) -> None:
    phases = iter(["starting", "starting"])

    def status(_: Talk) -> JsonObject:
        phase = next(phases, "running")
        return situations.formed(phase=phase)

    daemon.answer("form", {"text": "formed"})
    daemon.scripts["status"] = status
    came = given("clform")
    assert "orders  running on node1" in came.out
    assert "starting orders" in came.err


def test_a_node_that_loses_its_peer_for_a_moment_is_waited_for(daemon: FakeDaemon) -> None:
    seen = iter([situations.cut(), situations.cut()])
    daemon.answer("form", {"text": "formed"})
    daemon.scripts["status"] = lambda _: next(seen, situations.status())
    came = given("clform")
    assert came.code == ExitCode.DONE
    assert came.out.startswith("cluster shop is formed: node1 and node2 act together\n")


def test_a_node_that_stays_cut_is_no_success(
    daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clform, "BECOMES_S", 0.5)
    daemon.answer("form", {"text": "formed"})
    daemon.answer("status", situations.status(situations.node("node1", standing="cut")))
    came = given("clform")
    assert came.code == ExitCode.UNFINISHED
    assert came.out == ""
    assert "this node is cut again" in came.err


def test_an_application_that_cannot_start_does_not_hold_it_up(daemon: FakeDaemon) -> None:
    daemon.answer("form", {"text": "formed"})
    daemon.answer("status", situations.failed())
    came = given("clform")
    assert came.code == ExitCode.DONE
    assert "orders  stopped" in came.out


def test_a_peer_that_does_not_come_is_told_with_the_mend(daemon: FakeDaemon) -> None:
    text = "the peer did not answer in time; start the peer, or type: clform --alone"
    daemon.refuse("form", RpcError(text))
    came = given("clform", "--timeout", "5s")
    assert came.code == ExitCode.REFUSED
    assert "clform --alone" in came.err
    assert daemon.asked_for("form")[0]["timeout_s"] == 5.0


def test_alone_is_asked_of_this_node_only(daemon: FakeDaemon) -> None:
    daemon.answer("form", {"text": "formed"})
    daemon.answer("status", situations.peer_lost())
    came = given("clform", "--alone", "--json")
    assert came.json == {
        "format": 1,
        "standing": "alone",
        "applications": {"orders": "running on node1"},
        "settled": True,
    }
    asked = daemon.asked_for("form")[0]
    assert (asked["allow_single_node"], asked["node"], asked["timeout_s"]) == (True, "local", 15.0)


@pytest.mark.parametrize(("word", "node"), [("local", "node1"), ("node2", "node2")])
def test_one_node_can_be_named(word: str, node: str, daemon: FakeDaemon) -> None:
    daemon.answer("form", {"text": "formed"})
    daemon.answer("status", situations.status())
    given("clform", "--node", word)
    assert daemon.asked_for("form")[0]["node"] == node


@pytest.mark.parametrize("command", ["clform", "clhalt"])
def test_a_stranger_is_refused(command: str, daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    came = given(command, "--node", "node9")
    assert came.code == ExitCode.USAGE
    assert "there is no node node9 in cluster shop" in came.err
    assert "the nodes are node1 and node2" in came.err


def leaving_in_order(daemon: FakeDaemon) -> list[str]:
    """Script a cluster whose local node leaves only after its peer; return what happened."""
    order: list[str] = []
    told, peer_left = threading.Event(), threading.Event()

    def status(_: Talk) -> JsonObject:
        standing = "leaving" if told.is_set() else "together"
        return situations.status(situations.node("node1", standing=standing))

    def leave(talk: Talk) -> JsonObject:
        node = str(talk.args["node"])
        order.append(f"{node} told")
        if node == "node1":
            told.set()
            assert peer_left.wait(PATIENCE_S)
        else:
            peer_left.set()
        order.append(f"{node} left")
        return {"text": f"{node} is halted"}

    daemon.scripts.update({"status": status, "leave": leave})
    return order


def leaving(
    node: str, *, last: bool = False, force: bool = False, handover: bool = False
) -> dict[str, object]:
    return {"node": node, "handover": handover, "last": last, "force": force}


def handing_over(*, shutdown: bool = False) -> dict[str, object]:
    return {**leaving("node1", handover=True, force=shutdown), "shutdown": shutdown}


def test_a_halt_of_the_cluster_lets_neither_node_take_over(daemon: FakeDaemon) -> None:
    order = leaving_in_order(daemon)
    came = given("clhalt")
    assert came.code == ExitCode.DONE
    assert came.out == "cluster shop is halted\n"
    assert order == ["node1 told", "node2 told", "node2 left", "node1 left"]
    asked = {str(args["node"]): args for args in daemon.asked_for("leave")}
    assert asked["node1"] == leaving("node1", last=True, force=True)
    assert asked["node2"] == leaving("node2", force=True)
    assert len(daemon.asked_for("may-stop")) == 1


def test_a_halt_without_a_peer_halts_this_node(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.peer_lost())
    daemon.answer("leave", {"text": "node1 is halted"})
    came = given("clhalt")
    assert came.out == "cluster shop is halted; node2 was not part of it\n"
    assert daemon.asked_for("leave") == [leaving("node1", force=True)]


def test_a_halt_of_what_is_held_stops_nothing_on_either_node(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    held = {"where": "node2", "field": "orders.data", "what": "the mount on /export holds it"}
    problems = [{**held, "mend": "umount /export"}]
    answer: JsonObject = {
        "error": "it cannot be stopped", "mend": "--force", "problems": problems
    }  # fmt: skip
    daemon.answer("may-stop", answer)
    came = given("clhalt")
    assert came.code == ExitCode.REFUSED
    assert "  node2: orders.data: the mount on /export holds it. Mend: umount /export" in came.err
    assert json.loads(given("clhalt", "--json").out)["problems"] == problems
    assert daemon.asked_for("leave") == []
    daemon.answer("leave", {"text": "node1 is halted"})
    assert given("clhalt", "--force").code == ExitCode.DONE
    assert len(daemon.asked_for("may-stop")) == 2  # Not with --force.


def test_one_node_hands_over_when_it_leaves(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    daemon.answer("leave", {"text": "node1 is halted"})
    came = given("clhalt", "--node", "local")
    assert came.out == "node1 has left the cluster\n"
    assert daemon.asked_for("leave") == [handing_over()]


def test_one_node_may_halt_what_it_runs(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    daemon.answer("halt", {"text": "orders is halted"})
    daemon.answer("leave", {"text": "node1 is halted"})
    given("clhalt", "--node", "node1", "--stop")
    changing = [request.verb for request in daemon.requests if request.verb in {"halt", "leave"}]
    assert changing == ["halt", "leave"]


def test_all_that_one_node_is_to_halt_is_looked_at_before_the_first(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    daemon.answer("may-stop", {"error": "the mount on /export holds it", "mend": "umount /export"})
    came = given("clhalt", "--node", "node1", "--stop")
    assert came.code == ExitCode.REFUSED
    assert "the mount on /export holds it" in came.err
    assert daemon.asked_for("may-stop") == [{"node": "node1"}]
    assert daemon.asked_for("halt") == daemon.asked_for("leave") == []


def test_a_node_that_cannot_stop_does_not_leave(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    daemon.refuse("halt", RpcError("orders is held", "end process 4711"))
    came = given("clhalt", "--node", "node1", "--stop")
    assert came.code == ExitCode.REFUSED
    assert daemon.asked_for("leave") == []


def test_stop_alone_is_not_enough(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    came = given("clhalt", "--stop")
    assert came.code == ExitCode.USAGE
    assert daemon.asked_for("leave") == []


def test_a_shutdown_hands_over(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)
    daemon.answer("status", situations.status())
    daemon.answer("leave", {"text": "node1 is halted"})
    assert given("clhalt", "--node", "local", "--shutdown").code == ExitCode.DONE
    assert daemon.asked_for("leave") == [handing_over(shutdown=True)]


@pytest.mark.usefixtures("root")
def test_a_shutdown_is_content_when_nothing_is_built() -> None:
    came = given("clhalt", "--node", "local", "--shutdown")
    assert came.code == ExitCode.DONE
    assert "nothing to leave" in came.out


def test_a_shutdown_is_content_when_the_node_is_halted(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)
    daemon.answer("status", situations.halted())
    assert given("clhalt", "--node", "local", "--shutdown").code == ExitCode.DONE
    assert daemon.asked_for("leave") == []


def test_a_shutdown_does_not_hang(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)

    def never(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.answer("status", situations.status())
    daemon.scripts["leave"] = never
    came = given("clhalt", "--node", "local", "--shutdown", "--timeout", "100ms")
    assert came.code == ExitCode.UNFINISHED


def test_an_interrupted_halt_goes_on(daemon: FakeDaemon) -> None:
    def never(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.answer("status", situations.status())
    daemon.scripts["leave"] = never
    with started("clhalt", "--node", "node1") as process:
        assert daemon.asked.wait(PATIENCE_S)
        _, err = process.interrupted()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "node1 goes on leaving" in err
    assert "undo: clform" in err


def test_a_boot_asks_for_what_clstart_says(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)
    (root / "etc/cluster/clstart.xml").write_text(
        '<clstart allow_single_node="no" join_existing_cluster="yes" autostart_apps="no"'
        ' timeout="90s"/>'
    )
    daemon.answer("form", {"text": "node1 and node2 are together"})
    assert given("clstartup").code == ExitCode.DONE
    assert daemon.asked_for("form") == [
        {
            "start": "boot",
            "timeout_s": 90.0,
            "allow_single_node": False,
            "join_existing_cluster": True,
            "autostart": False,
            "node": "local",
        }
    ]


def test_a_boot_does_not_wait_for_the_peer(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)

    def waits(talk: Talk) -> JsonObject:
        talk.wait_until_gone()
        return {}

    daemon.scripts["form"] = waits
    came = given("clstartup")
    assert came.code == ExitCode.DONE
    assert came.out == "asked; the daemon works on it: clstat tells how it ends\n"


def test_a_boot_before_the_first_build_does_nothing(daemon: FakeDaemon) -> None:
    came = given("clstartup")
    assert came.code == ExitCode.DONE
    assert "no cluster is built" in came.out
    assert daemon.requests == []


def test_a_clstart_with_errors_starts_nothing(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)
    (root / "etc/cluster/clstart.xml").write_text('<clstart timeout="soon"/>')
    came = given("clstartup")
    assert came.code == ExitCode.USAGE
    assert "clstart.xml:1" in came.err
    assert "clform --node local" in came.err
    assert daemon.requests == []


@pytest.mark.usefixtures("root")
def test_clstart_can_be_checked_without_a_daemon() -> None:
    came = given("clstartup", "--check")
    assert came.code == ExitCode.DONE
    assert "silent for 60 s, this node forms the cluster alone" in came.out


def test_a_failure_that_only_the_peer_tells_does_not_hold_it_up(daemon: FakeDaemon) -> None:
    """The owner raises the alarm; after a move the owner is the peer."""
    failed = situations.failed()["nodes"]
    assert isinstance(failed, dict)
    here = {**failed["node1"]["applications"][0], "owner": "node2"}
    there = situations.node("node2", applications=[here], alarms=failed["node1"]["alarms"])
    daemon.answer("form", {"text": "formed"})
    daemon.answer(
        "status",
        situations.status(situations.node("node1", applications=[here], alarms=[]), there),
    )
    assert given("clform").code == ExitCode.DONE


def test_a_halt_of_one_of_the_two_is_done_in_part(daemon: FakeDaemon) -> None:
    leaving_in_order(daemon)
    leave = daemon.scripts["leave"]

    def half(talk: Talk) -> JsonObject:
        result = leave(talk)
        if talk.args["node"] == "node2":
            raise RpcError("orders is held on node2")
        return result

    daemon.scripts["leave"] = half
    came = given("clhalt")
    assert came.code == ExitCode.UNFINISHED
    assert "orders is held on node2" in came.err


def test_a_shutdown_is_about_this_node_only(daemon: FakeDaemon, root: Path) -> None:
    build_something(root)
    came = given("clhalt", "--node", "node2", "--shutdown")
    assert came.code == ExitCode.USAGE
    assert daemon.requests == []


def test_a_boot_waits_for_a_daemon_that_starts(root: Path) -> None:
    build_something(root)
    with started("clstartup") as process, FakeDaemon(root) as daemon:
        daemon.answer("form", {"text": "node1 is alone"})
        out, _ = process.ended()
    assert (process.returncode, out) == (ExitCode.DONE, "node1 is alone\n")


def test_a_shutdown_waits_for_a_daemon_that_is_restarted(root: Path) -> None:
    build_something(root)
    command = started("clhalt", "--node", "local", "--shutdown")
    with command as process, FakeDaemon(root) as daemon:
        daemon.answer("status", situations.halted())
        out, _ = process.ended()
    assert process.returncode == ExitCode.DONE
    assert "nothing to leave" in out
