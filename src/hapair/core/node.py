"""The one door of the decision core: begin() and step().

Pure: no clock, no chance, no I/O. One step absorbs one event, then lets every part bring its
piece of the state up to date, and returns the effects in the order in which they must be done:
what must survive is stored first.
"""

from dataclasses import replace

from hapair.core.applications import (
    brake,
    elsewhere,
    endings,
    failures,
    hands,
    health,
    items,
    ladder,
    last_rung,
    layers,
    maintenance,
    mounts,
    reconnect,
    runs,
    trials,
    unseen,
    upkeep,
)
from hapair.core.applications.goals import Goal
from hapair.core.copies import diskless, doubts, missed, replication
from hapair.core.invariants import check_step
from hapair.core.members import commands, formation, membership
from hapair.core.right import fencing, hearing, holding, terms, witness
from hapair.core.words.effects import Effect, Guard, Layer, Publish, SetBeat, Severity, Store
from hapair.core.words.events import (
    Beat,
    Commanded,
    Configured,
    DataChanged,
    Ended,
    EndedTogether,
    Event,
    FenceAsked,
    FenceAskerGone,
    Fenced,
    Form,
    Heard,
    HeardTogether,
    LinkChanged,
    LookAgain,
    Looked,
    LookedTogether,
    NotStated,
    NotUnderstood,
    PeerApplication,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Start,
    Tick,
    Unwatched,
    Watched,
    WitnessAnswered,
)
from hapair.core.words.peer import WitnessView
from hapair.core.words.protocol import OURS, PROTOCOL
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.built import Built
from hapair.model.status import Phase, Standing

Step = tuple[NodeState, tuple[Effect, ...]]


def begin(
    me: str, boot_id: str, incarnation: int, built: Built, stored: Stored, at_s: float
) -> Step:
    """Return the state of a daemon that has just started, and its first effects.

    After a crash of the daemon the node goes on where it was: it adopts what runs. After a
    boot it is halted until clstartup or clform forms it.
    """
    state = NodeState(
        me=me,
        boot_id=boot_id,
        incarnation=max(incarnation, stored.incarnation + 1),
        built=built,
        stored=stored,
        now_s=at_s,
        quiet_since_s=at_s,
    )
    turn = Turn(state)
    terms.take_over(turn)
    items.sync(turn)
    if stored.formed and stored.formed_boot_id == boot_id:
        if stored.joined_boot_id != boot_id:
            form = Form(start=Start.BY_BOOT, allow_single_node=False)
            turn.change(
                standing=Standing.FORMING,
                stranger=True,  # It may find running what a peer waits to take over.
                form=form,
                form_until_s=at_s + form.timeout_s,
                fresh=tuple(b.application.name for b in built.applications),
            )
        else:
            standing = Standing.ALONE if stored.holds_right else Standing.CUT
            turn.change(standing=standing, stranger=True)
            if standing is Standing.ALONE:
                holding.wait_for_lease(turn)
    elif stored.formed:
        turn.store(formed=False)
    _settle(turn)
    return _finish(state, turn)


def forgetful(begun: NodeState) -> NodeState:
    """Return it for a daemon whose predecessor in this boot ended while the disk took nothing.

    What that one had heard, e.g. that the peer acts alone, may not be stored.
    """
    return replace(begun, forgot=begun.standing is Standing.CUT)


def step(state: NodeState, event: Event) -> Step:
    """Return the next state and the effects that the event asks for.

    Raises:
        BrokenInvariantError: a bug; nothing of the returned effects was to be done.
    """
    turn = Turn(state)
    if not isinstance(event, HeardTogether):  # Each of those has its own time.
        _advance_clock(turn, event.at_s)
    _absorb(turn, event)
    repeats = isinstance(event, Heard | HeardTogether) and hearing.repeats(state, event)
    if repeats and turn.state.stored is state.stored:
        return turn.state, ()  # Most events are such; the next tick does what is due by now.
    commands.ask_again(turn)
    _settle(turn)
    if turn.state.standing is Standing.TOGETHER and state.standing is not Standing.TOGETHER:
        layers.announce(turn)
    return _finish(state, turn)


def _advance_clock(turn: Turn, at_s: float) -> None:
    """Move on to the time of the event; after a pause what was agreed before is void (row 21)."""
    state = turn.state
    gap_s = at_s - state.now_s
    turn.change(now_s=max(at_s, state.now_s))
    if gap_s <= state.detection_s:
        return
    # What the peer sent meanwhile waits in the socket, and may be as old as the pause: nothing that
    # was said to the former incarnation counts any more.
    incarnation = state.incarnation + 1
    turn.store(incarnation=incarnation)
    cut_off = state.standing is Standing.CUT and not replication.kernel_answers(state)
    if cut_off and state.leased_from_s is None:
        turn.change(leased_from_s=hearing.in_touch_until_s(state))
    turn.change(quiet_since_s=at_s, incarnation=incarnation, accepted=0, confirmed=False)
    replication.doubt_connections(turn, state.joined_from_s)
    turn.change_peer(heard_at_s={})
    if state.standing in (Standing.TOGETHER, Standing.CUT):
        membership.miss(turn)
    elif state.standing in (Standing.FORMING, Standing.LEAVING):
        turn.change(stranger=True)
    if state.standing is Standing.TOGETHER:
        turn.change(standing=Standing.CUT, accepted=0)
        turn.note("paused", f"this node stood still for {gap_s:.1f} s; it asks the peer first")


