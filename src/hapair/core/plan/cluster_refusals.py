"""Why a new configuration of the cluster may not replace the committed one."""

from typing import Final

from hapair.core.plan.situation import CLCONF, Problems, Side, Situation, on
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.problem import Problem

MINORS_MAX: Final = 1 << 20  # DRBD's own limit.


def refusals(situation: Situation, built: Built, *, changed: bool) -> Problems:
    """Say why ``built`` may not replace what is committed; ``changed`` tells that it would."""
    yield from _busy(situation)
    yield from _damage(situation)
    yield from _two_edits(situation)
    yield from _devices(situation, built)
    yield from _applications(built)
    if situation.rotate_secret and not situation.one_version:
        yield Problem(
            "--rotate-secret",
            "DRBD connections",
            "different versions of hapair are installed or running, which agree on no secret",
            "install the newer version on both nodes, restart their daemons, then try again",
        )
    if situation.formed and changed:
        previous = situation.previous
        if previous is not None:
            yield from _fixed_while_formed(previous.cluster, situation.cluster)
        if not situation.force:
            typed = "clbuild --rotate-secret" if situation.rotate_secret else "clbuild"
            yield Problem(
                CLCONF,
                "formed cluster",
                "the cluster is formed, and its daemons would take the changes over at once",
                f"look at them with {typed} --plan, then run {typed} --force; applications keep"
                " running. Or run clhalt first",
            )


def _busy(situation: Situation) -> Problems:
    for side in situation.sides:
        if side.facts.building:
            yield Problem(
                side.node,
                "clbuild",
                "another clbuild or clrestore works on this node now",
                "wait until it has ended, then try again; if nobody is at work there, clstat tells"
                " what an unfinished clbuildapp left, and what to type",
            )


def _damage(situation: Situation) -> Problems:
    """A damaged built.json is replaced by the peer's; without one, applications would be lost."""
    for side in situation.sides:
        if side.damage:
            yield Problem(
                side.node,
                "built.json",
                f"it cannot be read ({side.damage})",
                "clrestore --list shows the archives that can replace it",
                warning=situation.previous is not None,
            )


def _two_edits(situation: Situation) -> Problems:
    """Refuse to overwrite what somebody committed or edited on the other node."""
    mine = situation.side(situation.me)
    peer = situation.side(situation.cluster.peer_of(situation.me))
    newest = situation.previous
    committed = newest.fingerprint if newest else ""
    if peer.generation > mine.generation and situation.fingerprint != committed:
        yield Problem(
            mine.node,
            CLCONF,
            f"{peer.node} has committed a newer configuration (generation {peer.generation}, here"
            f" {mine.generation}), and this clconf.xml differs from it",
            f"run clbuild on {peer.node}; or take its file over first:"
            f" scp {peer.node}:/etc/cluster/clconf.xml /etc/cluster/",
        )
    elif diverged(mine, peer) and not situation.force:
        yield Problem(
            f"{mine.node}, {peer.node}",
            "built.json",
            f"generation {mine.generation} was built differently on the two nodes",
            f"clbuild --plan shows the difference; keep {mine.node}'s with clbuild --force here,"
            f" or {peer.node}'s by running it there",
        )
    elif peer.fingerprint not in {"", situation.fingerprint, committed}:
        yield Problem(
            peer.node,
            CLCONF,
            f"it was edited there too, and differs from the one of {mine.node}",
            f"run clbuild on {peer.node} if that one is right; else "
            + on(peer.node, "mv /etc/cluster/clconf.xml /etc/cluster/clconf.xml.old"),
        )


def diverged(mine: Side, peer: Side) -> bool:
    """Tell whether the nodes committed different configurations under one number."""
    if mine.built is None or peer.built is None:
        return False
    return mine.generation == peer.generation and mine.built != peer.built


def _devices(situation: Situation, built: Built) -> Problems:
    volumes = [volume for each in built.applications for volume in each.volumes]
    devices = built.cluster.devices
    beyond = [each for each in volumes if each.minor >= built.minors_first + devices]
    if beyond:
        highest = max(each.minor for each in beyond) - built.minors_first + 1
        yield Problem(
            CLCONF,
            "devices",
            f"{devices} DRBD devices are too few: applications use {len(volumes)},"
            f" and {beyond[0].resource} is /dev/drbd{beyond[0].minor}",
            f'write devices="{highest}" or more',
        )
    for side in situation.sides:
        for minor in side.facts.drbd.minors:
            if built.minors_first <= minor < built.minors_first + devices:
                yield Problem(
                    side.node,
                    f"/dev/drbd{minor}",
                    "a resource that is not ours uses it, and the cluster needs the devices"
                    f" {built.minors_first} to {built.minors_first + devices - 1}",
                    on(side.node, "give that resource another minor number (/etc/drbd.d)"),
                )
    if built.minors_first + devices > MINORS_MAX:
        yield Problem(CLCONF, "devices", "DRBD has no room for so many", "write a smaller number")


def _applications(built: Built) -> Problems:
    """An application must not lose the node or the network that it was built for."""
    cluster = built.cluster
    names = {network.name for network in cluster.networks}
    for each in built.applications:
        application = each.application
        if application.preferred not in cluster.nodes:
            yield Problem(
                CLCONF,
                "nodes",
                f"application {application.name} prefers {application.preferred}, which would go",
                "keep the node's name, or change the application first (clbuildapp)",
            )
        lost = sorted({entry.network for entry in application.addresses} - names)
        for name in lost:
            yield Problem(
                CLCONF,
                f"network {name}",
                f"application {application.name} has addresses on it, and it would go",
                "keep the network, or change the application's appconf.xml first (clbuildapp)",
            )


def _fixed_while_formed(before: Cluster, after: Cluster) -> Problems:
    because = {
        "name": "the nodes know each other by it",
        "nodes": "a node's place in the cluster is part of every record",
        "first port": "the nodes would lose each other in the moment of the change",
        "replication network": "DRBD's connections are bound to its addresses",
    }
    for (what, old), new in zip(_fixed(before).items(), _fixed(after).values(), strict=True):
        if old != new:
            yield Problem(
                CLCONF,
                what,
                f"it cannot change from {old} to {new} while the cluster is formed:"
                f" {because[what]}",
                "clhalt, then clbuild, then clform",
            )


def _fixed(cluster: Cluster) -> dict[str, str]:
    network = cluster.replication_network
    ends = ", ".join(f"{each.node} {each.address}" for each in network.attachments)
    return {
        "name": cluster.name,
        "nodes": ", ".join(cluster.nodes),
        "first port": str(cluster.ports.first),
        "replication network": f"{network.name} ({ends})",
    }
