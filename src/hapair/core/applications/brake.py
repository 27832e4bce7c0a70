"""DRBD holds the writes: may a Primary go on, or begin, without its peer?

A Primary that loses its peer freezes its writes in the kernel and asks (fence-peer). Whoever
answers "go on" must know that the peer can never be promoted with a copy that misses them: it
holds no right and will get none, or it stored that its copy is behind. Until then nothing is
acknowledged, so nothing can be lost.
"""

from dataclasses import dataclass
from typing import Final

from hapair.core.copies import doubts, replication
from hapair.core.right import hearing
from hapair.core.words.effects import GO_ON, Act, AnswerFence, Do, FenceVerdict, Layer
from hapair.core.words.item import Item
from hapair.core.words.rules import Rule, first_match
from hapair.core.words.state import NodeState
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Role
from hapair.model.status import Standing

# None: the handler waits.
Reply = FenceVerdict | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """What decides about one resource whose writes are frozen, or that is being promoted."""

    application: str | None  # The one that has the resource.
    connected: bool
    early: bool  # Its handler asks, and the kernel's word that the connection ended may be late.
    given_up: bool  # The disk here is gone, or is being given up.
    alone: bool  # This node has the right to act alone.
    peer_stored_it: bool  # The peer stored that its copy is behind, and said so to this daemon.
    doubtful: bool  # The peer may have written alone meanwhile: its copy may be newer.
    gives_way: bool  # The other side has the right, or may get it.
    operator: bool  # The peer is silent, and only a person can let it take over.


BRAKE: Final[tuple[Rule[Frozen, Reply], ...]] = (
    Rule(
        "not-ours",
        lambda f: f.application is None,
        FenceVerdict.DENIED,
        "no application of this cluster has it",
    ),
    Rule(
        "early",
        lambda f: f.connected and f.early,
        None,
        "waiting for the kernel's word: it asked before it told that the connection ended",
    ),
    Rule("joined", lambda f: f.connected, FenceVerdict.DENIED, "the peer is connected again"),
    # To go on would crash the kernel: DRBD 8.4 then marks a new generation on the missing disk.
    Rule(
        "given-up",
        lambda f: f.given_up,
        FenceVerdict.DENIED,
        "the disk here is gone or given up: nothing is written here",
    ),
    Rule(
        "alone",
        lambda f: f.alone,
        FenceVerdict.PEER_FENCED,
        "this node has the right to act alone",
    ),
    Rule(
        "doubtful",
        lambda f: f.doubtful,
        FenceVerdict.DENIED,
        "the peer may have written alone meanwhile",
    ),
    Rule(
        "gives-way",
        lambda f: f.gives_way,
        FenceVerdict.DENIED,
        "the other side may go on: nothing more is acknowledged here",
    ),
    Rule(
        "peer-stored-it",
        lambda f: f.peer_stored_it,
        FenceVerdict.PEER_OUTDATED,
        "the peer stored that its copy is behind and will not be used",
    ),
    Rule(
        "operator-decides",
        lambda f: f.operator,
        FenceVerdict.PEER_FENCED,
        "the peer takes nothing over before a person says so",
    ),
    Rule("undecided", lambda _: True, None, "waiting for the peer to store it, or for the right"),
)


def frozen(state: NodeState, resource: str) -> Frozen:
    agreed = hearing.agreed(state)
    return Frozen(
        application=replication.application_of(state, resource),
        connected=_is_connected(state, resource),
        early=resource in state.early_until_s,
        given_up=_is_given_up(state, resource),
        alone=state.stored.holds_right and state.standing in (Standing.ALONE, Standing.LEAVING),
        peer_stored_it=hearing.peer_stored_it(state, resource),
        doubtful=doubts.is_doubtful(state, resource),
        gives_way=state.lost or state.isolated or hearing.superseded(state),
        operator=_only_a_person_decides(state) and not agreed,
    )


def _is_connected(state: NodeState, resource: str) -> bool:
    facts = state.facts.get(resource)
    return facts is not None and facts.kernel_answers


def _only_a_person_decides(state: NodeState) -> bool:
    """Tell whether the peer could take over by a person's word only, by its terms as well."""
    operator = state.built.cluster.arbitration is ArbitrationKind.OPERATOR
    return operator and state.stored.terms.shared


def _is_given_up(state: NodeState, resource: str) -> bool:
    facts = state.facts.get(resource)
    if facts is not None and facts.disk not in replication.ATTACHED:
        return True
    application = replication.application_of(state, resource) or ""
    item_state = state.items_of(application).get(Item(application, Layer.ATTACHED, resource))
    return item_state is not None and (item_state.spent or item_state.doing is Do.DETACH)


