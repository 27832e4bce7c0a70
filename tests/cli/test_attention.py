"""What needs a person: each kind of trouble, one by one."""

import pytest

from hapair.cli.pages.attention import Weight, findings
from hapair.cli.pages.render_status import data_summary, state_text
from hapair.cli.pages.status import NodeStatus, Status, read_status
from hapair.cli.pages.steps import blocks, next_step
from hapair.cli.screen.terminal import stamp
from hapair.rpc.messages import JsonObject
from tests.cli import situations
from tests.cli.situations import application, network, node, stand_by, volume


def here(**changed: object) -> Status:
    """Return a healthy cluster of which node1's report is changed."""
    return read_status(situations.status(node("node1", **changed)))


def with_volume(**changed: object) -> Status:
    return here(applications=[application(volumes=[volume(**changed)])])  # type: ignore[arg-type]


def alarm(name: str, about: str = "") -> JsonObject:
    return {"name": name, "text": f"the text of {name}", "application": about}


KEPT = [{"name": "vg_orders/data_before_resync", "made_wall_s": situations.WALL_S - 3600}]
CASES = {
    "stalled resync": (
        with_volume(connection="SyncTarget", resync={"bytes_s": 0, "stalled": True}),
        Weight.ALARM,
        "the resync to node1 stands still",
    ),
    "interrupted resync": (
        with_volume(disk="Inconsistent", connection="Connecting", kept=KEPT),
        Weight.WARNING,
        "vg_orders/data_before_resync on node1, made 1 h 0 min ago is the consistent state",
    ),
    "snapshot without an age": (
        with_volume(disk="Inconsistent", connection="Connecting", kept=[{"name": "vg/old"}]),
        Weight.WARNING,
        "vg/old on node1 is the consistent state",
    ),
    "stand-alone": (with_volume(connection="StandAlone"), Weight.ALARM, "refuse each other"),
    "lost disk": (with_volume(disk="Diskless"), Weight.ALARM, "the disk of node1 is lost"),
    "behind": (with_volume(behind=True), Weight.WARNING, "misses writes and is not used"),
    "one copy": (with_volume(peer_disk="Outdated"), Weight.WARNING, "only node1 has a current"),
    "no link": (
        here(networks=[network("public", link_up=False)]),
        Weight.WARNING,
        "no link on node1's card pub0 or pub1",
    ),
    "silent network": (
        here(networks=[network("public", heard_ago_s=None)]),
        Weight.WARNING,
        "node2 is not heard on this network",
    ),
    "failed there": (
        here(applications=[application(failed_on=["node2"])]),
        Weight.WARNING,
        "its last start failed on node2",
    ),
    "down": (
        here(applications=[application(phase="stopped", why={"rule": "x", "text": "because"})]),
        Weight.ALARM,
        "does not run: because",
    ),
    "edited": (
        here(drift={"clconf": "changed", "applications": {}}),
        Weight.WARNING,
        "clconf.xml on node1 was edited",
    ),
    "damaged": (
        here(drift={"clconf": "ok", "applications": {"orders": "invalid"}}),
        Weight.WARNING,
        "appconf.xml on node1 was edited and has errors",
    ),
    "built by an older version": (
        here(secret_number=0, applications=[application()]),
        Weight.WARNING,
        "DRBD's connections are not authenticated",
    ),
    "alarm": (here(alarms=[alarm("isolated")]), Weight.ALARM, "the text of isolated"),
    "mild alarm": (here(alarms=[alarm("unprotected")]), Weight.WARNING, "text of unprotected"),
    "alarm of tomorrow": (here(alarms=[alarm("novelty")]), Weight.ALARM, "the text of novelty"),
    "deaf daemon": (
        read_status(situations.without_peer(node("node1"))),
        Weight.WARNING,
        "its daemon does not tell its status",
    ),
    "cut without a verdict": (
        here(standing="cut", networks=[]),
        Weight.ALARM,
        "has no right to act alone",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_trouble_is_found_once_and_weighed(name: str) -> None:
    status, weight, text = CASES[name]
    found = [finding for finding in findings(status) if text in finding.text]
    assert [finding.weight for finding in found] == [weight]
    assert found[0].to_do


CALM = {
    "a crossover cable without a peer": here(
        networks=[network("private", link_up=False, heard_ago_s=0.2)]
    ),
    "an application on its way": here(applications=[application(phase="starting")]),
    "a halted application": here(applications=[application(phase="stopped", wanted="down")]),
    "a resync": with_volume(connection="SyncSource", peer_disk="Inconsistent"),
    "an application of the peer": read_status(
        situations.status(
            node("node1", applications=[stand_by(owner="node2")]),
            node("node2", applications=[application(owner="node2")]),
        )
    ),
}


@pytest.mark.parametrize("name", CALM)
def test_what_is_normal_needs_nobody(name: str) -> None:
    assert findings(CALM[name]) == ()


def test_the_same_alarm_of_both_nodes_is_told_once() -> None:
    both = [alarm("two-owners", "orders")]
    status = read_status(situations.status(node("node1", alarms=both), node("node2", alarms=both)))
    assert len([f for f in findings(status) if "two-owners" in f.text]) == 1


def test_silence_is_not_called_down() -> None:
    """An application of a silent node may still run there."""
    lost = stand_by(owner="node2")
    status = read_status(
        situations.without_peer(node("node1", standing="cut", applications=[lost]))
    )
    assert not [finding for finding in findings(status) if "does not run" in finding.text]
    assert text_of(status) == "on node2 when last heard"


def text_of(status: Status, view: NodeStatus | None = None) -> str:
    shown = view or status.local
    return state_text(status, shown, shown.applications[0])


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "running on node1"),
        ({"wanted": "data"}, "data only, on node1"),
        ({"phase": "starting"}, "starting on node1"),
        ({"phase": "stuck"}, "STUCK on node1"),
        ({"phase": "stopped"}, "stopped"),
        ({"phase": "stopped", "wanted": "down"}, "halted"),
        ({"phase": "unknown"}, "unknown on node1"),
        ({"owner": ""}, "not placed on a node yet"),
    ],
)
def test_a_state_is_said_in_a_few_words(changed: dict[str, object], text: str) -> None:
    assert text_of(here(applications=[application(**changed)])) == text  # type: ignore[arg-type]


