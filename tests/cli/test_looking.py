"""clstat and clevents against a scripted daemon, and without one."""

import json
import re
import time
from ipaddress import ip_interface
from pathlib import Path

import pytest

from hapair.cli.screen.parsers import EXIT_ATTENTION
from hapair.config.built_json import dumps
from hapair.model.application import Application, FileSystem, Volume
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange
from hapair.model.timeline import Happening
from hapair.rpc.client import ROOT_VARIABLE
from hapair.rpc.history import happening_object
from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError
from tests.cli import situations
from tests.cli.commands import given, started
from tests.cli.conftest import Golden
from tests.cli.fake_daemon import FakeDaemon, Talk

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d)?")
CODES = {
    "healthy": ExitCode.DONE,
    "resync": ExitCode.DONE,
    "many": ExitCode.DONE,
    "starting": ExitCode.DONE,
    "halted": ExitCode.NOT_NOW,
}


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_the_exit_code_tells_whether_a_person_is_needed(name: str, daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.SITUATIONS[name]())
    expected = CODES.get(name, EXIT_ATTENTION)
    assert given("clstat").code == expected
    told = given("clstat", "--json")
    assert told.code == expected
    assert told.json["exit_code"] == expected


def test_the_page_is_what_was_asked_for(daemon: FakeDaemon, golden: Golden) -> None:
    daemon.answer("status", situations.status())
    came = given("clstat")
    golden("clstat_healthy.txt", STAMP.sub("2026-01-06 03:12:44", came.out))
    assert came.err == ""


