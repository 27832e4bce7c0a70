"""What an operator may ask for, and when the answer is given."""

from dataclasses import replace
from typing import Final

from hapair.core.applications import goals, items, ladder, maintenance, placement, trials
from hapair.core.copies import doubts, replication
from hapair.core.members import belonging, formation, membership, refusals, unproven
from hapair.core.right import hearing
from hapair.core.right.arbitration import Verdict
from hapair.core.words.effects import Severity
from hapair.core.words.events import (
    Clear,
    Command,
    ConfirmCopy,
    ConfirmPeerDown,
    Forget,
    Form,
    Halt,
    Introduce,
    Leave,
    Maintain,
    Move,
    Run,
    Want,
)
from hapair.core.words.state import Held, NodeState, Pending
from hapair.core.words.turn import Turn
from hapair.model import timing
from hapair.model.application import Application
from hapair.model.backing import Trust
from hapair.model.status import Phase, Record, Standing, Wanted

MEMBER: Final = (Standing.TOGETHER, Standing.ALONE, Standing.CUT)


def handle(turn: Turn, request_id: int, command: Command) -> None:
    """Begin what the command asks for, or refuse it with the mend; nothing changes then."""
    if isinstance(command, Run | Halt | Move):
        _withdraw_held(turn, command.application)
    _handle(turn, request_id, command)


def _withdraw_held(turn: Turn, application: str) -> None:
    """The newest command about an application counts: what was held back must not undo it later."""
    for held in turn.state.held:
        if held.command.application == application:
            turn.change(held=tuple(other for other in turn.state.held if other != held))
            turn.reply(held.request_id, "another command was typed meanwhile", accepted=False)


def _handle(turn: Turn, request_id: int, command: Command) -> None:
    match command:
        case Form():
            _form(turn, request_id, command)
        case Leave():
            _leave(turn, request_id, command)
        case Introduce():
            belonging.introduce(turn, request_id, command)
        case Want():
            belonging.want(turn, request_id, command)
        case Forget():
            belonging.forget(turn, request_id, command)
        case Maintain():
            maintenance.order(turn, request_id, command)
        case ConfirmPeerDown():
            _confirm(turn, request_id)
        case ConfirmCopy(name):
            _confirm_copy(turn, request_id, name)
        case Run(name) | Halt(name) | Move(name) | Clear(name):
            _application_command(turn, request_id, command, name)


def _form(turn: Turn, request_id: int, command: Form) -> None:
    state = turn.state
    if state.standing is Standing.LEAVING and not state.stored.formed:
        turn.reply(request_id, "this node is being halted; wait for it", accepted=False)
        return
    until_s = state.now_s + command.timeout_s
    if state.standing is Standing.LEAVING:
        turn.note("stays", "this node stays in the cluster: an operator asked")
        membership.stay(turn)
    elif state.standing is Standing.FORMING:
        turn.change(form=command, form_until_s=until_s)
    elif state.standing is Standing.HALTED:
        # It has left since it was a member: a daemon that is started anew forms anew, too.
        turn.store(formed=True, formed_boot_id=state.boot_id, joined_boot_id="")
        if not state.stored.holds_right:
            doubts.distrust(turn, away=True)
        names = tuple(b.application.name for b in state.built.applications)
        turn.change(
            standing=Standing.FORMING,
            form=command,
            form_until_s=until_s,
            quiet_since_s=state.now_s,
            fresh=names,
        )
        turn.note("forming", f"waits up to {command.timeout_s:.0f} s for {state.peer_name}")
    _await(turn, request_id, "form", "", command.timeout_s + timing.FORM_ANSWER_S)


def _leave(turn: Turn, request_id: int, command: Leave) -> None:
    state = turn.state
    stop_s = max((b.application.limits.stop_s for b in state.built.applications), default=0.0)
    limit_s = stop_s * 2 + timing.LEAVE_S
    if state.standing in (Standing.HALTED, Standing.FORMING):
        turn.store(formed=False)
        membership.halted(turn)
    elif state.standing is not Standing.LEAVING:
        turn.change(standing=Standing.LEAVING, leave=command, leave_until_s=state.now_s + limit_s)
        word = "hands its applications over" if command.handover else "stops its applications"
        turn.note("leaving", f"this node {word} and leaves the cluster")
    elif state.leave is not None and command.shutdown:
        turn.change(leave=replace(state.leave, shutdown=True))
    _await(turn, request_id, "leave", "", limit_s)


