"""The page of clstat: what needs a person comes first. Pure: values in, lines out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hapair.cli.pages.attention import Finding, Weight, kept_text, owner_view
from hapair.cli.pages.maintenance import maintenance_lines, of_application
from hapair.cli.pages.monitors import awaited, bad_texts
from hapair.cli.pages.status import (
    ApplicationStatus,
    NetworkStatus,
    NodeStatus,
    Status,
    VolumeStatus,
)
from hapair.cli.pages.steps import blocks, next_step, under_way_text
from hapair.cli.screen.terminal import WIDTH, Paint, Style, columns, filled, size_text, span_text

DETAILED_MAX: Final = 6  # With more applications, those without trouble get one line each.
ADDRESSES_SHOWN: Final = 3

STANDINGS: Final = {
    "halted": "not in the cluster (clform joins it)",
    "forming": "waits for its peer before it acts",
    "together": "acts together with its peer",
    "cut": "does not hear its peer and has no right to act alone",
    "alone": "acts alone: nothing takes over if it fails",
    "leaving": "hands over or stops its applications, then halts",
}
ARBITRATIONS: Final = {
    "paths": "paths (two cables cut at once leave both sides running)",
    "operator": "operator (a person decides: clconfirm peer-is-down)",
}
GOOD_STANDINGS: Final = ("together",)
PHASE_STYLES: Final = {"running": Style.GOOD, "stuck": Style.ALARM}


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that one page shows."""

    status: Status
    findings: tuple[Finding, ...]
    now_text: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)  # Bytes per second per resource.


def page_lines(page: Page, paint: Paint) -> list[str]:
    return [
        *_cluster(page, paint),
        "",
        *attention_lines(page.findings, paint),
        "",
        *_networks(page.status, paint),
        "",
        *_applications(page, paint),
    ]


def heading(text: str, right: str, paint: Paint) -> str:
    gap = " " * max(1, WIDTH - len(text) - len(right))
    return f"{paint(Style.STRONG, text)}{gap if right else ''}{paint(Style.FAINT, right)}"


def _cluster(page: Page, paint: Paint) -> Iterator[str]:
    local, remote = page.status.local, page.status.remote
    seen = f"{page.now_text}, seen by {local.node}" if page.now_text else f"seen by {local.node}"
    yield heading(f"CLUSTER {local.cluster}", seen, paint)
    yield from columns(
        [
            (local.node, _standing(local.standing, paint), STANDINGS.get(local.standing, "")),
            (
                local.peer,
                _standing(remote.standing if remote else "silent", paint),
                _peer_text(local, remote),
            ),
        ],
        "  ",
    )
    right = f", {local.node} holds the right to act alone" if local.holds_right else ""
    text = f"epoch {local.epoch}{right}; configuration {local.generation}{_drift_text(local)}"
    yield from _arbitration(local, paint)
    yield f"  {text}"
    yield from maintenance_lines(local.maintenance)
    if remote is not None and remote.version != local.version:
        yield f"  versions: {local.node} {local.version}, {remote.node} {remote.version}"
    if remote is not None:
        yield from _unused(local, remote)
        yield from _unused(remote, local)


def _unused(newer: NodeStatus, older: NodeStatus) -> Iterator[str]:
    """Say what one node knows and the pair does not use, because the other one does not."""
    unused = [text for name, text in newer.features.items() if name not in older.features]
    if unused:
        yield from filled("; ".join(unused), f"  not used until {older.node} is upgraded: ")


def _arbitration(local: NodeStatus, paint: Paint) -> Iterator[str]:
    parties = local.third_parties
    words = {True: "answers", False: paint(Style.ALARM, "does not answer"), None: "not asked yet"}
    seen = [f"{each.kind} at {each.at} {words[each.answers]}" for each in parties.witnesses]
    if parties.agents:
        seen.append(f"{local.peer} can be switched off by {', '.join(parties.agents)}")
    text = ARBITRATIONS.get(local.arbitration, local.arbitration)
    yield from filled(": ".join(filter(None, (text, "; ".join(seen)))), "  arbitration by ")
    if parties.watchdog:
        yield f"  watchdog {parties.watchdog} resets {local.node} when its daemon hangs"


def _standing(standing: str, paint: Paint) -> str:
    return paint(Style.GOOD if standing in GOOD_STANDINGS else Style.WARNING, standing)


