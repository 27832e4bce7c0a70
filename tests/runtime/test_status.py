"""What ``status`` says about a node, where only the runtime knows it."""

import json
from dataclasses import replace
from typing import Final

import pytest

from hapair.config.fingerprint import Drift
from hapair.core.words.peer import PeerView
from hapair.core.words.state import NodeState
from hapair.model.application import OcfAgent, Program, Script, Unit
from hapair.model.cluster import Resync
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.divergence import KeptSnapshot
from hapair.rpc.messages import JsonObject
from hapair.runtime.building.drift import Drifts
from hapair.runtime.control.status import node_status, program_text
from hapair.runtime.history.replication_memory import Pace, Remembered
from hapair.runtime.node.views import LinkView
from tests.runtime.fakes import VOLUME, beat, node_state

DRIFTS: Final = Drifts(Drift.CHANGED, {"orders": Drift.OK, "plain": Drift.MISSING})
NOW_S: Final = 100.0


def told(state: NodeState, link: LinkView) -> JsonObject:
    status = node_status(state, NOW_S, DRIFTS, link)
    content = json.loads(json.dumps(status))
    assert isinstance(content, dict)
    return content


def hearing(state: NodeState) -> NodeState:
    peer = PeerView(heard_at_s={"public": NOW_S - 0.25}, beat=beat(), incarnation=5)
    return replace(state, now_s=NOW_S, peer=peer)


def test_networks_tell_their_link_and_when_the_peer_was_heard_there() -> None:
    state = replace(hearing(node_state()), links={"public": True})
    networks = told(state, LinkView(connected=True))["networks"]
    assert isinstance(networks, list)
    assert [(each["link_up"], each["heard_ago_s"]) for each in networks] == [
        (True, 0.25),
        (None, None),
    ]


def test_the_view_of_the_peer_tells_what_is_wrong_with_the_connection() -> None:
    link = LinkView(connected=False, trouble="public: no answer", rejected=7)
    assert told(hearing(node_state()), link)["peer_view"] == {
        "standing": "together",
        "protocol": 1,
        "heard_ago_s": 0.25,
        "connected": False,
        "trouble": "public: no answer",
        "rejected": 7,
        "generation": 0,
    }


@pytest.mark.parametrize(
    ("link", "heard", "alarmed"),
    [
        (LinkView(connected=False, trouble="public: refused"), True, True),
        (LinkView(connected=False, trouble="public: no answer"), False, False),
        (LinkView(connected=False), True, False),
        (LinkView(connected=True), True, False),
    ],
)
def test_a_peer_that_lives_but_cannot_be_talked_to_is_an_alarm(
    link: LinkView, *, heard: bool, alarmed: bool
) -> None:
    state = hearing(node_state()) if heard else node_state()
    alarms = told(state, link)["alarms"]
    assert isinstance(alarms, list)
    assert ("not-connected" in {alarm["name"] for alarm in alarms}) is alarmed


def test_volumes_tell_what_the_kernel_says_or_nothing() -> None:
    facts = VolumeFacts(
        VOLUME.resource, Role.PRIMARY, Role.SECONDARY, Disk.UP_TO_DATE, Disk.INCONSISTENT,
        Connection.SYNC_SOURCE, out_of_sync_bytes=4096, sync_done=0.5,
    )  # fmt: skip
    state = replace(node_state(), facts={VOLUME.resource: facts})
    applications = told(state, LinkView(connected=True))["applications"]
    assert isinstance(applications, list)
    first, second = applications[0]["volumes"]
    assert (first["role"], first["sync_done"]) == ("Primary", 0.5)
    assert second == {
        "resource": "orders.log",
        "mount_point": "/srv/log",
        "behind": False,
        "unproven": False,
        "connected_until_wall_s": None,
        "equal_until_wall_s": None,
        "apart_since_wall_s": None,
        "behind_since_wall_s": None,
        "missing_bytes": None,
        "kept": [],
        "resync": None,
    }


def test_a_resync_tells_its_pace_and_what_is_kept_meanwhile() -> None:
    facts = VolumeFacts(
        VOLUME.resource, Role.SECONDARY, Role.PRIMARY, Disk.INCONSISTENT, Disk.UP_TO_DATE,
        Connection.SYNC_TARGET, out_of_sync_bytes=4096, sync_done=0.5,
    )  # fmt: skip
    state = replace(node_state(), facts={VOLUME.resource: facts, "orders.log": facts})
    memory = Remembered(
        kept=(KeptSnapshot(VOLUME.resource, "vg_orders", "data_before_resync", 7.0),),
        paces=(Pace(VOLUME.resource, 1024.0), Pace("orders.log", 0.0, stalled=True)),
    )
    status = node_status(state, NOW_S, DRIFTS, LinkView(connected=True), memory)
    applications = status["applications"]
    assert isinstance(applications, list)
    data, log = applications[0]["volumes"]
    assert data["kept"] == [{"name": "vg_orders/data_before_resync", "made_wall_s": 7.0}]
    calm = {"stalled": False, "waits_for": None}
    assert data["resync"] == {"bytes_s": 1024, "left_s": 4.0, **calm}
    assert log["resync"] == {"bytes_s": 0, "left_s": None, **calm, "stalled": True}


def test_a_resync_tells_for_whom_it_waits() -> None:
    runs = VolumeFacts(
        VOLUME.resource, Role.SECONDARY, Role.PRIMARY, Disk.INCONSISTENT, Disk.UP_TO_DATE,
        Connection.SYNC_TARGET, out_of_sync_bytes=4096,
    )  # fmt: skip
    waits = replace(runs, resource="orders.log", waits=True)
    state = node_state()
    cluster = replace(state.built.cluster, resync=Resync(order=("orders",)))
    ordered = replace(state, built=replace(state.built, cluster=cluster))
    quiet = {"bytes_s": 0, "left_s": None, "stalled": False}
    for known, order, told_ in (
        ({VOLUME.resource: runs, "orders.log": waits}, ordered, VOLUME.resource),
        ({"orders.log": waits}, ordered, VOLUME.resource),
        ({"orders.log": waits}, state, None),
    ):
        applications = told(replace(order, facts=known), LinkView(connected=True))["applications"]
        assert isinstance(applications, list)
        resync = applications[0]["volumes"][1]["resync"]
        assert resync == (None if told_ is None else {**quiet, "waits_for": told_})


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (None, ""),
        (Script("/etc/cluster/orders/run"), "/etc/cluster/orders/run"),
        (Unit("orders.service"), "orders.service"),
        (OcfAgent("heartbeat", "pgsql"), "ocf:heartbeat:pgsql"),
    ],
)
def test_programs_are_named_as_in_the_configuration(program: Program | None, text: str) -> None:
    assert program_text(program) == text