def shape(value: object) -> object:
    """Return the names and kinds of a JSON value without its content."""
    match value:
        case dict():
            return {name: shape(inner) for name, inner in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case None:
            return "null"
        case _:
            return type(value).__name__


def test_the_json_keeps_its_shape(daemon: FakeDaemon, golden: Golden) -> None:
    daemon.answer("status", situations.worn())
    told = given("clstat", "--json").json
    golden("clstat_shape.json", json.dumps(shape(told), indent=2) + "\n")


def test_why_shows_every_table_and_what_blocks(daemon: FakeDaemon, golden: Golden) -> None:
    reasons = [
        {"table": "goal", "rule": "moving", "text": "it is being moved to the peer"},
        {"table": "hand-over", "rule": "moving", "text": "stopping here"},
    ]
    there = [{"table": "goal", "rule": "not-owner", "text": "it belongs to the peer"}]
    daemon.answer("status", situations.stuck())
    daemon.answer(
        "why",
        {
            "application": "orders",
            "nodes": [{"node": "node1", "reasons": reasons}, {"node": "node2", "reasons": there}],
        },
    )
    came = given("clstat", "--why", "orders")
    assert came.code == ExitCode.DONE
    golden("clstat_why.txt", came.out)
    steps = given("clstat", "--why", "orders", "--json").json["steps"]
    assert isinstance(steps, dict)
    assert steps["node1"]["next"] == "unmount orders.data"


def test_why_of_an_unknown_application_names_the_known_ones(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    came = given("clstat", "--why", "order")
    assert came.code == ExitCode.USAGE
    assert "applications: orders" in came.err


def test_who_may_not_look_is_told_how_to_be_allowed(daemon: FakeDaemon) -> None:
    daemon.refuse("status", RpcError("only root and members of group hapair may read", "usermod"))
    came = given("clstat")
    assert came.code == ExitCode.REFUSED
    assert "mend: usermod" in came.err


def test_watching_follows_the_daemon_until_ctrl_c(daemon: FakeDaemon) -> None:
    def watch(talk: Talk) -> JsonObject:
        talk.send(Progress(status=situations.status()))
        talk.send(Progress(status=situations.stuck()))
        talk.wait_until_gone()
        return {}

    daemon.scripts["watch"] = watch
    with started("clstat", "--watch", "--json") as process:
        first, second = json.loads(process.line()), json.loads(process.line())
        _, err = process.interrupted()
    assert (first["daemon"], second["nodes"]["node1"]["alarms"][0]["name"]) == ("up", "stuck")
    assert process.returncode == ExitCode.DONE
    assert err == ""


def test_a_resync_is_timed_by_looking_twice(daemon: FakeDaemon) -> None:
    left = iter([1300 * 1024**2, 1200 * 1024**2])

    def status(_: Talk) -> JsonObject:
        source = situations.volume(
            connection="SyncSource", peer_disk="Inconsistent", out_of_sync_bytes=next(left),
            sync_done=0.5,
        )  # fmt: skip
        return situations.formed(volumes=[source])  # type: ignore[arg-type]

    daemon.scripts["status"] = status
    out = " ".join(given("clstat").out.split())
    assert re.search(r"50 % done, 1\.3 GiB left, about 1[34] s \(\d+ MiB/s\)", out), out


def test_a_resync_that_waits_says_for_whom_and_is_not_timed(daemon: FakeDaemon) -> None:
    waits = situations.volume(
        connection="SyncTarget", disk="Inconsistent", out_of_sync_bytes=12 * 1024**2,
        resync={"bytes_s": 0, "left_s": None, "stalled": False, "waits_for": "mail.data"},
    )  # fmt: skip
    daemon.answer("status", situations.formed(volumes=[waits]))  # type: ignore[arg-type]
    out = " ".join(given("clstat").out.split())
    assert "orders.data: waits for mail.data, 12 MiB left, from the peer" in out, out
    assert len(daemon.asked_for("status")) == 1


HISTORY = (
    ("silent", 100.0, "", "node1 was heard for the last time"),
    ("detected", 102.0, "", "node1 is silent on every network since 2.0 s"),
    ("granted", 102.1, "", "may act alone in epoch 5"),
    ("decided", 102.1, "orders", "taken over from node1"),
    ("promoted", 102.9, "orders", "layer promoted is up"),
    ("mounted", 103.4, "orders", "layer mounted is up"),
    ("addresses", 103.5, "orders", "layer addressed is up"),
    ("started", 104.2, "orders", "layer program is up"),
    ("started", 104.9, "billing", "layer program is up"),
    ("together", 400.0, "", "acts together with node1"),
)


def failover() -> list[Happening]:
    return [
        Happening(number, 1767668000.0 + at_s, at_s, "node2", name, text, application)
        for number, (name, at_s, application, text) in enumerate(HISTORY, start=1)
    ]


def test_the_history_is_one_line_each(daemon: FakeDaemon, golden: Golden) -> None:
    daemon.history = failover()
    golden("clevents.txt", given("clevents").out)


def test_a_failover_is_a_timeline(daemon: FakeDaemon, golden: Golden) -> None:
    daemon.history = failover()
    golden("clevents_failovers.txt", given("clevents", "--failovers").out)
    told = given("clevents", "--failovers", "--json").json["failovers"]
    assert isinstance(told, list)
    assert told[0]["total_s"] == pytest.approx(4.9)


def test_a_timeline_can_be_that_of_one_application(daemon: FakeDaemon) -> None:
    daemon.history = failover()
    out = given("clevents", "--failovers", "--application", "orders").out
    assert "billing" not in out
    assert "4.2 s" in out


@pytest.mark.usefixtures("daemon")
def test_no_failover_is_said() -> None:
    assert given("clevents", "--failovers").out == "no failover in this history\n"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--lines", "2"], ["started", "together"]),
        (["--application", "billing"], ["started"]),
        (["--since", "2026-01-06 02:58:00"], ["together"]),
    ],
)
def test_the_history_can_be_narrowed(
    options: list[str], names: list[str], daemon: FakeDaemon
) -> None:
    daemon.history = failover()
    told = given("clevents", "--json", *options).json["events"]
    assert isinstance(told, list)
    assert [event["name"] for event in told] == names


@pytest.mark.parametrize("text", ["yesterday", "25:99", "2x", ""])
@pytest.mark.usefixtures("root")
def test_a_moment_that_is_none_is_refused(text: str) -> None:
    came = given("clevents", "--since", text)
    assert came.code == ExitCode.USAGE
    assert "write for example 2h" in came.err


