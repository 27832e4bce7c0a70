"""For every row of every table, one situation in which that row holds."""

from dataclasses import replace
from typing import Any, Final

from hapair.core.applications.brake import Frozen
from hapair.core.applications.health import Sick
from hapair.core.applications.ladder import LADDER
from hapair.core.applications.placement import View
from hapair.core.copies.backing import Comparison
from hapair.core.right.arbitration import UNANSWERED_MAX, Silence
from hapair.core.words.effects import Layer
from hapair.core.words.events import Beat, Form, Leave, PeerApplication, PeerState
from hapair.core.words.item import Health, Is, Item, ItemState
from hapair.core.words.peer import PeerView, WitnessView
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored, Terms
from hapair.model.backing import Backing, LastSeen
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Role
from hapair.model.maintenance import Maintenance
from hapair.model.monitor import NO_MONITORS, Finding, Monitors, Trouble
from hapair.model.status import Failure, Phase, Record, Standing, Version, Wanted
from hapair.model.witness import Answer
from tests.core.bench import ME, NAME, PEER, RESOURCE, built, facts, record
from tests.sim.settings import application

SILENT: Final = Silence(
    kind=ArbitrationKind.PATHS,
    peer_heard=False,
    peer_alive=False,
    long_enough=True,
    kernel_answers=False,
    was_together=True,
    confirmed=False,
    networks=2,
    own_links_up=True,
    references=1,
    probed=True,
    answering=1,
    unanswered=0,
)
SILENT_KERNEL: Final = replace(SILENT, untold=True, long_enough=False, lease_over=True)
LET_GO: Final = Backing("LVM-data", "first boot", 100, "blocks")
AFTER_BOOT: Final = replace(LET_GO, activation="second boot", written_sectors=0)
BACKING: Final = {
    "not-remembered": Comparison(None, replace(LET_GO, written_sectors=200)),
    "other-volume": Comparison(
        LastSeen(LET_GO, attached=True), replace(LET_GO, volume="LVM-made-anew")
    ),
    "never-let-go": Comparison(
        LastSeen(LET_GO, attached=True), replace(LET_GO, written_sectors=200, start="others")
    ),
    "written-since-activation": Comparison(
        LastSeen(LET_GO, attached=True), replace(AFTER_BOOT, written_sectors=8)
    ),
    "written-since-let-go": Comparison(
        LastSeen(LET_GO, attached=False), replace(LET_GO, written_sectors=108)
    ),
    "first-blocks-differ": Comparison(
        LastSeen(LET_GO, attached=False), replace(AFTER_BOOT, start="others")
    ),
    "untouched": Comparison(LastSeen(LET_GO, attached=False), AFTER_BOOT),
}
# In every situation all rows above could hold too, were it not for what is named here.
COMMON: Final = {
    "peer-halted": replace(SILENT, peer_heard=True, left=True),
    "peer-heard": replace(SILENT, peer_heard=True),
    "not-understood": replace(SILENT, peer_alive=True, not_understood=True),
    "peer-alive": replace(SILENT, peer_alive=True),
    "kernel-untold": replace(SILENT_KERNEL, same_terms=False),
    "listening": replace(SILENT, long_enough=False),
    "kernel-answers": replace(SILENT, kernel_answers=True),
    "confirmed": replace(SILENT, confirmed=True, was_together=False),
    "new-terms": replace(SILENT, same_terms=False, ahead=True, was_together=False),
    "peer-ahead": replace(SILENT, ahead=True, was_together=False),
    "never-joined": replace(SILENT, was_together=False),
}
PATHS: Final = {
    **COMMON,
    "one-network": replace(SILENT, networks=1),
    "ask-references": replace(SILENT, probed=False, answering=0),
    "ask-again": replace(SILENT, answering=0, unanswered=1),
    "isolated": replace(SILENT, answering=0, unanswered=UNANSWERED_MAX),
    "own-link-down": replace(SILENT, own_links_up=False),
    "paths-agree": SILENT,
}
OPERATOR: Final = {**COMMON, "ask-operator": SILENT}
WITNESS: Final = {
    "peer-halted": replace(SILENT, peer_heard=True, left=True),
    "peer-heard": replace(SILENT, peer_heard=True, granted=True),
    "outstayed": replace(SILENT, outstayed=True, long_enough=False),
    "kernel-untold": replace(SILENT_KERNEL, kind=ArbitrationKind.WITNESS),
    "listening": replace(SILENT, long_enough=False, granted=True),
    "kernel-answers": replace(SILENT, kernel_answers=True, granted=True),
    "confirmed": replace(SILENT, confirmed=True, denied=True),
    "new-terms": replace(SILENT, same_terms=False, granted=True),
    "granted": replace(SILENT, granted=True),
    "denied": replace(SILENT, denied=True, waiver=True, lead_over=False),
    "waiver": replace(SILENT, waiver=True, lead_over=False),
    "let-active-first": replace(SILENT, unreachable=True, lead_over=False),
    "promised": replace(SILENT, records_allow=False, lease_over=True),
    "lease-over": replace(SILENT, lease_over=True, unreachable=True),
    "witness-silent": replace(SILENT, unreachable=True),
    "ask-witness": SILENT,
}
FENCING: Final = {
    "peer-halted": replace(SILENT, peer_heard=True, left=True),
    "peer-heard": replace(SILENT, peer_heard=True, fenced=True),
    "not-understood": replace(SILENT, not_understood=True, fenced=True, methods=True),
    "kernel-untold": replace(SILENT_KERNEL, same_terms=False),
    "listening": replace(SILENT, long_enough=False, fenced=True),
    "kernel-answers": replace(SILENT, kernel_answers=True),
    "kernel-lingers": replace(SILENT, kernel_answers=True, fenced=True),
    "confirmed": replace(SILENT, confirmed=True),
    "new-terms": replace(SILENT, same_terms=False, fenced=True),
    "fenced": replace(SILENT, fenced=True),
    "never-joined": replace(SILENT, was_together=False, methods=True),
    "let-active-first": replace(SILENT, lead_over=False, methods=True),
    "no-method": SILENT,
    "fence": replace(SILENT, methods=True, kernel_answers=True, hung=True),
}
UNANSWERED: Final = Frozen(
    application=NAME,
    connected=False,
    early=False,
    given_up=False,
    alone=False,
    doubtful=False,
    gives_way=False,
    peer_stored_it=False,
    operator=False,
)
BRAKE: Final = {
    "not-ours": replace(UNANSWERED, application=None, alone=True),
    "early": replace(UNANSWERED, connected=True, early=True, alone=True),
    "joined": replace(UNANSWERED, connected=True, alone=True),
    "given-up": replace(UNANSWERED, given_up=True, alone=True),
    "alone": replace(UNANSWERED, alone=True, gives_way=True),
    "doubtful": replace(UNANSWERED, doubtful=True, gives_way=True),
    "gives-way": replace(UNANSWERED, gives_way=True, peer_stored_it=True),
    "peer-stored-it": replace(UNANSWERED, peer_stored_it=True),
    "operator-decides": replace(UNANSWERED, operator=True),
    "undecided": UNANSWERED,
}