def _confirm(turn: Turn, request_id: int) -> None:
    state = turn.state
    in_doubt = state.standing is Standing.ALONE and (state.stored.unproven or state.stored.away)
    if state.standing not in (Standing.CUT, Standing.FORMING) and not in_doubt:
        text = f"nothing waits for a confirmation: this node is {state.standing}"
        doubted = [name for name in state.built.by_name if unproven.unprovable(state, name)]
        if doubted:
            text += f"; of a copy that may miss writes: clconfirm copy-is-good {doubted[0]}"
        turn.reply(request_id, text, accepted=False)
    elif hearing.peer_alive(state) or hearing.peer_unable(state):
        text = f"{state.peer_name} sends heartbeats, so it is not down"
        if hearing.peer_left(state):
            text = f"{state.peer_name} is halted, not down; type there: clform"
        turn.reply(request_id, text, accepted=False)
    elif not state.facts_read:
        text = "the state of the data is not known yet; type it again in a moment"
        turn.reply(request_id, text, accepted=False)
    elif replication.kernel_answers(state):
        text = (
            f"the kernel of {state.peer_name} answers on the replication link; power it off first"
        )
        turn.reply(request_id, text, accepted=False)
    else:
        if in_doubt:
            turn.store(unproven=(), away=())
        else:
            turn.change(confirmed=True)
        text = f"the operator confirmed that {state.peer_name} is down"
        turn.note("confirmed", text, severity=Severity.WARNING)
        turn.reply(request_id, text, accepted=True)


def _confirm_copy(turn: Turn, request_id: int, name: str) -> None:
    """Use copies although they were written behind DRBD, or cannot be proven (``unproven``).

    Only those that the peer cannot complete: its current copies replace theirs by themselves.
    """
    state = turn.state
    names = [v.resource for v in replication.volumes(state, name)]
    foreign = {each for each in names if doubts.is_foreign(state, each)}
    anew = {each for each in names if doubts.has_come_anew(state, each)}
    doubted = set(unproven.unprovable(state, name))
    unknown = foreign | anew | doubted
    current = [n for n in names if hearing.agreed(state) and doubts.is_current_there(state, n)]
    chosen = unknown.difference(current)
    if not unknown:
        text = f"no copy of {name} here is known to have been written behind DRBD"
        turn.reply(request_id, text, accepted=False)
    elif not chosen:
        text = f"{state.peer_name} has a current copy, and this one is completed from it by itself"
        turn.reply(request_id, text, accepted=False)
    else:
        for resource in sorted(chosen & foreign):
            doubts.decide_foreign(turn, resource, Trust.AS_IT_IS)
        for resource in sorted(chosen & anew):
            doubts.forget_foreign(turn, resource)
        doubts.believe(turn, chosen & doubted)
        meant = ", ".join(sorted(chosen))
        text = f"{meant}: the operator confirmed that the copy on {state.me} is good"
        turn.note("confirmed", text, name, Severity.WARNING)
        turn.reply(request_id, text, accepted=True)


def _application_command(
    turn: Turn, request_id: int, command: Run | Halt | Move | Clear, name: str
) -> None:
    state = turn.state
    built = state.built.by_name.get(name)
    record = state.record(name)
    if built is None:
        refusal = f"there is no application {name}; see: clstat"
    elif state.standing not in MEMBER:
        refusal = f"this node is {state.standing}; type: clform"
    elif record is None:
        refusal = f"no node knows {name} yet; type on the node with its data: clbuildapp {name}"
    elif record.owner != state.me:
        refusal = f"{name} belongs to {state.peer_name}, which does not answer"
    else:
        _own_command(turn, request_id, command, built.application, record)
        return
    turn.reply(request_id, refusal, accepted=False)


def _own_command(
    turn: Turn,
    request_id: int,
    command: Run | Halt | Move | Clear,
    application: Application,
    record: Record,
) -> None:
    limit_s = (application.limits.start_s + application.limits.stop_s) + timing.COMMAND_S
    match command:
        case Halt():
            belonging.write(turn, record, wanted=Wanted.DOWN)
            _await(turn, request_id, "halt", application.name, limit_s)
        case Run():
            _run(turn, request_id, command, application, record)
        case Move():
            _move(turn, request_id, command, application, record)
        case Clear():
            belonging.clear(turn, request_id, record)