def _absorb(turn: Turn, event: Event) -> None:
    match event:
        case Tick():
            pass
        case Heard(at_s, network, beat):
            membership.absorb_beat(turn, network, beat, at_s)
        case NotUnderstood(at_s, incarnation):
            membership.absorb_not_understood(turn, incarnation, at_s)
        case HeardTogether(_, beats):
            _absorb_together(turn, beats)
        case PeerStated(_, peer_state, lives):
            membership.absorb_state(turn, peer_state, lives=lives)
        case NotStated(_, why):
            membership.absorb_not_stated(turn, why)
        case DataChanged(at_s, facts):
            first, before = not turn.state.facts_read, turn.state.facts
            replication.absorb_kernel(turn, facts, at_s)
            doubts.absorb_completed(turn, before)
            if first:
                doubts.doubt_what_lost_its_disk(turn)
                items.find_given_up(turn)
            else:
                doubts.absorb_lost_disks(turn, before)
            items.absorb_facts(turn)
        case LinkChanged(_, network, up):
            turn.change(links={**turn.state.links, network: up})
        case ReferencesProbed(at_s, answering):
            membership.absorb_probe(turn, answering, at_s)
        case WitnessAnswered():
            witness.absorb(turn, event)
        case Fenced():
            fencing.absorb(turn, event)
        case FenceAsked(_, request_id, resource):
            brake.absorb_question(turn, request_id, resource)
        case FenceAskerGone(_, request_id):
            brake.absorb_gone(turn, request_id)
        case Ended():
            endings.absorb_ends(turn, (event,))
        case EndedTogether(_, ends):
            endings.absorb_ends(turn, ends)
        case Looked():
            endings.absorb_looks(turn, (event,))
        case LookedTogether(_, answers):
            endings.absorb_looks(turn, answers)
        case LookAgain(_, seen):
            upkeep.doubt(turn, seen)
        case Watched():
            health.absorb_found(turn, event)
        case Unwatched():
            health.absorb_silence(turn, event)
        case Commanded(_, request_id, command):
            commands.handle(turn, request_id, command)
        case Configured(_, built):
            if built.cluster.witnesses != turn.state.built.cluster.witnesses:
                turn.change(witness=WitnessView())  # The new ones have said nothing yet.
            turn.change(built=built)
            terms.take_over(turn)
            items.sync(turn)
            replication.absorb_built(turn)
            items.absorb_built(turn)


def _absorb_together(turn: Turn, beats: tuple[Heard | NotUnderstood, ...]) -> None:
    """Take in what came while nothing was decided: the newest word counts, but for lost writes."""
    told: set[str] = set()
    unsure: set[str] = set()
    for each in beats:
        _advance_clock(turn, each.at_s)
        _absorb(turn, each)
        told_now, unsure_now = doubts.told_unprotected(turn.state)
        if told_now or unsure_now:
            turn.change(told_alone_s=each.at_s)
        told |= told_now
        unsure |= unsure_now
    doubts.absorb_told(turn, told, unsure)


def _settle(turn: Turn) -> None:
    if turn.state.confirmed and replication.kernel_answers(turn.state):
        turn.change(confirmed=False)
        text = f"the kernel of {turn.state.peer_name} answers: that it is down counts no longer"
        turn.note("not-confirmed", text, severity=Severity.WARNING)
    items.settle(turn)
    doubts.update(turn)
    membership.settle(turn)
    terms.settle(turn)
    formation.settle(turn)
    diskless.settle(turn)
    missed.settle(turn)
    witness.settle(turn)
    maintenance.settle(turn)
    failures.settle(turn)
    health.settle(turn)
    turn.change(claims=())
    reached = hands.settle(turn)
    for application, goal in reached:
        stopped = items.is_stopped(turn.state, application.name)
        match goal:
            case _ if not stopped and items.is_spent(turn.state, application.name):
                ladder.give_way(turn, application)
            case Goal.RELEASE:
                ladder.take_down(turn, application, None)
            case Goal.GIVE_WAY if not stopped:
                ladder.give_way(turn, application)
            case Goal.STANDBY if not stopped:
                ladder.take_down(turn, application, Layer.ATTACHED)
            case Goal.STANDBY | Goal.GIVE_WAY:
                layers.bring_up(turn, application, Layer.ATTACHED)
            case Goal.UP if health.stops(turn, application):
                pass
            case Goal.DATA | Goal.UP if turn.state.now_s < failures.again_at_s(
                turn.state, application.name
            ):
                layers.await_retry(turn, application)
            case Goal.DATA:
                layers.bring_up(turn, application, Layer.MOUNTED)
            case Goal.UP:
                if not mounts.stops_for_mount(turn, application):
                    layers.bring_up(turn, application, Layer.PROGRAM)
                upkeep.put_back(turn, application)
            case Goal.KEEP:
                layers.bring_up(turn, application, Layer.ATTACHED)
    trials.settle(turn)
    upkeep.settle(turn)
    unseen.settle(turn)
    elsewhere.settle(turn)
    brake.settle(turn)
    reconnect.settle(turn)
    _finish_leaving(turn)
    _forget_fresh(turn)
    runs.settle(turn, {application.name: goal for application, goal in reached})
    commands.settle(turn)