def _peer_text(local: NodeStatus, remote: NodeStatus | None) -> str:
    ago_s = local.peer_seen.heard_ago_s
    heard = "never heard since the daemon's start" if ago_s is None else f"heard {ago_text(ago_s)}"
    if remote is None:
        last = f"; was {local.peer_seen.standing}" if local.peer_seen.standing else ""
        return f"{heard}{last}"
    return f"{STANDINGS.get(remote.standing, '')}; {heard}"


def ago_text(ago_s: float) -> str:
    return f"{span_text(ago_s)} ago"


def _drift_text(node: NodeStatus) -> str:
    words = {node.drift.clconf, *node.drift.applications.values()}
    return ", as built" if words <= {"ok", ""} else ", files differ from what was built"


def attention_lines(findings: tuple[Finding, ...], paint: Paint) -> list[str]:
    """Write what needs a person, each with what to do."""
    if not findings:
        return [f"{paint(Style.STRONG, 'NEEDS YOU')}  {paint(Style.GOOD, 'nothing')}"]
    lines = [paint(Style.STRONG, f"NEEDS YOU ({len(findings)})")]
    for finding in findings:
        word = "ALARM" if finding.weight is Weight.ALARM else "WARNING"
        style = Style.ALARM if finding.weight is Weight.ALARM else Style.WARNING
        about = f"{finding.about}: " if finding.about else ""
        lines += filled(f"{about}{finding.text}", f"  {paint(style, f'{word:<7}')}  ")
        if finding.to_do:
            lines += filled(finding.to_do, " " * 11 + "-> ")
    return lines


def _networks(status: Status, paint: Paint) -> Iterator[str]:
    yield paint(Style.STRONG, "NETWORKS")
    yield from columns([_network_row(network, paint) for network in status.local.networks], "  ")


def _network_row(network: NetworkStatus, paint: Paint) -> tuple[str, ...]:
    link = {True: "link up", False: paint(Style.ALARM, "no link"), None: "link unknown"}
    ago_s = network.heard_ago_s
    heard = "not heard" if ago_s is None else f"heard {ago_text(ago_s)}"
    uses = (("replication", network.replication), ("crossover", network.crossover))
    words = [word for word, holds in uses if holds]
    cards = "+".join(network.cards)
    rest = " ".join([bare(network.address), cards, *words]).strip()
    return (network.name, link[network.link_up], heard, rest)


def bare(address: str) -> str:
    """Leave the length of the prefix away: the page has no room for it."""
    return address.split("/", maxsplit=1)[0]


def _applications(page: Page, paint: Paint) -> Iterator[str]:
    names = page.status.applications()
    yield paint(Style.STRONG, "APPLICATIONS" if names else "APPLICATIONS  none is built")
    troubled = {finding.about for finding in page.findings}
    width = max((len(name) for name in names), default=0)
    for name in names:
        view = owner_view(page.status, name)
        if view is None:
            continue
        node, application = view
        text = application_text(page.status, node, application, paint)
        yield from filled(text, f"  {name:<{width}}  ")
        if len(names) <= DETAILED_MAX or name in troubled or application.phase != "running":
            yield from details(page, node, application)


def application_text(
    status: Status, node: NodeStatus, application: ApplicationStatus, paint: Paint
) -> str:
    """Say on one line what an application does, and how good its data is."""
    style = PHASE_STYLES.get(application.phase, Style.WARNING)
    state = paint(style, state_text(status, node, application))
    if of_application(node.maintenance, application.name, node.node) is not None:
        state += ", in maintenance"
    data = data_summary(node, application)
    return f"{state}, {data}" if data else state


def state_text(status: Status, node: NodeStatus, application: ApplicationStatus) -> str:
    """Say in a few words what an application is doing, and where."""
    if not application.owner:
        return "not placed on a node yet"
    if application.owner != node.node:
        return f"on {application.owner} when last heard"
    match application.phase:
        case "running":
            text = f"running on {node.node}"
            if application.wanted == "data":
                text = f"data only, on {node.node}"
        case "starting" | "stopping":
            text = f"{application.phase} on {node.node}"
        case "stuck":
            text = f"STUCK on {node.node}"
        case "stopped":
            text = "halted" if application.wanted == "down" else "stopped"
        case phase:
            text = f"{phase} on {node.node}"
    other = status.remote if node is status.local else status.local
    there = other.application(application.name) if other else None
    if other is not None and there is not None and there.phase not in {"stopped", "unknown"}:
        text += f", {there.phase} on {other.node}"
    return text