def _run(
    turn: Turn, request_id: int, command: Run, application: Application, record: Record
) -> None:
    state = turn.state
    node = command.node
    if node is not None and node not in state.built.cluster.nodes:
        known = " or ".join(f"--node {each}" for each in state.built.cluster.nodes)
        text = f"there is no node {node} in this cluster; type: {known}"
        turn.reply(request_id, text, accepted=False)
        return
    seen = placement.view(state, application)
    target = node or _best_node(seen)
    if target != state.me and not seen.stopped and record.wanted is Wanted.UP:
        text = f"it already runs on {state.me}; type: clmoveapp {application.name}"
        turn.reply(request_id, text, accepted=False)
        return
    left_alone = seen.maintained if target == state.me else None
    if left_alone is not None and seen.stopped:
        text = f"{left_alone.of} is in maintenance, so nothing is started"
        turn.reply(request_id, f"{text}; type: clmaintain off", accepted=False)
        return
    if target != state.me and (refusal := refusals.cannot_go(seen)):
        _refuse_or_hold(turn, request_id, command, seen, refusal)
        return
    belonging.write(turn, record, wanted=Wanted.UP)
    if target != state.me:
        turn.change(moving=(*turn.state.moving, application.name))
    limit_s = application.limits.start_s * 2 + timing.COMMAND_S
    _await(turn, request_id, "run", application.name, limit_s)


def _best_node(seen: placement.View) -> str:
    if seen.stopped and seen.preferred_elsewhere and not refusals.cannot_go(seen):
        return seen.state.peer_name
    return seen.state.me


def _refuse_or_hold(
    turn: Turn, request_id: int, command: Run | Move, seen: placement.View, refusal: str
) -> None:
    state = turn.state
    if _word_is_coming(seen):
        held = Held(request_id, command, state.now_s + timing.WORD_S)
        turn.change(held=(*state.held, held))
    else:
        turn.reply(request_id, refusal, accepted=False)


def _word_is_coming(seen: placement.View) -> bool:
    """Tell whether the peer cannot take it yet, but our kernel knows that the copies are equal.

    So it is after the start of a daemon and at the end of a resync: the connection is a moment too
    young to prove it, or what the peer said of itself is still that of before.
    """
    state = seen.state
    equal = seen.current and replication.peer_complete(state, seen.application.name)
    soon = (equal or not state.facts_read) and hearing.peer_alive(state)
    # None of these is over in a moment: a full disk, a maintenance, a neighbour to keep apart from.
    held = maintenance.holds_there(state, seen.application.name) or placement.apart_there(seen)
    soon = soon and not trials.takes_nothing(state) and not held
    return soon and bool(refusals.cannot_go(seen))


def ask_again(turn: Turn) -> None:
    """Do what was held back for the peer's word as soon as that is there; refuse it when late."""
    for held in turn.state.held:
        state = turn.state
        built = state.built.by_name.get(held.command.application)
        seen = placement.view(state, built.application) if built is not None else None
        waits = seen is not None and _word_is_coming(seen)
        if waits and state.now_s < held.until_s:
            continue
        turn.change(held=tuple(other for other in state.held if other != held))
        if seen is not None and waits:
            turn.reply(held.request_id, refusals.cannot_go(seen), accepted=False)
        else:
            _handle(turn, held.request_id, held.command)


def _move(
    turn: Turn, request_id: int, command: Move, application: Application, record: Record
) -> None:
    seen = placement.view(turn.state, application)
    if record.wanted is Wanted.DOWN:
        text = f"{application.name} is halted; type: clrunapp {application.name} --node NODE"
        turn.reply(request_id, text, accepted=False)
    elif refusal := refusals.cannot_go(seen):
        _refuse_or_hold(turn, request_id, command, seen, refusal)
    else:
        belonging.write(turn, record, wanted=record.wanted)
        turn.change(moving=(*turn.state.moving, application.name))
        turn.note("move", f"moves to {turn.state.peer_name}: an operator asked", application.name)
        limit_s = application.limits.start_s + application.limits.stop_s + timing.COMMAND_S
        _await(turn, request_id, "move", application.name, limit_s)


def _await(turn: Turn, request_id: int, verb: str, application: str, limit_s: float) -> None:
    state = turn.state
    node = state.peer_name if verb == "move" else ""
    pending = Pending(request_id, verb, application, node, state.now_s + limit_s)
    turn.change(pending=(*state.pending, pending))


def settle(turn: Turn) -> None:
    """Answer the commands whose goal is reached, has become impossible, or took too long."""
    left: list[Pending] = []
    for pending in turn.state.pending:
        answer = _answer(turn.state, pending)
        if answer is not None:
            accepted, text = answer
            turn.reply(pending.request_id, text, accepted=accepted)
        elif turn.state.now_s >= pending.until_s:
            text = f"{pending.verb} is not complete yet; it goes on, see: clstat"
            turn.reply(pending.request_id, text, accepted=False)
        else:
            left.append(pending)
    if len(left) != len(turn.state.pending):
        turn.change(pending=tuple(left))


