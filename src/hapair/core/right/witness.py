"""Ask the witnesses, count their answers, and do without them by agreement (row 7).

Why a majority grants: each witness records one holder for each epoch, for ever. Two majorities
of the same witnesses share at least one, and that one cannot have named both nodes. So an epoch
has at most one holder, however late, doubled or lost the answers are. A node only ever asks for
the epoch after the last one in which it took part; whoever holds a newer one is ahead of it. It
takes part in an epoch when it holds it, or when the peer that held it gave its right up: never
earlier, or two nodes could claim two epochs and both be granted.

A question whose answer was lost is asked again when the nodes are together. If the witness has
recorded this node, both go on from that number; else a later claim of the peer would be denied.

Doing without: the side that lost the witness counts a *round* and says so. Its peer stores a
promise for exactly this round: it will not act alone by a witness. Only then the first side
stores a *waiver*. The promise ends when the peer has seen that the waiver was given up, and a
later loss has another number; so no old promise is ever taken for a new one.
"""

from dataclasses import replace
from typing import Final

from hapair.core.words.effects import AskWitnesses, Severity
from hapair.core.words.events import WitnessAnswered, WitnessTie
from hapair.core.words.peer import WitnessView
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.core.words.turn import Turn
from hapair.model.cluster import ArbitrationKind
from hapair.model.status import Standing, Wanted
from hapair.model.witness import Answer

ASK_AGAIN_S: Final = 1.0  # While the peer is silent.
LOOK_S: Final = 5.0  # While nothing is wrong.
MISSED_MAX: Final = 2  # Looks in a row; then the witness counts as lost.


def uses_witness(state: NodeState) -> bool:
    return state.built.cluster.arbitration is ArbitrationKind.WITNESS


def majority(state: NodeState) -> int:
    return len(state.built.cluster.witnesses) // 2 + 1


def claimed(state: NodeState) -> int:
    """Return the epoch that this node would act alone in."""
    return state.stored.epoch + 1


def is_active(state: NodeState) -> bool:
    """Tell whether this node is the owner of anything that is to run."""
    return any(r.owner == state.me and r.wanted is not Wanted.DOWN for r in state.stored.records)


def _count(state: NodeState, answer: Answer) -> int:
    return sum(one is answer for one in state.witness.answers.values())


def _asks_for(state: NodeState, epoch: int) -> bool:
    return state.witness.epoch == epoch


def granted(state: NodeState) -> bool:
    """Tell whether a majority has recorded this node as the holder of the epoch it claims."""
    asked = _asks_for(state, claimed(state))
    return asked and _count(state, Answer.GRANTED) >= majority(state)


def denied(state: NodeState) -> bool:
    """Tell whether so many have refused that no majority can grant any more."""
    most = len(state.built.cluster.witnesses) - majority(state)
    return _asks_for(state, claimed(state)) and _count(state, Answer.DENIED) > most


def unreachable(state: NodeState) -> bool:
    """Tell whether all were asked, and too few answered to grant or to deny."""
    known = _count(state, Answer.GRANTED) + _count(state, Answer.DENIED)
    asked = _asks_for(state, claimed(state)) and not state.witness.waiting
    return asked and known < majority(state)


def ask(turn: Turn, epoch: int) -> None:
    """Ask all witnesses for ``epoch``, unless a question is under way or was just answered."""
    view = turn.state.witness
    same = view.epoch == epoch
    if _is_asking(turn.state) or (same and turn.state.now_s - view.asked_at_s < ASK_AGAIN_S):
        return
    if epoch > turn.state.stored.asked:
        turn.store(asked=epoch)
    answers = view.answers if same else {}
    _send(turn, epoch, replace(view, epoch=epoch, answers=answers))


def _is_asking(state: NodeState) -> bool:
    """Tell whether an answer is still to come; an overdue one is not waited for."""
    patience_s = max(w.timeout_s for w in state.built.cluster.witnesses) + ASK_AGAIN_S
    return bool(state.witness.waiting) and state.now_s - state.witness.asked_at_s < patience_s


def _send(turn: Turn, epoch: int, view: WitnessView) -> None:
    every = tuple(range(len(turn.state.built.cluster.witnesses)))
    turn.change(witness=replace(view, waiting=every, asked_at_s=turn.state.now_s))
    turn.effects.append(AskWitnesses(epoch))


def absorb(turn: Turn, answered: WitnessAnswered) -> None:
    """Take one answer in. What was granted or denied stays so; silence takes nothing back."""
    state = turn.state
    view = state.witness
    if answered.index >= len(state.built.cluster.witnesses):
        return  # The configuration changed meanwhile.
    answer = answered.answer
    waiting = tuple(i for i in view.waiting if i != answered.index)
    seen = {**view.seen, answered.index: answer.answer is not Answer.UNREACHABLE}
    view = replace(view, waiting=waiting, seen=seen)
    if answer.epoch > view.newest:
        view = replace(view, newest=answer.epoch, holder=answer.holder)
    final = (Answer.GRANTED, Answer.DENIED)
    if answered.epoch and answered.epoch == view.epoch:
        kept = view.answers.get(answered.index)
        if kept not in final or answer.answer in final:
            view = replace(view, answers={**view.answers, answered.index: answer.answer})
    if not waiting:
        reached = sum(view.seen.get(i, False) for i in range(len(state.built.cluster.witnesses)))
        missed = 0 if reached >= majority(state) else view.missed + 1
        view = replace(view, missed=missed)
    turn.change(witness=view)