FORMING: Final = NodeState(
    me=ME,
    boot_id="boot1",
    incarnation=3,
    built=built(),
    stored=Stored(formed=True, formed_boot_id="boot1", epoch=4),
    standing=Standing.FORMING,
    now_s=200.0,
    quiet_since_s=100.0,
    form=Form(),
    form_until_s=160.0,
)
ECHO: Final = Beat(7, 3, Standing.FORMING, 4)
ASKS_WITNESS: Final = replace(FORMING, built=built(kind=ArbitrationKind.WITNESS))


def answered(answer: Answer, **stored: Any) -> NodeState:  # noqa: ANN401 - the fields of Stored
    """Return a forming node to which its only witness gave this answer for the next epoch."""
    return replace(
        ASKS_WITNESS,
        witness=WitnessView(epoch=5, answers={0: answer}),
        stored=replace(FORMING.stored, **stored),
    )


HALTED_PEER: Final = PeerView(
    heard_at_s={"public": 199.5},
    beat=Beat(7, 3, Standing.HALTED, 4),
    state=PeerState(7, 0, Standing.HALTED, 4, 1, (), (), left=True),
)
BESIDE_HALTED: Final = replace(
    FORMING, peer=HALTED_PEER, stored=replace(FORMING.stored, holds_right=True)
)
FORMATION: Final = {
    "peer-halted-yet": replace(BESIDE_HALTED, form_until_s=201.0),
    "left-to-this-node": BESIDE_HALTED,
    "peer-halted": replace(FORMING, peer=HALTED_PEER),
    "new-terms": answered(Answer.GRANTED, terms=Terms(("paths",), since=2, shared=False)),
    "peer-ahead": answered(Answer.GRANTED, records=(Record(NAME, PEER, Version(5, 0), Wanted.UP),)),
    "promised": answered(Answer.GRANTED, ceded=True),
    "granted": answered(Answer.GRANTED),
    "denied": answered(Answer.DENIED, holds_right=True),
    "ask-witness": answered(Answer.UNREACHABLE, holds_right=True),
    "peer-heard": replace(FORMING, peer=PeerView(heard_at_s={"public": 199.5}, beat=ECHO)),
    "kernel-answers": replace(FORMING, facts={RESOURCE: facts()}),
    "confirmed": replace(FORMING, confirmed=True),
    "waiting": replace(FORMING, form_until_s=201.0),
    "single-not-allowed": replace(FORMING, form=Form(allow_single_node=False)),
    "right-held": replace(FORMING, stored=replace(FORMING.stored, holds_right=True)),
    "peer-may-be-ahead": FORMING,
}


