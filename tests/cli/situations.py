"""Answers to ``status`` for the situations that an administrator meets."""

from hapair.rpc.messages import JsonObject

PEERS = {"node1": "node2", "node2": "node1"}
WALL_S = 1_767_669_164.0  # 2026-01-06 03:12:44 UTC
LAYERS = ("attached", "promoted", "mounted", "addressed", "program")


def network(name: str, **changed: object) -> JsonObject:
    number = {"public": 1, "private": 2}[name]
    prefix = {"public": "pub", "private": "prv"}[name]
    return {
        "name": name,
        "link_up": True,
        "heard_ago_s": 0.2,
        "address": f"10.77.{number}.1/24",
        "cards": [f"{prefix}0", f"{prefix}1"],
        "reference": "10.77.1.254" if name == "public" else "",
        "heard_until_wall_s": WALL_S,
        "crossover": name == "private",
        "replication": name == "private",
        **changed,
    }


def volume(name: str = "data", *, primary: bool = True, **changed: object) -> JsonObject:
    return {
        "resource": f"orders.{name}",
        "mount_point": f"/srv/{name}",
        "role": "Primary" if primary else "Secondary",
        "peer_role": "Secondary" if primary else "Primary",
        "disk": "UpToDate",
        "peer_disk": "UpToDate",
        "connection": "Connected",
        "suspended": False,
        "out_of_sync_bytes": 0,
        "sync_done": None,
        "behind": False,
        "unproven": False,
        "connected_until_wall_s": WALL_S,
        "equal_until_wall_s": WALL_S,
        "apart_since_wall_s": None,
        "behind_since_wall_s": None,
        "missing_bytes": None,
        "kept": [],
        "resync": None,
        **changed,
    }


def items(up_to: str, error: str = "", rung: int = 0) -> list[JsonObject]:
    """Return the items of an application that is up to a layer; the next one has the error."""
    reached = LAYERS.index(up_to) if up_to else -1
    found: list[JsonObject] = []
    for position, layer in enumerate(LAYERS):
        up = position <= reached
        troubled = position == reached + (0 if rung else 1)
        found.append(
            {
                "layer": layer,
                "resource": "orders.data" if position < 3 else "",
                "known": "up" if up else "down",
                "busy": False,
                "rung": rung if troubled else 0,
                "last_error": error if troubled else "",
            }
        )
    return found


def application(name: str = "orders", **changed: object) -> JsonObject:
    return {
        "name": name,
        "owner": "node1",
        "wanted": "up",
        "preferred": "node1",
        "phase": "running",
        "why": {"rule": "run", "text": "it belongs to this node and may run here"},
        "failed_on": [],
        "data_current": True,
        "addresses": ["10.77.1.50/32", "fd77:1::50/128"],
        "program": "/etc/cluster/orders/run",
        "volumes": [volume()],
        "items": items("program"),
        **changed,
    }


def stand_by(name: str = "orders", **changed: object) -> JsonObject:
    return application(
        name,
        **{
            "phase": "stopped",
            "why": {"rule": "not-owner", "text": "it belongs to the peer"},
            "volumes": [volume(primary=False)],
            "items": items("attached"),
            **changed,
        },
    )


def node(name: str, **changed: object) -> JsonObject:
    return {
        "cluster": "shop",
        "node": name,
        "peer": PEERS[name],
        "standing": "together",
        "epoch": 4,
        "holds_right": False,
        "generation": 7,
        "arbitration": "paths",
        "version": "0.1.0",
        "wall_s": WALL_S,
        "drift": {"clconf": "ok", "applications": {"orders": "ok"}},
        "networks": [network("public"), network("private", heard_ago_s=0.1)],
        "peer_view": {
            "standing": "together",
            "heard_ago_s": 0.1,
            "connected": True,
            "generation": 7,
        },
        "alarms": [],
        "applications": [application() if name == "node1" else stand_by()],
        **changed,
    }