def forget(turn: Turn) -> None:
    """The silence is over: its answers count for no other one."""
    view = turn.state.witness
    if view.epoch:
        turn.change(witness=replace(view, epoch=0, answers={}))


def is_lost(state: NodeState) -> bool:
    return state.witness.missed >= MISSED_MAX


def settle(turn: Turn) -> None:
    """Look at the witness now and then, and agree with the peer on what its loss means."""
    state = turn.state
    if not uses_witness(state) or not state.stored.formed:
        return
    if state.standing is Standing.ALONE and not _is_recorded(state):
        ask(turn, state.stored.epoch)
    elif _has_open_question(state):
        _settle_question(turn)
    elif not _is_asking(state) and state.now_s - state.witness.asked_at_s >= LOOK_S:
        _send(turn, 0, state.witness)
    _tell_loss(turn)
    theirs = turn.state.peer.state
    if turn.state.standing is Standing.TOGETHER and theirs is not None:
        _tie(turn, theirs.tie)


def _has_open_question(state: NodeState) -> bool:
    """Tell whether an answer was lost. A node that promised to stay passive does not ask."""
    stored = state.stored
    open_ = stored.asked > stored.epoch and not stored.tie.yields
    return state.standing is Standing.TOGETHER and open_


def _settle_question(turn: Turn) -> None:
    """Find out whether the number that was asked for in an earlier silence is recorded."""
    asked = turn.state.stored.asked
    if granted(turn.state):
        turn.store(epoch=asked)
    elif denied(turn.state):
        turn.store(asked=turn.state.stored.epoch)
    else:
        ask(turn, asked)


def _is_recorded(state: NodeState) -> bool:
    """Tell whether a majority knows that this node holds its epoch, so that nobody else gets it."""
    asked = _asks_for(state, state.stored.epoch)
    return asked and _count(state, Answer.GRANTED) >= majority(state)


def _tell_loss(turn: Turn) -> None:
    lost, told = is_lost(turn.state), "witness" in turn.state.reasons
    if lost and not told:
        turn.change(reasons={**turn.state.reasons, "witness": "witness-lost"})
        turn.note("witness-lost", "the witness does not answer", severity=Severity.ALARM)
    elif told and not lost:
        left = {key: row for key, row in turn.state.reasons.items() if key != "witness"}
        turn.change(reasons=left)
        turn.note("witness-back", "the witness answers again")


def _tie(turn: Turn, theirs: WitnessTie) -> None:
    """Bring the agreement up to date: who may act alone while the witness is lost."""
    state = turn.state
    mine, lost = state.stored.tie, is_lost(state)
    rounds = state.stored.rounds
    if lost and not mine.lost_round:
        rounds += 1
        mine = replace(mine, lost_round=rounds)
    elif not lost and mine.lost_round:
        mine = replace(mine, lost_round=0, waiver=False)
    if mine.lost_round and not mine.yields and theirs.yields == mine.lost_round:
        mine = replace(mine, waiver=True)
    mine = replace(mine, yields=_yields(state, mine, theirs))
    if (mine, rounds) != (state.stored.tie, state.stored.rounds):
        _tell_tie(turn, mine)
        turn.store(tie=mine, rounds=rounds)


def _yields(state: NodeState, mine: WitnessTie, theirs: WitnessTie) -> int:
    """Return the round for which this node promises to stay passive; 0: it promises nothing."""
    if mine.yields:
        # The promise ends when the peer has told that it no longer relies on it.
        over = not theirs.waiver and theirs.lost_round != mine.yields
        return 0 if over else mine.yields
    if not theirs.lost_round or mine.waiver or theirs.yields:
        return 0
    return theirs.lost_round if _gives_way(state) else 0


def _gives_way(state: NodeState) -> bool:
    """Tell whether this node is the one to stay passive: the one that runs nothing."""
    me_active = is_active(state)
    peer_active = any(
        r.owner == state.peer_name and r.wanted is not Wanted.DOWN for r in state.stored.records
    )
    if me_active is peer_active:
        return state.me != state.built.cluster.nodes[0]
    return not me_active


def _tell_tie(turn: Turn, tie: WitnessTie) -> None:
    before, peer = turn.state.stored.tie, turn.state.peer_name
    if tie.waiver and not before.waiver:
        text = f"while the witness is lost this node may act alone: {peer} promised to stay passive"
        turn.note("waiver", text, severity=Severity.WARNING)
    if tie.yields and not before.yields:
        text = f"while the witness is lost {peer} may act alone; this node takes nothing over"
        turn.note("yields", text, severity=Severity.WARNING)
    if before.yields and not tie.yields:
        turn.note("no-longer-yields", "the witness decides again")


def own_records_allow(stored: Stored) -> bool:
    """Tell whether the peer can only have gone on alone by asking a witness (rows 8 and 9)."""
    return not stored.ceded and not stored.tie.yields
