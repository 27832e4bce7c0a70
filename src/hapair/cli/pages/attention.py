"""What a person should look at, worst first, each with what to do. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hapair.cli.pages import disks
from hapair.cli.pages.advice import MILD, advice_for
from hapair.cli.pages.monitors import bad_texts
from hapair.cli.pages.status import ApplicationStatus, KeptCopy, NodeStatus, Status, VolumeStatus
from hapair.cli.pages.steps import failed_text
from hapair.cli.screen.terminal import span_text

# By default a heartbeat is sent every 0.4 s: so many are not lost by accident.
NETWORK_SILENT_S: Final = 5.0
HALTED_LONG_S: Final = 3600.0  # A monitor that is halted for longer was probably forgotten.
MONITOR_FAILED: Final = "monitor-failed"
WRITTEN: Final = "written-behind"
UNPROVEN: Final = "unproven-copy"
UNPROTECTED: Final = "unprotected"
MEMBERS: Final = ("together", "alone", "cut")
BUSY_PHASES: Final = ("starting", "stopping", "stuck", "unknown")


class Weight(IntEnum):
    ALARM = 0  # Something that should run does not, or data is in question.
    WARNING = 1  # Everything runs, but the next failure may stop it.


@dataclass(frozen=True, slots=True)
class Finding:
    weight: Weight
    about: str  # An application, a network, a node or the configuration.
    text: str
    to_do: str
    name: str  # A stable word: of one name and about one thing there is one cause.


def findings(status: Status) -> tuple[Finding, ...]:
    """Return all findings, alarms first, none twice."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in (*_alarms(status), *_members(status), *_networks(status.local)):
        found.setdefault((finding.about, finding.text), finding)
    alarmed = status.alarmed()
    for name in status.applications():
        for finding in _application(status, name, alarmed=name in alarmed):
            found.setdefault((finding.about, finding.text), finding)
    for finding in _configuration(status):
        found.setdefault((finding.about, finding.text), finding)
    return tuple(sorted(found.values(), key=lambda finding: finding.weight))


def _alarms(status: Status) -> Iterator[Finding]:
    """Yield the daemons' own alarms, which come from the tables that decide."""
    for node in status.nodes():
        for alarm in node.alarms:
            if alarm.name == UNPROTECTED and _is_told(status, alarm.application):
                continue
            if disks.is_told(status, node, alarm):
                continue
            weight = Weight.WARNING if alarm.name in MILD else Weight.ALARM
            about = alarm.application or node.node
            to_do = advice_for(alarm.name, alarm.application, node.peer)
            yield Finding(weight, about, disks.with_what_waits(status, alarm), to_do, alarm.name)


def _members(status: Status) -> Iterator[Finding]:
    local = status.local
    if local.standing == "cut" and not any(not alarm.application for alarm in local.alarms):
        yield Finding(
            Weight.ALARM,
            local.node,
            f"{local.peer} is silent and this node has no right to act alone",
            f"bring {local.peer} or the networks back; only if {local.peer} is surely off:"
            " clconfirm peer-is-down",
            "cut",
        )
    if local.standing == "together" and status.remote is None:
        yield Finding(
            Weight.WARNING,
            local.peer,
            f"{local.peer} is heard, but its daemon does not tell its status",
            f"on {local.peer}: clstat",
            "no-status",
        )


def _networks(local: NodeStatus) -> Iterator[Finding]:
    for network in local.networks:
        if network.link_up is False and not network.crossover:
            yield Finding(
                Weight.WARNING,
                network.name,
                f"no link on {local.node}'s card {' or '.join(network.cards)}",
                "look at the cable and the switch",
                "no-link",
            )
        elif local.standing == "together" and (
            network.heard_ago_s is None or network.heard_ago_s > NETWORK_SILENT_S
        ):
            yield Finding(
                Weight.WARNING,
                network.name,
                f"{local.peer} is not heard on this network, only on others",
                f"look at the cards, cables and firewalls of network {network.name} on both nodes",
                "not-heard",
            )