def _finish_leaving(turn: Turn) -> None:
    """Halt when everything is down and the peer has taken the right over, if it can."""
    state = turn.state
    leave = state.leave
    if state.standing is not Standing.LEAVING or leave is None:
        return
    names = [b.application.name for b in state.built.applications]
    stopped = all(items.is_stopped(state, name) for name in names)
    late = state.now_s >= state.leave_until_s
    theirs = state.peer.state
    peer_gone = membership.takes_nothing_over(state)
    if trials.waits(state):
        return  # What is handed over has not been given yet.
    if stopped and state.stored.formed and (not leave.last or peer_gone or late):
        turn.store(formed=False, ceded=not state.stored.holds_right)
        return
    if state.stored.formed or not items.is_released(state):
        return
    # From now on the peer hears that all is left to it; one that stood still takes nothing over.
    until_s = min(state.leave_until_s, state.now_s + timing.TAKE_OVER_S)
    turn.change(leave_until_s=until_s)
    peer_took_over = theirs is not None and theirs.holds_right
    if state.stored.holds_right or peer_gone or peer_took_over or late:
        membership.halted(turn)
        turn.note("halted", "this node left the cluster in order")


def _forget_fresh(turn: Turn) -> None:
    """An application that ran once, here or there, is no longer placed as if all were new.

    Nobody knows that of one that is still looked for: its looks may be slow at a boot.
    """
    theirs = turn.state.peer.state
    said = theirs.applications if theirs is not None else ()
    runs_there = {a.application for a in said if a.phase in (Phase.STARTING, Phase.RUNNING)}
    fresh = tuple(
        name
        for name in turn.state.fresh
        if (items.is_stopped(turn.state, name) or items.is_unknown(turn.state, name))
        and name not in runs_there
    )
    if fresh != turn.state.fresh:
        turn.change(fresh=fresh)


def _finish(before: NodeState, turn: Turn) -> Step:
    layers.note_progress(turn, before)
    last_rung.settle(turn, before)
    state = turn.state
    head: list[Effect] = []
    if state.stored != before.stored:
        head.append(Store(state.stored))
    peer_state = peer_state_of(state)
    beat = beat_of(state)
    if peer_state != state.published:
        head.append(Publish(peer_state))
        state = replace(state, published=peer_state)
    if beat != state.beaten:
        head.append(SetBeat(beat))
        state = replace(state, beaten=beat)
    guarded = items.runs_anything(state)
    tail: list[Effect] = []
    if guarded is not None and guarded is not state.guarded:
        state = replace(state, guarded=guarded)
        (head if guarded else tail).append(Guard(guarded))
    effects = (*head, *turn.effects, *tail)
    check_step(before, state, effects)
    return state, effects


def beat_of(state: NodeState) -> Beat:
    """Return what the heartbeats say in this state."""
    return Beat(
        incarnation=state.incarnation,
        echo=state.peer.incarnation if hearing.peer_alive(state) else 0,
        standing=state.standing,
        epoch=state.stored.epoch,
        unprotected=replication.unprotected(state),
        losses=state.losses,
        protocol=PROTOCOL,
        idle=items.runs_anything(state) is False,
    )


def peer_state_of(state: NodeState) -> PeerState:
    """Return what the peer's core is told in this state."""
    leaving = state.standing is Standing.LEAVING and not state.stored.formed
    said = tuple(_say(state, b.application) for b in state.built.applications)
    behind = (each.application for each in said if not each.data_current)
    return PeerState(
        incarnation=state.incarnation,
        accepted=state.accepted,
        standing=state.standing,
        epoch=state.stored.epoch,
        generation=state.built.generation,
        records=state.stored.records,
        applications=said,
        left=(leaving and items.is_released(state)) or membership.has_left(state),
        holds_right=state.stored.holds_right,
        asked=state.stored.asked,
        behind=doubts.never_promoted(state),
        wrote_nothing=state.stored.wrote_nothing,
        partly_current=doubts.partly_current(state, behind),
        you_miss=missed.told(state),
        seen_losses=state.peer.seen_losses,
        tie=state.stored.tie,
        asks_store=state.trial.number,
        stored_for=state.stored.stored_for,
        speaks=OURS,
        terms=terms.said(state),
        maintenance=state.stored.maintenance,
    )


def _say(state: NodeState, application: Application) -> PeerApplication:
    name = application.name
    phase: Phase = commands.phase(state, application)
    return PeerApplication(name, phase, doubts.data_current(state, name))