def verdict(state: NodeState, resource: str) -> Rule[Frozen, Reply]:
    """Return the row of the brake's table that holds for a resource."""
    return first_match(BRAKE, frozen(state, resource))


def frozen_ones(state: NodeState) -> dict[str, Rule[Frozen, Reply]]:
    """Return the resources whose writes are frozen, with the row of the table for each."""
    return {
        name: verdict(state, name) for name, facts in sorted(state.facts.items()) if facts.suspended
    }


def may_promote(state: NodeState, resource: str) -> bool:
    """Tell whether a promotion would be agreed to.

    The kernel waits for the handler in a way that nobody can break off, so it is only asked
    to promote when the answer is known.
    """
    seen = frozen(state, resource)
    return seen.connected or first_match(BRAKE, seen).answer in GO_ON


def absorb_question(turn: Turn, request_id: int, resource: str) -> None:
    """Take in that a handler asks; the kernel starts it and tells of the loss by two ways."""
    state = turn.state
    turn.change(
        fence_asked={**state.fence_asked, request_id: resource},
        early_until_s={**state.early_until_s, resource: state.now_s + timing.TOLD_S},
    )


def absorb_gone(turn: Turn, request_id: int) -> None:
    """Take in that a handler waits no more: from now on it tells the kernel what it was told."""
    state = turn.state
    _forget_question(turn, request_id)
    if (resource := state.going_on.get(request_id)) is not None:
        left = {number: name for number, name in state.going_on.items() if number != request_id}
        turn.change(going_on=left, told_at_s={**state.told_at_s, resource: state.now_s})


def may_go_on(state: NodeState, resource: str) -> bool:
    """Tell whether a handler that was told to go on may not have ended: it has its time.

    What it is told waits for the disk, and what is decided meanwhile is dated before that. So the
    time counts from when the answer was given, and until that is known there is no end to it.
    """
    if resource in state.going_on.values():
        return True
    told_s = state.told_at_s.get(resource)
    return told_s is not None and state.now_s < told_s + timing.HANDLER_S


def _forget_question(turn: Turn, request_id: int) -> None:
    asked = turn.state.fence_asked
    turn.change(
        fence_asked={number: name for number, name in asked.items() if number != request_id}
    )


def _settle_early(turn: Turn) -> None:
    """Wait no longer where the loss is known by now, or would be: from then on "joined" is so."""
    state = turn.state
    early = {
        resource: until_s
        for resource, until_s in state.early_until_s.items()
        if state.now_s < until_s and _is_connected(state, resource)
    }
    if early != state.early_until_s:
        turn.change(early_until_s=early)


def settle(turn: Turn) -> None:
    """Answer the handlers that wait, and let writes go on that nobody asks for any more."""
    _settle_early(turn)
    for request_id, resource in tuple(turn.state.fence_asked.items()):
        rule = verdict(turn.state, resource)
        if rule.answer is not None:
            _forget_question(turn, request_id)
            if rule.answer in GO_ON:
                turn.change(going_on={**turn.state.going_on, request_id: resource})
            turn.effects.append(AnswerFence(request_id, rule.answer, rule.because))
    asked = tuple(turn.state.fence_asked.values())
    still: dict[str, float] = {}
    for resource, facts in sorted(turn.state.facts.items()):
        # To resume would let go what an administrator froze as well.
        frozen = facts.suspended and not facts.held
        stands = frozen and facts.role is Role.PRIMARY and resource not in asked
        if stands and verdict(turn.state, resource).answer in GO_ON:
            still[resource] = _resume(turn, resource)
    if still != turn.state.resume_at_s:
        turn.change(resume_at_s=still)


def _resume(turn: Turn, resource: str) -> float:
    """Let writes go on for which no handler asks, e.g. because the daemon was away too long.

    Returns when that is (next) done: a handler that has just been started gets its time.
    """
    state = turn.state
    application = replication.application_of(state, resource) or ""
    at_s = state.resume_at_s.get(resource, state.now_s + timing.HANDLER_S)
    if state.now_s < at_s:
        return at_s
    turn.note("resumed", f"the frozen writes of {resource} go on", application)
    effect_id = turn.number()
    turn.effects.append(Act(effect_id, Do.RESUME, application, resource, timing.RESUME_S))
    return state.now_s + timing.RESUME_S