def _answer(state: NodeState, pending: Pending) -> tuple[bool, str] | None:
    match pending.verb:
        case "form":
            return _form_answer(state)
        case "leave":
            if state.standing is Standing.HALTED:
                return True, f"{state.me} is halted"
            return None if state.standing is Standing.LEAVING else (False, _stayed(state))
        case _:
            return _application_answer(state, pending)


def _stayed(state: NodeState) -> str:
    """Say why a leave has ended without this node having left."""
    names = (built.application.name for built in state.built.applications)
    held = {name: why for name in names if (why := ladder.resistance(state, name))}
    if not held and trials.takes_nothing(state):
        return f"{state.me} stays in the cluster: {state.peer_name} cannot store, see: clstat"
    if not held:
        return "it joined again"
    told = "; ".join(f"{name} cannot be stopped: {why}" for name, why in held.items())
    return f"{state.me} stays in the cluster: {told}"


def _form_answer(state: NodeState) -> tuple[bool, str] | None:
    match state.standing:
        case Standing.TOGETHER:
            return True, f"{state.me} and {state.peer_name} are together"
        case Standing.ALONE:
            return True, f"{state.me} is alone"
        case Standing.HALTED | Standing.LEAVING | Standing.UNKNOWN:
            return False, "this node was halted meanwhile"
        case Standing.FORMING | Standing.CUT:
            row = state.reasons.get("formation", "")
            rule = next((r for r in formation.FORMATION if r.name == row), None)
            gave_up = rule is not None and rule.answer is Verdict.ALARM
            return (False, rule.because) if rule is not None and gave_up else None


def _application_answer(state: NodeState, pending: Pending) -> tuple[bool, str] | None:
    name = pending.application
    built = state.built.by_name.get(name)
    record = state.record(name)
    if built is None or record is None:
        return False, f"{name} is no longer part of the cluster"
    seen = placement.view(state, built.application)
    here = phase(state, built.application)
    if pending.verb == "halt":
        if record.wanted is not Wanted.DOWN:
            return False, f"{name} was started again meanwhile"
        return _halted(state, record, name) if seen.stopped else None
    nobody_else = seen.failed_there or (seen.mine and not placement.peer_has_all(seen))
    if seen.failed_here and nobody_else:
        where = "both nodes" if seen.failed_there else state.me
        text = f"{name} failed on {where}, and is tried again, ever more slowly"
        return False, f"{text}; see: clevents --application {name}"
    running_here = record.owner == state.me and here is Phase.RUNNING and not seen.moving
    there = seen.peer.phase if seen.peer is not None else Phase.UNKNOWN
    running_there = record.owner != state.me and there is Phase.RUNNING
    if not (running_here or running_there):
        return None
    where = state.me if running_here else state.peer_name
    if pending.node not in ("", where):
        held = ladder.resistance(state, name)
        why = f"cannot be stopped: {held}" if held else f"could not be started on {pending.node}"
        return False, f"{name} runs on {where} again: it {why}"
    return True, f"{name} runs on {where}"


def _halted(state: NodeState, record: Record, name: str) -> tuple[bool, str] | None:
    """Answer when the peer knows it too: it must not start again what was halted."""
    theirs = state.peer.state
    knows = theirs is not None and any(
        each.application == name and each.version >= record.version for each in theirs.records
    )
    if knows or state.standing in (Standing.ALONE, Standing.HALTED, Standing.LEAVING):
        return True, f"{name} is halted"
    if state.standing is Standing.TOGETHER:
        return None
    peer = state.peer_name
    return True, f"{name} is halted here; {peer} has not heard of it: if it takes over it starts it"


def phase(state: NodeState, application: Application) -> Phase:
    """Return what the application is doing on this node."""
    name = application.name
    if items.is_unknown(state, name):
        return Phase.UNKNOWN
    if items.is_stopped(state, name):
        reached = goals.goal(state, application).answer
        going_up = reached in (goals.Goal.UP, goals.Goal.DATA)
        return Phase.STARTING if going_up else Phase.STOPPED
    if ladder.is_stuck(state, name):
        return Phase.STUCK
    reached = goals.goal(state, application).answer
    if reached in goals.STOPPED:
        return Phase.STOPPING
    layers = items.ORDER[:3] if reached is goals.Goal.DATA else items.ORDER
    return Phase.RUNNING if items.all_up(state, name, *layers) else Phase.STARTING
