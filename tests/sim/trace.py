"""Print a run so that a person can follow it."""

import re
from typing import Final, TextIO

from hapair.core.words.effects import Act, Note, Publish, SetBeat, Store
from hapair.core.words.events import DataChanged, PeerState, PeerStated
from hapair.core.words.stored import Stored
from hapair.model.data import VolumeFacts
from hapair.model.status import Record
from tests.sim.world import Trace

ENUM: Final = re.compile(r"<\w+\.\w+: '([^']*)'>")


def record_text(record: Record) -> str:
    failed = f" failed on {','.join(record.failed_on)}" if record.failed_on else ""
    version = f"{record.version.epoch}.{record.version.serial}"
    return f"{record.application}@{record.owner} v{version} {record.wanted}{failed}"


def stored_text(stored: Stored) -> str:
    records = "; ".join(record_text(record) for record in stored.records)
    right = " RIGHT" if stored.holds_right else ""
    formed = "formed" if stored.formed else "not formed"
    behind = f" behind={','.join(stored.behind)}" if stored.behind else ""
    unproven = f" unproven={','.join(stored.unproven)}" if stored.unproven else ""
    return f"epoch {stored.epoch}{right} {formed}{behind}{unproven} [{records}]"


def state_text(state: PeerState) -> str:
    records = "; ".join(record_text(record) for record in state.records)
    applications = ", ".join(
        f"{a.application}:{a.phase}{'' if a.data_current else '(old data)'}"
        for a in state.applications
    )
    right = " RIGHT" if state.holds_right else ""
    left = " LEFT" if state.left else ""
    return (
        f"inc {state.incarnation} accepted {state.accepted} {state.standing} "
        f"epoch {state.epoch}{right}{left} [{records}] {applications}"
    )


def facts_text(facts: VolumeFacts) -> str:
    return (
        f"{facts.resource} {facts.role}/{facts.peer_role} {facts.disk}/{facts.peer_disk} "
        f"{facts.connection}"
    )


def text_of(what: object) -> str:
    match what:
        case Store(stored):
            return f"store: {stored_text(stored)}"
        case Publish(state):
            return f"publish: {state_text(state)}"
        case PeerStated(_, state):
            return f"< peer says: {state_text(state)}"
        case DataChanged(_, facts):
            return "< data: " + "; ".join(facts_text(one) for one in facts)
        case SetBeat(beat):
            return f"beat: {beat}"
        case Act(effect_id, do, application, resource):
            return f"act {effect_id}: {do} {application} {resource}"
        case Note(name, text, application, severity):
            return f"note ({severity}) {name}: {application} {text}"
        case _:
            return str(what)


def printer(stream: TextIO) -> Trace:
    def write(at_s: float, who: str, what: object) -> None:
        text = ENUM.sub(r"\1", text_of(what))
        stream.write(f"{at_s:9.3f} {who:8} {text}\n")

    return write