def _application(status: Status, name: str, *, alarmed: bool) -> Iterator[Finding]:
    view = owner_view(status, name)
    if view is None:
        return
    node, application = view
    if _should_run(node, application) and not alarmed:
        because = f": {application.because}" if application.because else ""
        yield Finding(Weight.ALARM, name, f"does not run{because}", f"clstat --why {name}", "down")
    if application.failed_on and application.phase == "running":
        yield Finding(
            Weight.WARNING,
            name,
            failed_text(application),
            f"see clevents --application {name}; mend it, then: clmoveapp {name}",
            "failed-on",
        )
    alarms = (alarm for each in status.nodes() for alarm in each.alarms)
    acted = any(alarm.name == MONITOR_FAILED and alarm.application == name for alarm in alarms)
    yield from _monitors(node, application, acted=acted)
    lonely = status.local.standing != "together" or disks.any_unable(status)
    told = any(
        a.name == WRITTEN and a.application == name for n in status.nodes() for a in n.alarms
    )
    for volume in application.volumes:
        blocked = "" if told else _blocked(status, node.peer, name, volume.resource)
        yield from _volume(node, name, volume, blocked=blocked, lonely=lonely or told)
    for each in status.nodes():
        yield from _resyncs(each, name)


def _monitors(
    node: NodeStatus, application: ApplicationStatus, *, acted: bool
) -> Iterator[Finding]:
    """Yield what its monitors find, unless an alarm tells that, and who was halted for long."""
    name = application.name
    for text in () if acted else bad_texts(application.monitors):
        yield Finding(Weight.WARNING, name, f"monitor {text}", f"lemsctl {name} status", "monitors")
    for each in application.monitors:
        since_wall_s = each.halted_wall_s
        if since_wall_s is None or node.wall_s - since_wall_s < HALTED_LONG_S:
            continue
        halted = span_text(node.wall_s - since_wall_s)
        text = f"monitor {each.name} has been halted for {halted}: nobody looks at that"
        yield Finding(
            Weight.WARNING, name, text, f"lemsctl {name} resume {each.name}", "monitor-halted"
        )


def _should_run(node: NodeStatus, application: ApplicationStatus) -> bool:
    return (
        node.standing in MEMBERS
        and application.owner == node.node
        and application.wanted in {"up", "data"}
        and application.phase not in {"running", *BUSY_PHASES}
    )


def _volume(
    node: NodeStatus, name: str, volume: VolumeStatus, *, blocked: str, lonely: bool
) -> Iterator[Finding]:
    if volume.connection == "StandAlone":
        yield Finding(
            Weight.ALARM,
            name,
            f"{volume.resource}: the two copies refuse each other (StandAlone): writes reach"
            f" {node.node} alone",
            f"clresolve {name} --plan shows both sides; nothing is discarded until you decide",
            "split",
        )
    elif volume.disk in {"Diskless", "Failed"}:
        yield Finding(
            Weight.ALARM,
            name,
            f"{volume.resource}: the disk of {node.node} is lost; {node.peer}'s copy serves",
            f"replace the disk of {node.node}{_if_detached(volume.resource)};"
            f" until then {node.peer} must stay up",
            "disk-lost",
        )
    elif volume.behind and not volume.syncing:
        yield Finding(
            Weight.WARNING,
            name,
            f"{volume.resource}: the copy of {node.node} misses writes and is not used",
            f"connect {node.node} with {node.peer}; it is completed by itself",
            "behind",
        )
    elif volume.peer_disk not in {"UpToDate", ""} and not volume.syncing and not lonely:
        mend = f"look at the replication network and at the disk of {node.peer}"
        if blocked:
            mend = f"end on {node.peer} what is named here; it is tried again by itself"
        elif volume.peer_disk == "Diskless":
            mend = f"look at the disk of {node.peer}{_if_detached(volume.resource)}"
        yield Finding(
            Weight.WARNING,
            name,
            f"{volume.resource}: only {node.node} has a current copy"
            f" ({node.peer}: {blocked or volume.peer_disk})",
            mend,
            "one-copy",
        )


def _if_detached(resource: str) -> str:
    """Say what to do where no disk failed: the kernel does not tell why it has none."""
    return f" (if somebody detached it, type there: drbdadm attach {resource})"


