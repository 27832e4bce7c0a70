"""What ``status`` and ``why`` answer: the core's report as JSON, and what the runtime adds."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from hapair import __version__
from hapair.core.applications.maintenance import left_s
from hapair.core.copies.resync import goes_first
from hapair.core.explain import Alarm, ApplicationReport, ItemReport, Reason, Report, report, why
from hapair.core.words.protocol import FEATURES, PROTOCOL
from hapair.core.words.state import NodeState
from hapair.model.application import Application, OcfAgent, Program, Script, Unit, Volume
from hapair.model.built import BuiltApplication
from hapair.model.cluster import Network
from hapair.model.data import VolumeFacts
from hapair.rpc.messages import JsonObject
from hapair.runtime.building.drift import Drifts
from hapair.runtime.history.replication_memory import Pace, Remembered
from hapair.runtime.node.lineage import OLDER_MAX
from hapair.runtime.node.views import LinkView

DIGITS: Final = 3  # Milliseconds.


def nothing_more(_: str) -> JsonObject:
    """Tell nothing of an application."""
    return {}


@dataclass(frozen=True, slots=True)
class Besides:
    """What others than the core know of this node, and of its applications by their names."""

    alarms: tuple[Alarm, ...] = ()
    of_application: Callable[[str], JsonObject] = nothing_more


def node_status(
    state: NodeState,
    now_s: float,
    drifts: Drifts,
    link: LinkView,
    memory: Remembered = Remembered(),  # noqa: B008 - frozen
    besides: Besides = Besides(),
) -> JsonObject:
    """Return what this node knows, as the control socket's language has it."""
    told = report(state, now_s)
    built = {each.application.name: each for each in state.built.applications}
    return {
        "cluster": state.built.cluster.name,
        "node": told.node,
        "peer": told.peer,
        "standing": told.standing,
        "epoch": told.epoch,
        "holds_right": told.holds_right,
        "generation": state.built.generation,
        "secret_number": state.built.secret_number,
        "arbitration": state.built.cluster.arbitration,
        "third_parties": _third_parties(state),
        "version": __version__,
        "protocol": PROTOCOL,
        "features": dict(FEATURES),
        "drift": {"clconf": drifts.clconf, "applications": dict(drifts.applications)},
        "wall_s": memory.wall_s,
        "maintenance": _maintenance(state, now_s),
        "networks": _networks(state, told, memory),
        "peer_view": _peer_view(state, told, link) | {"generation": memory.peer_generation},
        "alarms": [
            asdict(alarm) for alarm in (*told.alarms, *_link_alarms(state, link), *besides.alarms)
        ],
        "applications": [
            _application(state, each, built[each.name], memory) | besides.of_application(each.name)
            for each in told.applications
        ],
    }


def _maintenance(state: NodeState, now_s: float) -> list[JsonObject]:
    return [
        {
            "of": each.of,
            "reason": each.reason,
            "since_wall_s": each.wall_s,
            "left_s": _rounded(left_s(state, each, now_s)),
        }
        for each in state.stored.maintenance
        if each.on
    ]


def _third_parties(state: NodeState) -> JsonObject:
    cluster = state.built.cluster
    return {
        "witnesses": [
            {"kind": each.kind, "at": each.at, "answers": state.witness.seen.get(index)}
            for index, each in enumerate(cluster.witnesses)
        ],
        "agents": [each.agent for each in cluster.methods_against(state.peer_name)],
        "watchdog": cluster.watchdog.device if cluster.watchdog is not None else "",
        "lead_s": cluster.lead_s,
        "lease_s": cluster.lease_s,
        "waiver": state.stored.tie.waiver,
        "yields": state.stored.tie.yields > 0,
    }


def _networks(state: NodeState, told: Report, memory: Remembered) -> list[JsonObject]:
    heard = dict(told.heard_ago_s)
    return [
        _network(state, network, heard.get(network.name))
        | {"heard_until_wall_s": memory.heard_until_wall_s(network.name)}
        for network in state.built.cluster.networks
    ]


def _network(state: NodeState, network: Network, heard_ago_s: float | None) -> JsonObject:
    attachment = network.attachment(state.me)
    return {
        "name": network.name,
        "link_up": state.links.get(network.name),
        "heard_ago_s": _rounded(heard_ago_s),
        "address": str(attachment.address),
        "cards": list(attachment.cards),
        "reference": network.reference or "",
        "crossover": network.crossover,
        "replication": network.replication,
    }


def _link_alarms(state: NodeState, link: LinkView) -> tuple[Alarm, ...]:
    """Warn of a peer that lives but cannot be talked to: the two can agree on nothing."""
    if link.older >= OLDER_MAX:
        text = (
            f"the heartbeats of {state.peer_name} are older than known, and are not listened to:"
            " it counts its starts anew (a new disk, and a clock that is not set), or somebody"
            " repeats recorded ones"
        )
        return (Alarm("older-heartbeats", text),)
    if link.connected or not link.trouble or not state.peer_heard:
        return ()
    text = f"{state.peer_name} sends heartbeats, but no connection to it is possible: "
    return (Alarm("not-connected", text + link.trouble),)