def test_following_shows_what_is_new(daemon: FakeDaemon) -> None:
    daemon.happens("forming", "waits up to 60 s for node2")
    with started("clevents", "--follow") as process:
        assert "forming" in process.line()
        while len(daemon.asked_for("events")) < 3:  # It has taken its mark.
            time.sleep(0.01)
        daemon.happens("together", "acts together with node2")
        assert "together" in process.line()
        process.interrupted()
    assert process.returncode == ExitCode.DONE


def test_without_a_daemon_the_page_comes_from_files(
    root: Path, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv(ROOT_VARIABLE, ".")  # So that lines are as long as on a real node.
    lay_files(root)
    came = given("clstat")
    assert came.code == ExitCode.NOT_NOW
    golden("clstat_offline.txt", came.out)
    told = given("clstat", "--json").json
    assert told["daemon"] == "down"


@pytest.mark.usefixtures("root")
def test_without_anything_the_page_says_what_is_missing() -> None:
    came = given("clstat")
    assert came.code == ExitCode.NOT_NOW
    assert "nothing is built on this node (clbuild)" in " ".join(came.out.split())


def test_without_a_daemon_the_history_comes_from_its_file(root: Path) -> None:
    lay_files(root)
    came = given("clevents", "--lines", "1")
    assert came.code == ExitCode.DONE
    assert "together" in came.out
    assert "the daemon does not answer" in came.err


# What the kernel of a real node said; only the second device is not one of ours.
PROC_DRBD = """\
version: 8.4.11 (api:1/proto:86-101)
srcversion: 211FB288A383ED945B83420

10: cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C r-----
    ns:0 nr:0 dw:24 dr:1233 al:2 bm:0 lo:0 pe:0 ua:0 ap:0 ep:1 wo:f oos:12
11: cs:Unconfigured
"""
NETWORKS = (
    Network(
        "private",
        (
            Attachment("node1", ip_interface("10.77.2.1/24"), ("prv0",)),
            Attachment("node2", ip_interface("10.77.2.2/24"), ("prv0",)),
        ),
        replication=True,
    ),
)
CLUSTER = Cluster(
    "shop", ("node1", "node2"), PortRange(7700, 7799), 16, NETWORKS, ArbitrationKind.PATHS
)
DATA = Volume(
    "orders.data", 10, 7701, "vg_orders", "data", "data_meta", 1024**3, "/srv/data", FileSystem.EXT4
)
LOG = Volume(
    "orders.log", 12, 7703, "vg_orders", "log", "log_meta", 1024**3, "/srv/log", FileSystem.XFS
)
ORDERS = BuiltApplication(Application("orders", "node1"), (DATA, LOG), "f")
BUILT = Built(7, CLUSTER, "f", 10, (ORDERS,))


def lay_files(root: Path) -> None:
    """Lay out what a node remembers, as the daemon leaves it behind."""
    memory = root / "var/lib/hapair"
    memory.mkdir(parents=True)
    record = {
        "application": "orders",
        "owner": "node2",
        "version": {"epoch": 5, "serial": 0},
        "wanted": "up",
        "failed_on": [],
    }
    built = root / "etc/cluster/built/built.json"
    built.parent.mkdir(parents=True)
    built.write_bytes(dumps(BUILT))
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/drbd").write_text(PROC_DRBD)
    (root / "proc/self/mounts").write_text("/dev/drbd10 /srv/data ext4 rw,noatime 0 0\n")
    state = {"formed": True, "epoch": 5, "holds_right": True, "records": [record], "behind": []}
    (memory / "state.json").write_text(json.dumps(state))
    lines = [json.dumps(happening_object(each)) for each in failover()]
    (memory / "events.jsonl").write_text("\n".join([*lines, '{"number": 11, "wal']))


def test_the_history_is_asked_of_both_nodes(daemon: FakeDaemon) -> None:
    given("clevents")
    assert daemon.asked_for("events") == [{"since": 0, "limit": 2000, "both": True}]


def test_the_name_of_an_application_is_not_said_twice(daemon: FakeDaemon) -> None:
    daemon.happens("add addresses", "orders: 1 added", "orders")
    assert "orders: orders" not in given("clevents").out