def test_a_start_before_the_other_side_has_stopped_is_seen() -> None:
    stopping = node("node2", applications=[stand_by(phase="stopping")])
    status = read_status(situations.status(node("node1"), stopping))
    assert text_of(status) == "running on node1, stopping on node2"


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "data UpToDate on both nodes"),
        ({"peer_disk": "Outdated"}, "data UpToDate on node1 only"),
        ({"disk": "Outdated"}, "data UpToDate on node2 only"),
        ({"disk": "Outdated", "peer_disk": "Outdated"}, "data not UpToDate"),
        ({"connection": "SyncTarget"}, "data: resync runs"),
        ({"connection": "SyncTarget", "resync": {"waits_for": "mail.data"}}, "data: resync waits"),
    ],
)
def test_the_data_is_said_in_a_few_words(changed: dict[str, object], text: str) -> None:
    status = with_volume(**changed)
    assert data_summary(status.local, status.local.applications[0]) == text


@pytest.mark.parametrize(
    ("phase", "reached", "text"),
    [
        ("starting", "", "attach and connect the data orders.data"),
        ("starting", "mounted", "add the addresses"),
        ("starting", "program", ""),
        ("stopping", "program", "stop the program"),
        ("stuck", "mounted", "unmount orders.data"),
        ("stopping", "attached", ""),
        ("unknown", "", "look at what is up"),
        ("running", "program", ""),
    ],
)
def test_the_next_step_is_known(phase: str, reached: str, text: str) -> None:
    status = here(applications=[application(phase=phase, items=situations.items(reached))])
    assert next_step(status.local.applications[0]) == text


def test_what_went_wrong_last_is_told() -> None:
    held = situations.items("mounted", "target is busy", rung=3)
    status = here(applications=[application(items=held, failed_on=["node1"])])
    assert list(blocks(status.local.applications[0])) == [
        "mounted orders.data: target is busy (rung 3 of the stop ladder)",
        "its last start failed on node1",
    ]


def test_how_often_and_when_it_failed_is_told() -> None:
    (failed,) = read_status(situations.failed()).local.applications
    assert list(blocks(failed))[-1].endswith(
        f"failed on node1 (3 times, last {stamp(1767661652.0)}) and node2"
    )


def with_a_copy_that_is_not_attached(error: str) -> JsonObject:
    """Return the status of a cluster whose node2 cannot attach its copy."""
    alone = situations.volume(peer_disk="DUnknown", connection="Connecting")
    here = situations.node("node1", applications=[situations.application(volumes=[alone])])
    there = situations.application(
        phase="stopped", volumes=[], items=situations.items("", error=error)
    )
    return situations.status(here, situations.node("node2", applications=[there]))


def test_what_keeps_a_node_from_attaching_its_copy_is_named() -> None:
    held = "vg_orders/data is held by the mount on /mnt"
    status = read_status(with_a_copy_that_is_not_attached(held))
    (found,) = (f for f in findings(status) if "only node1" in f.text)
    assert held in found.text
    assert "network" not in found.to_do
    status = read_status(with_a_copy_that_is_not_attached(""))
    (found,) = (f for f in findings(status) if "only node1" in f.text)
    assert "network" in found.to_do


def test_a_copy_that_was_written_behind_drbd_is_told_once() -> None:
    told = with_a_copy_that_is_not_attached("vg_orders/data: it was written since ...")
    alarm = {"name": "written-behind", "text": "the copy was written", "application": "orders"}
    nodes = told["nodes"]
    assert isinstance(nodes, dict)
    nodes["node2"]["alarms"] = [alarm]
    lost = {"name": "unprotected", "text": "writes are not replicated", "application": "orders"}
    nodes["node1"]["alarms"] = [lost]
    (found,) = findings(read_status(told))
    assert "clconfirm copy-is-good orders" in found.to_do


def test_one_disk_is_one_finding_however_much_waits_for_it() -> None:
    frozen = [volume(f"v{n}", suspended=True, peer_disk="Outdated") for n in range(29)]
    told = [alarm("peer-cannot-store"), alarm("frozen", "orders")]
    local = node("node1", alarms=[told[0]], applications=[application(volumes=frozen)])
    remote = node("node2", alarms=[alarm("not-stored"), told[1]])
    (found,) = findings(read_status(situations.status(local, remote)))
    assert found.about == "node2"
    assert found.weight is Weight.ALARM
    assert found.text == "the text of not-stored; frozen: writes of 29 volume(s)"
    assert "28-cannot-store" in found.to_do


def test_a_disk_that_only_the_peer_knows_of_is_told_too() -> None:
    """The node's own daemon does not answer, or holds no alarm any more."""
    (found,) = findings(here(alarms=[alarm("peer-cannot-store")]))
    assert found.text == "the text of peer-cannot-store"
    (found,) = findings(here(alarms=[alarm("no-room")]))
    assert found.weight is Weight.WARNING
    assert "df" in found.to_do