def _peer_view(state: NodeState, told: Report, link: LinkView) -> JsonObject:
    beat = state.peer.beat
    ages_s = [ago_s for _, ago_s in told.heard_ago_s if ago_s is not None]
    return {
        "standing": beat.standing if beat is not None else "",
        "protocol": beat.protocol if beat is not None else 0,
        "heard_ago_s": _rounded(min(ages_s)) if ages_s else None,
        "connected": link.connected,
        "trouble": link.trouble,
        "rejected": link.rejected,
    }


def _application(
    state: NodeState, told: ApplicationReport, built: BuiltApplication, memory: Remembered
) -> JsonObject:
    application = built.application
    decisive = told.reasons[0]
    facts = zip(built.volumes, told.facts, strict=True)
    return {
        "name": told.name,
        "owner": told.owner,
        "wanted": told.wanted,
        "preferred": application.preferred,
        "phase": told.phase,
        "why": {"rule": decisive.rule, "text": decisive.text},
        "failed_on": list(told.failed_on),
        "failures": [
            {
                "node": each.node,
                "count": each.count,
                "wall_s": each.wall_s,
                "runs": each.runs,
            }
            for each in told.failures
        ],
        "data_current": told.data_current,
        "addresses": [str(each.address) for each in application.addresses],
        "program": program_text(application.program),
        "volumes": [_volume(volume, known, state, memory) for volume, known in facts],
        "items": [_item(item) for item in told.items],
    }


def _volume(
    volume: Volume, facts: VolumeFacts | None, state: NodeState, memory: Remembered
) -> JsonObject:
    known = memory.copy(volume.resource)
    value: JsonObject = {
        "resource": volume.resource,
        "mount_point": volume.mount_point,
        "behind": volume.resource in state.stored.behind,
        "unproven": volume.resource in (*state.stored.unproven, *state.stored.away),
        "connected_until_wall_s": known.connected_until_wall_s,
        "equal_until_wall_s": known.equal_until_wall_s,
        "apart_since_wall_s": known.apart_since_wall_s,
        "behind_since_wall_s": known.behind_since_wall_s,
        "missing_bytes": known.missing_bytes,
        "kept": [
            {"name": f"{each.volume_group}/{each.name}", "made_wall_s": each.made_wall_s}
            for each in memory.kept_of(volume.resource)
        ],
        "resync": _resync(memory.pace(volume.resource), facts, state),
    }
    if facts is not None:
        value |= {
            "role": facts.role,
            "peer_role": facts.peer_role,
            "disk": facts.disk,
            "peer_disk": facts.peer_disk,
            "connection": facts.connection,
            "suspended": facts.suspended or facts.held,
            "out_of_sync_bytes": facts.out_of_sync_bytes,
            "sync_done": facts.sync_done,
        }
    return value


def _resync(pace: Pace | None, facts: VolumeFacts | None, state: NodeState) -> JsonObject | None:
    if facts is None:
        return None
    waits_for = _waits_for(facts, state)
    if pace is None and waits_for is None:
        return None
    pace = pace or Pace(facts.resource, 0.0)
    left_s = facts.out_of_sync_bytes / pace.bytes_s if pace.bytes_s > 0 else None
    return {
        "bytes_s": round(pace.bytes_s),
        "left_s": _rounded(left_s),
        "stalled": pace.stalled,
        "waits_for": waits_for,
    }


def _waits_for(facts: VolumeFacts, state: NodeState) -> str | None:
    """Return the resource whose resync runs now, else the one that comes next before this one."""
    before = state.built.resynced_before(facts.resource)
    if not facts.waits or not before:
        return None
    known = tuple(state.facts.get(each.resource) for each in before)
    return goes_first(facts, known) or before[-1].resource


def _item(item: ItemReport) -> JsonObject:
    return asdict(item)


def program_text(program: Program | None) -> str:
    match program:
        case None:
            return ""
        case Script(path):
            return path
        case Unit(name):
            return name
        case OcfAgent(provider, kind):
            return f"ocf:{provider}:{kind}"


def why_object(state: NodeState, application: Application) -> JsonObject:
    """Return the row of each table that decides about an application on this node."""
    return {"node": state.me, "reasons": [_reason(each) for each in why(state, application)]}


def _reason(reason: Reason) -> JsonObject:
    return {"table": reason.table, "rule": reason.rule, "text": reason.text}


def _rounded(span_s: float | None) -> float | None:
    return None if span_s is None else round(max(span_s, 0.0), DIGITS)