def items_of(what: Built, *up: Layer) -> dict[str, dict[Item, ItemState]]:
    """Return the items of ``orders``; the layers that are named are up, the others down."""
    every = [Item(NAME, layer, RESOURCE) for layer in tuple(Layer)[:3]]
    every += [Item(what.applications[0].application.name, layer) for layer in tuple(Layer)[3:]]
    return {NAME: {i: ItemState(Is.UP if i.layer in up else Is.DOWN) for i in every}}


PEER_STATE: Final = PeerState(7, 3, Standing.TOGETHER, 4, 1, (), ())
TOGETHER: Final = replace(
    FORMING,
    standing=Standing.TOGETHER,
    accepted=7,
    together_since_s=50.0,
    peer=PeerView(heard_at_s={"public": 199.5}, beat=ECHO, incarnation=7, state=PEER_STATE),
    facts={RESOURCE: facts()},
    joined_from_s={RESOURCE: 0.0},
    items=items_of(FORMING.built, Layer.ATTACHED),
)
STOPPED_THERE: Final = PeerApplication(NAME, Phase.STOPPED, data_current=True)
CAN_RUN: Final = View(TOGETHER, application(NAME), record(), STOPPED_THERE)
ELSEWHERE: Final = replace(CAN_RUN, application=application(NAME, preferred=PEER))
RUNNING: Final = replace(TOGETHER, items=items_of(TOGETHER.built, *Layer))


def with_state(seen: View, **changes: Any) -> View:  # noqa: ANN401 - the fields of NodeState
    """Return the view of a state in which these fields are different."""
    return replace(seen, state=replace(seen.state, **changes))


def leaving(*, formed: bool, handover: bool = True) -> View:
    stored = replace(TOGETHER.stored, formed=formed)
    leave = Leave(handover=handover)
    return with_state(CAN_RUN, standing=Standing.LEAVING, leave=leave, stored=stored)


def maintained(seen: View) -> View:
    """Return the view of a state in which its node is in maintenance."""
    held = Maintenance(f"node {ME}", Version(0, 1))
    return with_state(seen, stored=replace(seen.state.stored, maintenance=(held,)))


WEB: Final = "web"


def beside(
    seen: View = CAN_RUN,
    *,
    web: Record | None = None,
    web_is: Is = Is.DOWN,
    web_there: Phase = Phase.STOPPED,
    priority: int = 0,
    **demands: Any,  # noqa: ANN401 - what an application may demand
) -> View:
    """Return the view with demands about ``web``, which is a program only, here unless told."""
    wanted = replace(seen.application, **demands)
    program = replace(application(WEB, volumes=0), addresses=(), priority=priority)
    there = (
        *(() if seen.peer is None else (seen.peer,)),
        PeerApplication(WEB, web_there, data_current=True),
    )
    state = seen.state
    items = {**state.items, WEB: {Item(WEB, Layer.PROGRAM): ItemState(web_is)}}
    records = (record(), web or Record(WEB, ME, Version(0, 1), Wanted.UP))
    return replace(
        with_state(
            seen,
            built=built(wanted, program),
            items=items,
            stored=replace(state.stored, records=records),
            peer=replace(state.peer, state=replace(PEER_STATE, applications=there)),
        ),
        application=wanted,
    )