def status(here: JsonObject | None = None, there: JsonObject | None = None) -> JsonObject:
    """Return what node1 answers when both nodes are well, or what was changed of that."""
    return {
        "local": "node1",
        "nodes": {"node1": here or node("node1"), "node2": there or node("node2")},
    }


def without_peer(here: JsonObject) -> JsonObject:
    return {"local": "node1", "nodes": {"node1": here, "node2": None}}


def formed(**phases: str) -> JsonObject:
    """Return a healthy cluster in which ``orders`` has this phase on node1."""
    return status(node("node1", applications=[application(**phases)]))


SILENT = {"standing": "together", "heard_ago_s": 312.0, "connected": False}
SILENT_NETWORKS = [
    network("public", heard_ago_s=312.0),
    network("private", heard_ago_s=312.4),
]


def peer_lost() -> JsonObject:
    """The peer lost its power; this node took over."""
    lost = volume(connection="Connecting", peer_role="Unknown", peer_disk="Outdated",
                  out_of_sync_bytes=3 * 1024**2)  # fmt: skip
    return without_peer(
        node(
            "node1",
            standing="alone",
            epoch=5,
            holds_right=True,
            peer_view=SILENT,
            networks=SILENT_NETWORKS,
            alarms=[
                {
                    "name": "no-redundancy",
                    "text": "node2 is not there: no redundancy",
                    "application": "",
                }
            ],
            applications=[application(volumes=[lost])],
        )
    )


def cut() -> JsonObject:
    """The peer is silent; a person has to say that it is off."""
    lost = volume(primary=False, connection="Connecting", peer_role="Unknown",
                  peer_disk="DUnknown")  # fmt: skip
    because = "the peer is silent; make sure that it is off, then type: clconfirm peer-is-down"
    return without_peer(
        node(
            "node1",
            standing="cut",
            arbitration="operator",
            peer_view=SILENT,
            networks=SILENT_NETWORKS,
            alarms=[{"name": "ask-operator", "text": because, "application": ""}],
            applications=[
                stand_by(
                    owner="node2",
                    volumes=[lost],
                    why={"rule": "not-owner", "text": "it belongs to the peer"},
                )
            ],
        )
    )


def loss(*, starts: bool = True, **copy: object) -> JsonObject:
    """Return the answer to ``loss`` of a node whose peer has been silent for five minutes."""
    text = "nothing that was acknowledged is known to be missing from orders"
    lost_wall_s = WALL_S - 312
    of_orders = {
        "resource": "orders.data",
        "worth": "complete",
        "rule": "equal-to-the-end",
        "because": "every acknowledged write up to the loss of the connection is here",
        "missing_bytes": None,
        "connected_until_wall_s": lost_wall_s,
        "equal_until_wall_s": lost_wall_s,
        "behind_since_wall_s": None,
        **copy,
    }
    return {
        "node": "node1",
        "peer": "node2",
        "wall_s": WALL_S,
        "networks": [
            {"name": "public", "heard_until_wall_s": lost_wall_s},
            {"name": "private", "heard_until_wall_s": None},
        ],
        "generation": 7,
        "peer_generation": 7,
        "applications": [
            {
                "name": "orders",
                "starts": starts,
                "text": text,
                "at_most_s": 0.0,
                "volumes": [of_orders],
            }
        ],
    }


def resync() -> JsonObject:
    """The peer has come back; its copy is being completed."""
    source = volume(connection="SyncSource", peer_disk="Inconsistent",
                    out_of_sync_bytes=1300 * 1024**2, sync_done=0.43,
                    resync={"bytes_s": 8 * 1024**2, "left_s": 162.5, "stalled": False},
                    kept=[{"name": "vg_orders/data_split", "made_wall_s": WALL_S}])  # fmt: skip
    target = volume(primary=False, connection="SyncTarget", disk="Inconsistent",
                    out_of_sync_bytes=1300 * 1024**2, sync_done=0.43, behind=True)  # fmt: skip
    return status(
        node("node1", applications=[application(volumes=[source])]),
        node("node2", applications=[stand_by(volumes=[target])]),
    )