def data_summary(node: NodeStatus, application: ApplicationStatus) -> str:
    """Say in a few words how good the copies of the data are."""
    volumes = application.volumes
    if not volumes:
        return ""
    syncing = [volume for volume in volumes if volume.syncing]
    if syncing:
        waits = all(volume.waits_for for volume in syncing)
        return "data: resync waits" if waits else "data: resync runs"
    here = all(volume.disk == "UpToDate" for volume in volumes)
    there = all(volume.peer_disk == "UpToDate" for volume in volumes)
    if here and there:
        return "data UpToDate on both nodes"
    if here:
        return f"data UpToDate on {node.node} only"
    if there:
        return f"data UpToDate on {node.peer} only"
    somewhere = all("UpToDate" in {volume.disk, volume.peer_disk} for volume in volumes)
    return "data UpToDate on one node only" if somewhere else "data not UpToDate"


def details(
    page: Page, node: NodeStatus, application: ApplicationStatus, *, whole: bool = False
) -> Iterator[str]:
    """Yield what a page says of one application; ``whole``: also what is as it should be.

    The page that is whole has its monitors elsewhere.
    """
    rows: list[tuple[str, str]] = []
    if application.because and (whole or application.phase != "running"):
        rows.append(("why", application.because))
    placed = application.phase == "running" and application.preferred
    if placed and application.preferred != node.node:
        rows.append(("prefers", f"{application.preferred} (clmoveapp {application.name})"))
    if application.addresses:
        most = len(application.addresses) if whole else ADDRESSES_SHOWN
        shown = ", ".join(bare(address) for address in application.addresses[:most])
        more = len(application.addresses) - most
        rows.append(("addresses", f"{shown} and {more} more" if more > 0 else shown))
    rows += [("data", _volume(node, volume)) for volume in application.volumes]
    rows += [("resync", resync_text(v, page.rates)) for v in application.volumes if v.syncing]
    rows += [
        ("kept", kept_text(node, kept)) for volume in application.volumes for kept in volume.kept
    ]
    if not whole:
        rows += [("monitor", text) for text in bad_texts(application.monitors)]
    if application.watch is not None and not application.watch.answers:
        told = awaited(application.monitors) or "its Lems has not said anything yet"
        rows.append(("answers", f"not yet since its start; waits for {told}"))
    if application.changed:
        text = f"{', '.join(application.changed)}: differs from appconf.xml"
        rows.append(("monitors", f"{text} (lemsctl {application.name})"))
    if following := next_step(application):
        rows.append(("next", following))
    program = filter(None, (application.program if whole else "", under_way_text(application)))
    if told := "; ".join(program):
        rows.append(("program", told))
    rows += [("blocked", text) for text in blocks(application)]
    for label, text in rows:
        yield from filled(text, f"      {label:<10}")


def _volume(node: NodeStatus, volume: VolumeStatus) -> str:
    where = volume.mount_point or volume.resource
    return f"{where}: {copies_text(node, volume)}"


def copies_text(node: NodeStatus, volume: VolumeStatus) -> str:
    """Say in DRBD's words how good both copies are, as this node's kernel knows it."""
    if not volume.connection:
        return f"not configured in the kernel of {node.node}"
    here = f"{node.node} {volume.role} {volume.disk}"
    there = f"{node.peer} {volume.peer_role} {volume.peer_disk}"
    return f"{here}, {there}, {volume.connection}"


def resync_text(volume: VolumeStatus, rates: Mapping[str, float]) -> str:
    """Say how far a resync is and, where its speed is known, how long it still takes."""
    direction = "this copy to the peer" if volume.connection == "SyncSource" else "from the peer"
    done = "" if volume.sync_done is None else f" {100 * volume.sync_done:.0f} % done,"
    rate = rates.get(volume.resource, 0.0)
    left = f"{size_text(volume.out_of_sync_bytes)} left"
    if volume.waits_for:
        return f"{volume.resource}: waits for {volume.waits_for},{done} {left}, {direction}"
    if rate > 0:
        left += f", about {span_text(volume.out_of_sync_bytes / rate)} ({size_text(rate)}/s)"
    return f"{volume.resource}:{done} {left}, {direction}"