THERE: Final = Record(WEB, PEER, Version(0, 1), Wanted.UP)
BARE: Final = built(application(NAME, volumes=0))
STALE: Final = {RESOURCE: facts(connection=Connection.SYNC_TARGET)}
GOALS: Final = {
    "halted": with_state(CAN_RUN, standing=Standing.HALTED),
    "left": leaving(formed=False),
    "leaving-new": replace(leaving(formed=True), record=None),
    "no-record": replace(CAN_RUN, record=None),
    "superseded": with_state(
        CAN_RUN, peer=replace(TOGETHER.peer, beat=replace(ECHO, standing=Standing.ALONE, epoch=5))
    ),
    "isolated": with_state(CAN_RUN, isolated=True),
    "lost": with_state(CAN_RUN, lost=True),
    "overtaken": replace(CAN_RUN, record=record(PEER), state=RUNNING),
    "not-owner": replace(CAN_RUN, record=record(PEER)),
    "wanted-down": replace(CAN_RUN, record=record(wanted=Wanted.DOWN)),
    "leaving": leaving(formed=True),
    "moving": with_state(CAN_RUN, moving=(NAME,)),
    "maintenance": maintained(CAN_RUN),
    "peer-tries": replace(CAN_RUN, record=record(failed_on=(ME,))),
    "with-elsewhere": beside(with_=(WEB,), web=THERE, web_there=Phase.RUNNING, priority=1),
    "apart": beside(apart_from=(WEB,), web_is=Is.UP),
    "after": beside(after=(WEB,)),
    "gave-up": replace(
        CAN_RUN, record=record(failed_on=(ME, PEER), failures=(Failure(ME, 1, runs=1),))
    ),
    "failed-everywhere": replace(CAN_RUN, record=record(failed_on=(ME, PEER))),
    "failed-here": replace(
        CAN_RUN, record=record(failed_on=(ME,)), peer=replace(STOPPED_THERE, data_current=False)
    ),
    "not-agreed": with_state(CAN_RUN, standing=Standing.CUT),
    "stale-data": with_state(CAN_RUN, facts=STALE),
    "peer-primary": with_state(CAN_RUN, facts={RESOURCE: facts(peer_role=Role.PRIMARY)}),
    "peer-lease": with_state(CAN_RUN, leased=(NAME,), lease_until_s=201.0),
    "peer-back": with_state(
        replace(CAN_RUN, application=BARE.applications[0].application),
        built=BARE,
        items=items_of(BARE),
        standing=Standing.ALONE,
        addresses_until_s=150.0,
        peer=PeerView(alive_from_s=199.0),
    ),
    "peer-runs": replace(CAN_RUN, peer=replace(STOPPED_THERE, phase=Phase.STOPPING)),
    "awaits-connection": with_state(
        CAN_RUN,
        facts={RESOURCE: facts(connection=Connection.CONNECTING)},
        fresh=(NAME,),
        together_since_s=199.0,
    ),
    "preferred-elsewhere": with_state(ELSEWHERE, fresh=(NAME,), together_since_s=199.0),
    "data-only": replace(CAN_RUN, record=record(wanted=Wanted.DATA)),
    "run": CAN_RUN,
}
_PROMOTED: Final = Item(NAME, Layer.PROMOTED, RESOURCE)
STUCK: Final = replace(
    RUNNING,
    items={
        NAME: {
            **RUNNING.items[NAME],
            _PROMOTED: ItemState(Is.UP, rung=len(LADDER[Layer.PROMOTED]), stuck=2),
            Item(NAME, Layer.PROGRAM): ItemState(Is.DOWN),
        }
    },
)
HANDS: Final = {
    "not-mine": replace(CAN_RUN, record=record(PEER)),
    "started-after-all": replace(CAN_RUN, state=RUNNING, record=record(failed_on=(ME,))),
    "cannot-move": replace(with_state(CAN_RUN, moving=(NAME,)), peer=None),
    "cannot-stop": replace(CAN_RUN, state=replace(STUCK, moving=(NAME,))),
    "moved": with_state(CAN_RUN, moving=(NAME,)),
    "moving": replace(CAN_RUN, state=replace(RUNNING, moving=(NAME,))),
    "hand-over": leaving(formed=True),
    "maintenance": maintained(replace(CAN_RUN, record=record(wanted=Wanted.DOWN))),
    "not-together": leaving(formed=True, handover=False),
    "let-lie": with_state(CAN_RUN, fresh=(NAME,), form=Form(autostart=False)),
    "wanted-down": replace(CAN_RUN, record=record(wanted=Wanted.DOWN)),
    "failed-here": replace(CAN_RUN, record=record(failed_on=(ME,))),
    "held-here": replace(CAN_RUN, state=STUCK, record=record(failed_on=(ME,))),
    "stale-here": with_state(CAN_RUN, facts=STALE, joined_from_s={}),
    "gone-along": beside(with_=(WEB,), web=THERE, web_there=Phase.RUNNING, priority=1),
    "goes-along": beside(
        replace(CAN_RUN, state=RUNNING),
        with_=(WEB,),
        web=replace(THERE, owner=ME, failed_on=(ME,)),
    ),
    "gone-apart": beside(apart_from=(WEB,), web_is=Is.UP),
    "goes-apart": beside(
        replace(CAN_RUN, state=RUNNING), apart_from=(WEB,), web_is=Is.UP, priority=1
    ),
    "makes-room": with_state(
        beside(
            replace(CAN_RUN, state=RUNNING),
            apart_from=(WEB,),
            web_there=Phase.STARTING,
            priority=1,
        ),
        reasons={f"{WEB}/goal": "apart"},
    ),
    "preferred": with_state(ELSEWHERE, fresh=(NAME,)),
    "failback": replace(
        CAN_RUN, state=RUNNING, application=application(NAME, preferred=PEER, failback=True)
    ),
    "stay": CAN_RUN,
}