def starting() -> JsonObject:
    """The program takes long to start."""
    slow = application(
        phase="starting",
        items=items("addressed"),
        under_way={
            "do": "start",
            "since_s": 12.4,
            "limit_s": 300.0,
            "waits": "orders.service waits for its ExecStartPre=, process 4711",
        },
    )
    return status(node("node1", applications=[slow]))


def stuck() -> JsonObject:
    """The application cannot be stopped."""
    held = application(
        phase="stuck",
        why={"rule": "moving", "text": "it is being moved to the peer"},
        items=items("mounted", "target is busy: held by process 4711 (tail)", rung=5),
    )
    alarm = {
        "name": "stuck",
        "text": "it cannot be stopped on this node; see: clstat --why orders",
        "application": "orders",
    }
    return status(node("node1", applications=[held], alarms=[alarm]))


def failed() -> JsonObject:
    """The start failed on both nodes."""
    down = application(
        phase="stopped",
        failed_on=["node1", "node2"],
        why={
            "rule": "failed-everywhere",
            "text": "it failed on both nodes: it is tried here again, ever more slowly",
        },
        failures=[
            {"node": "node1", "count": 3, "wall_s": 1767661652.0},
            {"node": "node2", "count": 1, "wall_s": 0.0},
        ],
        volumes=[volume(primary=False, peer_role="Secondary")],
        items=[
            *items("attached")[:-1],
            {**items("attached")[-1], "last_error": "/etc/cluster/orders/run start ended with 7"},
        ],
    )
    alarm = {
        "name": "failed-everywhere",
        "text": "it failed on both nodes: tried here 3 times, again in 12 s",
        "application": "orders",
    }
    return status(node("node1", applications=[down], alarms=[alarm]))


def drifted() -> JsonObject:
    """Files were edited, and one was deleted."""
    drift = {"clconf": "missing", "applications": {"orders": "changed"}}
    return status(node("node1", drift=drift))


def worn() -> JsonObject:
    """Everything runs, but nothing more may fail."""
    alone = volume(connection="StandAlone", peer_role="Unknown", peer_disk="DUnknown")
    diskless = volume("log", disk="Diskless")
    return status(
        node(
            "node1",
            networks=[network("public", link_up=False), network("private", heard_ago_s=44.0)],
            applications=[application(volumes=[alone, diskless], failed_on=["node2"])],
        ),
        node("node2", generation=6, version="0.2.0", features={"pages": "what only it knows"}),
    )


def many() -> JsonObject:
    """Eight applications; only one of them is not calm."""
    names = [f"app{number}" for number in range(1, 9)]
    here = [
        application(name, phase="starting" if name == "app5" else "running",
                    items=items("mounted") if name == "app5" else items("program"))
        for name in names
    ]  # fmt: skip
    return status(
        node("node1", applications=here),
        node("node2", applications=[stand_by(name) for name in names]),
    )


def halted() -> JsonObject:
    away = {"applications": [stand_by(volumes=[])]}
    return status(
        node("node1", standing="halted", **away), node("node2", standing="halted", **away)
    )


SITUATIONS = {
    "healthy": status,
    "peer_lost": peer_lost,
    "cut": cut,
    "resync": resync,
    "starting": starting,
    "stuck": stuck,
    "failed": failed,
    "drifted": drifted,
    "worn": worn,
    "many": many,
    "halted": halted,
}


def written_behind() -> JsonObject:
    """This node's copy was written behind DRBD, and the peer is not there."""
    text = "the copy of orders.data here was written behind DRBD (line 3 of /etc/fstab mounts it)"
    alarm = {"name": "written-behind", "text": text, "application": "orders"}
    return without_peer(node("node1", standing="alone", alarms=[alarm]))
