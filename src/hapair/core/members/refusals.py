"""Why the peer cannot take an application now, with the mend."""

from hapair.core.applications import dependencies, maintenance, placement, trials
from hapair.core.copies import replication


def cannot_go(seen: placement.View) -> str:
    """Return why the peer cannot take the application, and all that belong on its node, now."""
    if refusal := _cannot_go(seen):
        return refusal
    for each in dependencies.fellows(seen):
        if refusal := _cannot_go(each):
            return f"{each.application.name} runs on its node: {refusal}"
    return ""


def _cannot_go(seen: placement.View) -> str:
    peer = seen.state.peer_name
    if not seen.agreed:
        return f"{peer} is not together with this node; see: clstat"
    if there := maintenance.holds_there(seen.state, seen.application.name):
        return f"{there.of} is in maintenance, so nothing is started; type: clmaintain off"
    if trials.takes_nothing(seen.state):
        return f"{peer} cannot store, so it takes nothing before its disk is mended; see: clstat"
    if no_resync := _no_resync(seen):
        return no_resync
    if differing := _differing(seen):
        return differing
    if not seen.peer_current or not seen.joined:
        return f"the copy of the data on {peer} is not UpToDate; wait for the resync, see: clstat"
    if other := placement.apart_there(seen):
        return f"{other} is on {peer}, and the two have to keep apart; see: clstat"
    if not seen.peer_stopped:
        return f"it is not stopped on {peer} yet; see: clstat --why {seen.application.name}"
    return ""


def _differing(seen: placement.View) -> str:
    """Say that a comparison found the copies to differ, which no waiting mends; empty: none did."""
    state, peer = seen.state, seen.state.peer_name
    for facts in replication.volume_facts(state, seen.application.name):
        if facts is not None and facts.differs:
            name = facts.resource
            mend = f"on {peer}: drbdadm disconnect {name}; drbdadm connect {name}"
            return f"the two copies of {name} differ, as a comparison found; type {mend}"
    return ""


def _no_resync(seen: placement.View) -> str:
    """Say that a disk is lost, so that the copies can never become equal; empty: none is."""
    state, peer, name = seen.state, seen.state.peer_name, seen.application.name
    for volume in replication.volumes(state, name):
        resource = volume.resource
        if replication.peer_has_no_disk(state, resource):
            return f"the disk of {resource} on {peer} is lost: no resync comes before it is mended"
        if not replication.has_no_disk(state, resource):
            continue
        lost = f"the disk of {resource} on {state.me} is lost, so no resync comes from here"
        if seen.peer_current:
            return f"{lost}; {name} goes to the copy of {peer} with: clhalt --node {state.me}"
        return f"{lost}, and the copy of {peer} may miss writes; type on {peer}: clstat"
    return ""
