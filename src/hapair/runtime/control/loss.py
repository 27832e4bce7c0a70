"""The loss estimate that a person sees before stating that the peer is down."""

from hapair.core.copies.loss import Copy, Estimate, estimate
from hapair.core.words.state import NodeState
from hapair.model.built import BuiltApplication
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk, Role
from hapair.model.status import Standing, Wanted
from hapair.rpc.messages import JsonObject
from hapair.runtime.history.replication_memory import Remembered


def estimates(state: NodeState, memory: Remembered) -> tuple[Estimate, ...]:
    """Judge what would be started here if the peer were down, and what that might lose."""
    return tuple(_of_application(state, memory, built) for built in state.built.applications)


def _of_application(state: NodeState, memory: Remembered, built: BuiltApplication) -> Estimate:
    name = built.application.name
    record = state.record(name)
    heard = [memory.ago_s(contact.heard_until_wall_s) for contact in memory.contacts]
    heard_ago_s = min((ago_s for ago_s in heard if ago_s is not None), default=None)
    wanted = record is not None and record.wanted is not Wanted.DOWN
    copies = [
        _copy(state, memory, volume.resource, wanted=wanted, heard_ago_s=heard_ago_s)
        for volume in built.volumes
    ]
    return estimate(name, copies, wanted=wanted)


def _copy(
    state: NodeState,
    memory: Remembered,
    resource: str,
    *,
    wanted: bool,
    heard_ago_s: float | None,
) -> Copy:
    facts, known = state.facts.get(resource), memory.copy(resource)
    primary = facts is not None and facts.role is Role.PRIMARY
    return Copy(
        resource=resource,
        attached=facts is not None and facts.disk is not Disk.DISKLESS,
        current=facts is not None and facts.current,
        connected=facts is not None and facts.kernel_answers,
        primary=primary,
        behind=resource in state.stored.behind,
        unproven=resource in (*state.stored.unproven, *state.stored.away),
        peer_could_go_on=wanted and _peer_could_go_on(state, primary=primary),
        equal_ago_s=memory.ago_s(known.equal_until_wall_s),
        connected_ago_s=memory.ago_s(known.connected_until_wall_s),
        heard_ago_s=heard_ago_s,
        missing_bytes=known.missing_bytes,
    )


def _peer_could_go_on(state: NodeState, *, primary: bool) -> bool:
    """Tell whether a peer that lived on out of sight could get its writes acknowledged alone.

    With fencing it would have had this node switched off; with a person it needs no right as
    long as this node cannot write (the brake's row ``operator-decides``).
    """
    match state.built.cluster.arbitration:
        case ArbitrationKind.FENCING:
            return False
        case ArbitrationKind.OPERATOR:
            return not primary
        case ArbitrationKind.WITNESS | ArbitrationKind.PATHS:
            return state.standing is not Standing.ALONE


def loss_object(state: NodeState, memory: Remembered) -> JsonObject:
    """Return the answer to the verb ``loss``."""
    return {
        "node": state.me,
        "peer": state.peer_name,
        "wall_s": memory.wall_s,
        "networks": [
            {"name": network.name, "heard_until_wall_s": memory.heard_until_wall_s(network.name)}
            for network in state.built.cluster.networks
        ],
        "generation": state.built.generation,
        "peer_generation": memory.peer_generation,
        "applications": [estimate_object(each, memory) for each in estimates(state, memory)],
    }


def estimate_object(told: Estimate, memory: Remembered) -> JsonObject:
    return {
        "name": told.application,
        "starts": told.starts,
        "text": told.text,
        "at_most_s": told.at_most_s,
        "volumes": [
            {
                "resource": copy.resource,
                "worth": copy.worth,
                "rule": copy.rule,
                "because": copy.because,
                "missing_bytes": copy.missing_bytes,
                "connected_until_wall_s": memory.copy(copy.resource).connected_until_wall_s,
                "equal_until_wall_s": memory.copy(copy.resource).equal_until_wall_s,
                "behind_since_wall_s": memory.copy(copy.resource).behind_since_wall_s,
            }
            for copy in told.copies
        ],
    }