SICK: Final = Sick(
    replace(CAN_RUN, state=replace(RUNNING, stored=replace(RUNNING.stored, records=(record(),)))),
    record(),
    Health(run=5, findings=(Finding("process", Trouble.PROGRAM, "it exited"),)),
)


def sick(
    *troubles: Trouble,
    monitors: Monitors = NO_MONITORS,
    seen: View = SICK.seen,
    **health: Any,  # noqa: ANN401
) -> Sick:
    """Return an application whose monitors found these, in a run that is watched."""
    findings = tuple(Finding(each.value, each, "it fails") for each in troubles)
    what = replace(seen.application, monitors=monitors)
    seen = replace(with_state(seen, watched={NAME: 5}), application=what)
    return Sick(seen, record(), replace(SICK.health, findings=findings, **health))


AT_ONCE: Final = Monitors(restarts=0)
HEALTH: Final = {
    "well": sick(begun=5),
    "maintenance": sick(Trouble.DATA, run=4, seen=maintained(SICK.seen)),
    "not-up": sick(Trouble.DATA, run=4),
    "mended": sick(Trouble.DATA, begun=5),
    "held-back": sick(Trouble.STORAGE, held_at_s=SICK.seen.state.now_s - 1.0),
    "travels": sick(Trouble.DATA),
    "storage": sick(Trouble.DATA, Trouble.STORAGE),
    "restart": sick(Trouble.DATA, Trouble.PROGRAM),
    "restarted-in-vain": sick(Trouble.DATA, Trouble.PROGRAM, monitors=AT_ONCE),
    "peer-tries": sick(Trouble.PROGRAM, monitors=AT_ONCE),
    "nobody-else": sick(Trouble.PROGRAM, monitors=AT_ONCE, seen=replace(SICK.seen, peer=None)),
}


RESETS: Final = replace(CAN_RUN, application=application(NAME, resets_node=True))
MOVING: Final = replace(RESETS, state=replace(RUNNING, moving=(NAME,)))
OTHER: Final = application("web", resets_node=True)
RUNGS: Final = {
    "not-allowed": replace(MOVING, application=application(NAME)),
    "nobody-wants-it": replace(MOVING, record=record(wanted=Wanted.DOWN)),
    "peer-goes-on": replace(RESETS, record=record(PEER), state=RUNNING),
    "others-need-this-node": replace(MOVING, application=OTHER),
    "moving": MOVING,
    "failed-here": replace(RESETS, record=record(failed_on=(ME,))),
    "nobody-waits": RESETS,
}
