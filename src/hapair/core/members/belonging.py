"""Whose an application is: the record that its owner writes, from a build to a release."""

from dataclasses import replace

from hapair.core.applications import maintenance, runs
from hapair.core.copies import doubts
from hapair.core.words.events import Forget, Introduce, Want
from hapair.core.words.turn import Turn
from hapair.model.status import Record, Version, Wanted


def introduce(turn: Turn, request_id: int, command: Introduce) -> None:
    """Let this node own a new application. One that is known already is left as it is."""
    state, name = turn.state, command.application
    if name not in state.built.by_name:
        turn.reply(request_id, f"{name} is not built", accepted=False)
        return
    former = state.record(name)
    if former is None or command.anew:
        first = Version(state.stored.epoch, 1)
        version = first if former is None else former.version.after(state.stored.epoch)
        turn.put_record(Record(name, state.me, version, command.wanted))
        turn.note("introduced", f"belongs to {state.me} from now on", name)
    turn.reply(request_id, f"{name} is known", accepted=True)


def want(turn: Turn, request_id: int, command: Want) -> None:
    """Write what is wanted of an application of this node, whatever this node's standing is.

    One that belongs to the peer by now is the peer's to decide about.
    """
    record = turn.state.record(command.application)
    if record is not None and record.owner == turn.state.me:
        write(turn, record, wanted=command.wanted)
    turn.reply(request_id, f"{command.application} is as it was", accepted=True)


def forget(turn: Turn, request_id: int, command: Forget) -> None:
    """Forget whose an application was, and what is stored about its copies; none that is built."""
    name, built = command.application, turn.state.built
    if name in built.by_name or command.resource in built.by_resource:
        turn.reply(request_id, f"{name} is built", accepted=False)
        return
    records = (each for each in turn.state.stored.records if each.application != name)
    turn.store(records=tuple(records))
    runs.forget(turn, name)
    maintenance.forget(turn, name)
    doubts.forget(turn, command.resource)
    turn.reply(request_id, f"{name} is forgotten", accepted=True)


def write(turn: Turn, record: Record, *, wanted: Wanted) -> None:
    """Write the next version of an own record; failures of the past are forgiven."""
    turn.change(
        fresh=tuple(a for a in turn.state.fresh if a != record.application),
        moving=tuple(a for a in turn.state.moving if a != record.application),
    )
    after = replace(record.forgiven(*turn.state.built.cluster.nodes), wanted=wanted)
    if after != record:
        turn.put_record(replace(after, version=record.version.after(turn.state.stored.epoch)))


def clear(turn: Turn, request_id: int, record: Record) -> None:
    """Forget what failed on both nodes; what rests because of it is tried again."""
    after = record.forgiven(*turn.state.built.cluster.nodes)
    turn.put_record(replace(after, version=record.version.after(turn.state.stored.epoch)))
    text = f"what failed of {record.application} is forgotten, on both nodes"
    turn.note("cleared", text, record.application)
    turn.reply(request_id, text, accepted=True)
