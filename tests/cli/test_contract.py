"""The commands read what the real daemon's code writes."""

from ipaddress import ip_interface

from hapair.cli.pages.attention import findings
from hapair.cli.pages.render_status import Page, page_lines
from hapair.cli.pages.status import read_status
from hapair.cli.pages.why import reasons_by_node
from hapair.cli.screen.terminal import Paint
from hapair.config.fingerprint import Drift
from hapair.core import node as core
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.application import Application, FileSystem, Script, ServiceAddress, Volume
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange
from hapair.model.status import Record, Version, Wanted
from hapair.rpc.messages import JsonObject
from hapair.runtime.building.drift import Drifts
from hapair.runtime.control.status import node_status, why_object
from hapair.runtime.node.views import LinkView

NETWORKS = tuple(
    Network(
        name,
        (
            Attachment("node1", ip_interface(f"10.77.{number}.1/24"), (f"{name}0",)),
            Attachment("node2", ip_interface(f"10.77.{number}.2/24"), (f"{name}0",)),
        ),
        replication=name == "private",
    )
    for number, name in enumerate(("public", "private"), start=1)
)
CLUSTER = Cluster(
    "shop", ("node1", "node2"), PortRange(7700, 7799), 16, NETWORKS, ArbitrationKind.PATHS
)
VOLUME = Volume(
    "orders.data", 10, 7701, "vg_orders", "data", "data_meta", 1024**3, "/srv/data", FileSystem.EXT4
)
ORDERS = Application(
    "orders",
    "node1",
    Script("/etc/cluster/orders/run"),
    addresses=(ServiceAddress("public", ip_interface("10.77.1.50/32")),),
)
BUILT = Built(7, CLUSTER, "f", 10, (BuiltApplication(ORDERS, (VOLUME,), "f"),))
STORED = Stored(
    formed=True,
    formed_boot_id="boot",
    joined_boot_id="boot",
    epoch=4,
    holds_right=True,
    records=(Record("orders", "node1", Version(4, 0), Wanted.UP),),
)


def daemon_alone() -> NodeState:
    """Return the core of a daemon that was restarted while its node acts alone."""
    state, _ = core.begin("node1", "boot", 2, BUILT, STORED, 100.0)
    return state


def answer() -> JsonObject:
    drifts = Drifts(Drift.OK, {"orders": Drift.CHANGED})
    node = node_status(daemon_alone(), 100.0, drifts, LinkView(connected=False))
    return {"local": "node1", "nodes": {"node1": node, "node2": None}}


def test_every_field_arrives() -> None:
    status = read_status(answer())
    local = status.local
    assert (local.cluster, local.node, local.peer) == ("shop", "node1", "node2")
    assert (local.standing, local.epoch, local.holds_right) == ("alone", 4, True)
    assert (local.generation, local.arbitration) == (7, "paths")
    assert not local.authenticated
    assert [network.name for network in local.networks] == ["public", "private"]
    assert local.networks[1].replication
    assert local.drift.applications == {"orders": "changed"}
    orders = local.applications[0]
    assert (orders.owner, orders.wanted, orders.preferred) == ("node1", "up", "node1")
    assert orders.rule
    assert orders.because
    assert orders.addresses == ("10.77.1.50/32",)
    assert [item.layer for item in orders.items] == [
        "attached", "promoted", "mounted", "addressed", "program",
    ]  # fmt: skip
    assert orders.volumes[0].mount_point == "/srv/data"
    assert {alarm.name for alarm in local.alarms} >= {"no-redundancy"}


def test_it_makes_a_page() -> None:
    status = read_status(answer())
    text = "\n".join(page_lines(Page(status, findings(status)), Paint()))
    assert "node1  alone" in text
    assert "appconf.xml on node1 was edited" in text
    assert "/srv/data: not configured in the kernel of node1" in text


def test_why_names_the_rows_that_hold() -> None:
    told = why_object(daemon_alone(), ORDERS)
    ((node, reasons),) = reasons_by_node({"application": "orders", "nodes": [told]}, "node1")
    assert node == "node1"
    assert reasons[0].text("table") == "goal"
    assert all(reason.text("rule") and reason.text("text") for reason in reasons)
