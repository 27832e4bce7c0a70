"""A Pacemaker cluster, with corosync's and DRBD's files, to what hapair needs to know."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from hapair.migrate import times
from hapair.migrate.drbd import DrbdResource
from hapair.migrate.lines import refuse_more
from hapair.migrate.notes import Notes
from hapair.migrate.pacemaker_parts import Parts, kind_of, score_of
from hapair.migrate.pacemaker_resources import application_of
from hapair.migrate.pacemaker_words import Bond, Clone, Group, Location, Pacemaker, Primitive
from hapair.migrate.words import (
    Found,
    FoundCluster,
    FoundMethod,
    FoundNetwork,
    named_apart,
)

# What of the cluster's settings has another place here.
SETTINGS: Final = {
    "stonith-enabled": "<arbitration> says who may act alone",
    "no-quorum-policy": "<arbitration> says who may act alone",
    "stonith-timeout": 'a <method> has its own timeout="..."',
    "maintenance-mode": "clmaintain",
    "resource-stickiness": 'an application stays where it is, unless failback="yes"',
    "default-resource-stickiness": 'an application stays where it is, unless failback="yes"',
    "migration-threshold": '<monitors restarts="...">',
    "failure-timeout": '<monitors period="...">',
}
OWN: Final = frozenset(
    {"cluster-infrastructure", "cluster-name", "dc-version", "have-watchdog", "last-lrm-refresh"}
)
# Of Pacemaker's own, not of the fence agent.
NOT_OF_THE_AGENT: Final = ("pcmk_", "crm_", "action", "method", "hostlist", "priority")
PEOPLE_MOVED_IT: Final = ("cli-prefer-", "cli-standby-", "cli-ban-")


def found_in_pacemaker(
    config: Pacemaker, told: FoundCluster, drbd: tuple[DrbdResource, ...], notes: Notes
) -> Found:
    """Return the cluster and its applications; ``told`` is what corosync.conf says."""
    nodes = tuple(config.nodes) or told.nodes or tuple(dict.fromkeys(_hosts(drbd)))
    for name, place in config.nodes.items():
        notes.took(place, f"node {name}", f'<node name="{name}"/>')
    for extra in nodes[2:]:
        if extra in config.nodes:
            notes.left(config.nodes[extra], f"node {extra}", "hapair has two nodes")
    holders: list[Primitive | Group | Clone] = [
        *config.primitives.values(),
        *config.groups.values(),
        *config.clones.values(),
    ]
    constraints: list[Bond | Location] = [*config.colocations, *config.orders, *config.locations]
    if holders:
        refuse_more(len(holders), "resources", holders[-1].place)
    if constraints:
        refuse_more(len(constraints), "constraints", constraints[-1].place)
    parts = Parts(config, drbd)
    applications = []
    for members in parts.applications():
        application = application_of(parts, members, notes)
        preferred, failback = _preferred(config, parts, members, notes)
        applications.append(replace(application, preferred=preferred, failback=failback))
    _say_the_rest(config, parts, notes)
    cluster = replace(
        told,
        name=told.name or config.setting("cluster-name"),
        nodes=nodes[:2],
        networks=_with_replication(told.networks, drbd),
        methods=_fencing(config, nodes, notes),
        references=_references(config, notes),
        why={"nodes": "From the nodes of the former cluster.", **told.why},
    )
    return Found(cluster, named_apart(applications))


def _hosts(drbd: tuple[DrbdResource, ...]) -> Iterable[str]:
    return (host for resource in drbd for host in resource.hosts)


def _with_replication(
    networks: tuple[FoundNetwork, ...], drbd: tuple[DrbdResource, ...]
) -> tuple[FoundNetwork, ...]:
    """Mark the network that DRBD used; make one where no file told it."""
    pairs = tuple(dict.fromkeys(pair for each in drbd for pair in each.addresses))
    used = {address for _, address in pairs}
    marked = tuple(
        replace(each, replication=bool(used & {address for _, address in each.addresses}))
        for each in networks
    )
    if pairs and not any(each.replication for each in marked):
        why = f"DRBD used it: {drbd[0].place}."
        marked = (*marked, FoundNetwork("replication", pairs, replication=True, why=why))
    seen = False
    once = []
    for each in marked:
        once.append(replace(each, replication=each.replication and not seen))
        seen = seen or each.replication
    return tuple(once)


def _preferred(
    config: Pacemaker, parts: Parts, members: tuple[Primitive, ...], notes: Notes
) -> tuple[str, bool]:
    """Return the preferred node, and whether it moves back there."""
    names = {name for member in members for name in parts.names_of(member)}
    best, most = "", 0.0
    for each in config.locations:
        if each.resource not in names:
            continue
        score = score_of(each.score)
        if each.name.startswith(PEOPLE_MOVED_IT):
            notes.left(each.place, f"location {each.name}", "a move of a person: clmoveapp")
        elif not each.node:
            way = 'a reference address at the network, and <arbitration by="..."> weighs networks'
            notes.left(each.place, f"location {each.name} with a rule", way)
        elif score < 0:
            notes.left(each.place, _said(each), "both nodes may run it; preferred says which first")
        else:
            notes.took(each.place, _said(each), f'preferred="{each.node}"')
            if score > most:
                best, most = each.node, score
    sticky = [
        score_of(value)
        for value in (
            *(member.meta.get("resource-stickiness", "") for member in members),
            config.setting("resource-stickiness"),
            config.setting("default-resource-stickiness"),
        )
        if value
    ]
    # Without stickiness Pacemaker moves it back by itself, as soon as the node is there again.
    return best, bool(best) and max(sticky, default=0.0) < most


def _said(each: Location) -> str:
    return f"location {each.name}: {each.resource} on {each.node} with {each.score}"


def _fencing(config: Pacemaker, nodes: tuple[str, ...], notes: Notes) -> tuple[FoundMethod, ...]:
    found: list[FoundMethod] = []
    for each in config.primitives.values():
        if kind_of(each) != "stonith":
            continue
        if not each.kind.startswith("fence_"):
            way = "a <method> with an agent of the package fence-agents"
            notes.left(each.place, f"{each.name} {each.agent}", way)
            continue
        told = each.parameters.get("pcmk_host_list") or each.parameters.get("pcmk_host_map", "")
        hosts = [
            word.partition(":")[0] for word in told.replace(",", " ").replace(";", " ").split()
        ]
        timeout_s = max(
            (times.seconds_of(each.parameters.get(name, ""))
             for name in ("pcmk_off_timeout", "pcmk_reboot_timeout")), default=0.0,
        )  # fmt: skip
        parameters = tuple(
            (name, value)
            for name, value in each.parameters.items()
            if not name.startswith(NOT_OF_THE_AGENT)
        )
        for name in each.parameters.keys() - dict(parameters).keys() - {"pcmk_host_list"}:
            notes.left(each.place, f"{each.name} {name}", "hapair itself says what an agent does")
        why = f"{each.name} of {each.place}. Try it before you rely on it."
        found += [
            FoundMethod(host, each.kind, parameters, timeout_s, why) for host in hosts or nodes[:2]
        ]
        notes.took(each.place, f"{each.name} {each.agent}", f'<method agent="{each.kind}">')
    return tuple(found)


def _references(config: Pacemaker, notes: Notes) -> tuple[str, ...]:
    found: list[str] = []
    for each in config.primitives.values():
        if kind_of(each) == "ping":
            hosts = each.parameters.get("host_list", "").split()
            found += hosts
            notes.took(each.place, f"{each.name} {each.agent}", f"reference: {' '.join(hosts)}")
    return tuple(dict.fromkeys(found))


def _say_the_rest(config: Pacemaker, parts: Parts, notes: Notes) -> None:
    for setting in config.settings:
        if setting.name not in OWN:
            way = SETTINGS.get(setting.name, "nothing in hapair needs it")
            notes.left(setting.place, f"{setting.name}={setting.value}", way)
    for other in config.others:
        notes.left(other.place, other.what, "hapair has nothing of the kind")
    for clone in config.clones.values():
        if clone.promotable and parts.is_drbd(clone.name):
            notes.took(clone.place, f"{clone.name}", "hapair promotes DRBD itself")
        elif not all(kind_of(each) in {"ping", "stonith"} for each in parts.inside(clone.name)):
            way = "hapair runs an application on one node: let systemd run it on both"
            notes.left(clone.place, f"clone {clone.name} of {clone.member}", way)
    for bond in config.colocations:
        resources = " with ".join(bond.resources)
        if score_of(bond.score) < 0:
            way = "prefer another node for one of them: preferred=..."
            notes.left(bond.place, f"colocation {bond.name}: never {resources}", way)
        elif parts.together(bond.resources):
            notes.took(bond.place, f"colocation {bond.name}", "one application, or a part of it")
        else:
            notes.left(bond.place, f"colocation {bond.name}", "its resources are not told")
    for bond in config.orders:
        if parts.together(bond.resources):
            into = "hapair's own order: data, addresses, program"
            notes.took(bond.place, f"order {bond.name}", into)
        else:
            way = "applications start one beside the other: let the second one wait for the first"
            notes.left(bond.place, f"order {bond.name}: {' then '.join(bond.resources)}", way)