def _is_told(status: Status, name: str) -> bool:
    """Tell whether a copy was written behind DRBD: that is why there is no second one."""
    alarms = (alarm for node in status.nodes() for alarm in node.alarms)
    return any(alarm.name == WRITTEN and alarm.application == name for alarm in alarms)


def _blocked(status: Status, node: str, name: str, resource: str) -> str:
    """Return why a node cannot attach its copy; empty: it can, or does not say."""
    seen = status.seen_by(node)
    application = seen.application(name) if seen is not None else None
    items = application.items if application is not None else ()
    attached = (i for i in items if i.layer == "attached" and i.resource == resource)
    return next((item.last_error for item in attached if item.known != "up"), "")


def _resyncs(node: NodeStatus, name: str) -> Iterator[Finding]:
    """Yield what each node tells of its own copies: the receiver knows what it kept before."""
    application = node.application(name)
    for volume in application.volumes if application is not None else ():
        if volume.stalled and volume.syncing:
            yield Finding(
                Weight.ALARM,
                name,
                f"{volume.resource}: the resync to {node.node} stands still, and connecting anew"
                " did not help",
                "look at the replication network and both disks (dmesg); nothing starts from this"
                " copy meanwhile",
                "resync-stalled",
            )
        if volume.disk == "Inconsistent" and not volume.syncing:
            for kept in volume.kept:
                yield Finding(
                    Weight.WARNING,
                    name,
                    f"{volume.resource}: the resync to {node.node} was interrupted; its copy is"
                    f" unusable, {kept_text(node, kept)} is the consistent state before it",
                    f"bring {node.peer} back, it is completed by itself; only if {node.peer} is"
                    " lost for good: /usr/share/doc/hapair/resync.md",
                    "resync-interrupted",
                )


def _configuration(status: Status) -> Iterator[Finding]:
    for node in status.nodes():
        if node.drift.clconf not in {"ok", ""}:
            yield Finding(
                Weight.WARNING,
                "configuration",
                f"clconf.xml on {node.node} {DRIFT_TEXTS.get(node.drift.clconf, 'differs')}",
                DRIFT_TO_DO.get(node.drift.clconf, "clbuild"),
                "clconf-differs",
            )
        if not node.authenticated and any(each.volumes for each in node.applications):
            yield Finding(
                Weight.WARNING,
                "configuration",
                "DRBD's connections are not authenticated: an older version built this cluster",
                "clbuild --force, when both nodes have the same version; applications go on",
                "not-authenticated",
            )
        for name, word in sorted(node.drift.applications.items()):
            if word not in {"ok", ""}:
                yield Finding(
                    Weight.WARNING,
                    name,
                    f"appconf.xml on {node.node} {DRIFT_TEXTS.get(word, 'differs')}",
                    f"clbuildapp {name} --plan shows the difference, clbuildapp {name} accepts it",
                    "appconf-differs",
                )


DRIFT_TO_DO: Final = {
    "changed": "clbuild --plan shows the difference, clbuild accepts it; until then only commands"
    " that stop or show something work",
    "missing": "clrestore brings it back; until then only commands that stop or show something"
    " work",
    "invalid": "clbuild --plan lists the errors; until they are mended only commands that stop or"
    " show something work",
}
DRIFT_TEXTS: Final = {
    "changed": "was edited and not built yet",
    "missing": "is missing; what was built from it stays in force",
    "invalid": "was edited and has errors; what was built before stays in force",
}


def owner_view(status: Status, name: str) -> tuple[NodeStatus, ApplicationStatus] | None:
    """Return the owner's own view of an application; the local one when the owner is silent."""
    local = status.local.application(name)
    remote = status.remote.application(name) if status.remote else None
    known = local or remote
    owner = known.owner if known is not None else ""
    if status.remote is not None and remote is not None and owner == status.remote.node:
        return status.remote, remote
    if local is not None:
        return status.local, local
    if status.remote is not None and remote is not None:
        return status.remote, remote
    return None


def kept_text(node: NodeStatus, kept: KeptCopy) -> str:
    """Name a snapshot with its age."""
    if kept.made_wall_s is None:
        return f"{kept.name} on {node.node}"
    ago = span_text(max(node.wall_s - kept.made_wall_s, 0.0))
    return f"{kept.name} on {node.node}, made {ago} ago"
