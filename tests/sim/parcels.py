"""Events that are made when they are read, because their time is known only then."""

from dataclasses import dataclass
from typing import Final

from hapair.core.words.events import (
    Beat,
    Command,
    Commanded,
    Configured,
    DataChanged,
    Ended,
    Event,
    FenceAsked,
    FenceAskerGone,
    Fenced,
    Heard,
    HeardTogether,
    LinkChanged,
    LookAgain,
    Looked,
    NotUnderstood,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Tick,
    WitnessAnswered,
)
from hapair.model.built import Built
from hapair.model.data import VolumeFacts
from hapair.model.outcome import Outcome
from hapair.model.witness import WitnessAnswer
from tests.sim.machine import Daemon
from tests.sim.messages import as_installed

OFTEN: Final = (Heard, HeardTogether, Tick)  # So often that a trace leaves them out.


def late_tick(daemon: Daemon, at_s: float) -> Tick:
    daemon.tick_due = False
    return Tick(at_s)


def is_often(parcel: object) -> bool:
    """Tell whether another one like it comes soon."""
    return parcel is Tick or getattr(parcel, "func", None) is heard


def heard(network: str, beat: Beat, at_s: float) -> Heard:
    return Heard(at_s, network, beat)


def keep(daemon: Daemon, event: Event) -> None:
    """Keep what was read now until it is decided on, after what is being stored."""
    if isinstance(event, Heard | NotUnderstood):
        keep_heard(daemon, event)
        return
    if isinstance(event, PeerStated):  # It says all: what was said before it is history.
        earlier = (p for p in daemon.inbox if isinstance(getattr(p, "event", None), PeerStated))
        for each in tuple(earlier):
            daemon.inbox.remove(each)
    daemon.inbox.append(Kept(event))


@dataclass(frozen=True, slots=True)
class Kept:
    event: Event

    def __call__(self, at_s: float) -> Event:  # noqa: ARG002 - it was read before.
        return self.event


def keep_heard(daemon: Daemon, event: Heard | NotUnderstood) -> None:
    """Keep what came until the daemon decides again; it is judged as a whole then.

    What a daemon that hangs finds of it is handed over before anything else that came meanwhile.
    """
    daemon.heard.append(event)
    if len(daemon.heard) == 1:
        put = daemon.inbox.appendleft if daemon.hung else daemon.inbox.append
        put(lambda _at_s: _all_heard(daemon))


def _all_heard(daemon: Daemon) -> Event:
    events, daemon.heard = tuple(daemon.heard), []
    return events[0] if len(events) == 1 else HeardTogether(events[-1].at_s, events)


def peer_stated(state: PeerState, at_s: float) -> PeerStated:
    return PeerStated(at_s, state)


def data_changed(facts: tuple[VolumeFacts, ...], at_s: float) -> DataChanged:
    return DataChanged(at_s, facts)


def link_changed(network: str, up: bool, at_s: float) -> LinkChanged:  # noqa: FBT001
    return LinkChanged(at_s, network, up)


def commanded(request_id: int, command: Command, at_s: float) -> Commanded:
    return Commanded(at_s, request_id, command)


def ended(effect_id: int, outcome: Outcome, at_s: float) -> Ended:
    return Ended(at_s, effect_id, outcome)


def looked(effect_id: int, up: bool | None, trouble: str, at_s: float) -> Looked:  # noqa: FBT001
    return Looked(at_s, effect_id, up, trouble)


def looked_in_vain(effect_id: int, up: bool | None, at_s: float) -> Looked:  # noqa: FBT001
    return Looked(at_s, effect_id, up, "no answer in time", blind=True)


def look_again(at_s: float) -> LookAgain:
    return LookAgain(at_s)


def configured(built: Built, at_s: float) -> Configured:
    return Configured(at_s, as_installed(built))


def probed(answering: tuple[str, ...], at_s: float) -> ReferencesProbed:
    return ReferencesProbed(at_s, answering)


def witness_answered(index: int, epoch: int, answer: WitnessAnswer, at_s: float) -> WitnessAnswered:
    return WitnessAnswered(at_s, index, epoch, answer)


def fenced(proven: bool, text: str, at_s: float) -> Fenced:  # noqa: FBT001
    return Fenced(at_s, proven, text)


def fence_asked(request_id: int, resource: str, at_s: float) -> FenceAsked:
    return FenceAsked(at_s, request_id, resource)


def fence_asker_gone(request_id: int, at_s: float) -> FenceAskerGone:
    return FenceAskerGone(at_s, request_id)
