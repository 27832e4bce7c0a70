"""One decision core on the bench: node1 with an obedient kernel, and a peer made of words."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from hapair.core import node
from hapair.core.applications.layers import START
from hapair.core.words.effects import (
    Act,
    AnswerFence,
    AskWitnesses,
    Do,
    Effect,
    FencePeer,
    Guard,
    Look,
    Note,
    ProbeReferences,
    Publish,
    Reply,
    ResetNode,
    SetBeat,
    Store,
    Watch,
)
from hapair.core.words.events import (
    Beat,
    Command,
    Commanded,
    DataChanged,
    Ended,
    Event,
    FenceAskerGone,
    Form,
    Heard,
    Introduce,
    Looked,
    PeerApplication,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Tick,
    Watched,
)
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.application import Application
from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.monitor import Finding
from hapair.model.outcome import Done, Outcome
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from tests.sim.settings import Shape, application, built_from

ME: Final = "node1"
PEER: Final = "node2"
NAME: Final = "orders"
RESOURCE: Final = "orders.data0"
NETWORKS: Final = ("public", "private")
BEAT_S: Final = 0.5


def built(
    *applications: Application,
    kind: ArbitrationKind = ArbitrationKind.PATHS,
    generation: int = 1,
) -> Built:
    """Return a cluster with two networks; without arguments it has one application, ``orders``."""
    return built_from(Shape(kind, applications or (application(NAME),)), generation)


HEALTHY: Final = VolumeFacts(
    RESOURCE,
    Role.SECONDARY,
    Role.SECONDARY,
    Disk.UP_TO_DATE,
    Disk.UP_TO_DATE,
    Connection.CONNECTED,
)


def facts(**changes: Any) -> VolumeFacts:  # noqa: ANN401 - its fields
    """Return a healthy Secondary, with what is to be different."""
    return replace(HEALTHY, **changes)


def record(owner: str = ME, wanted: Wanted = Wanted.UP, **changes: Any) -> Record:  # noqa: ANN401
    return replace(Record(NAME, owner, Version(0, 1), wanted), **changes)


def _nothing(_: Effect) -> None:
    pass


class Bench:
    """Plays events into one core and answers its actions at once.

    ``outcomes`` says how an action ends where that is not Done; ``deaf`` actions never end. A
    handler hears at once what it is told, unless the disk is ``slow``.
    """

    def __init__(
        self,
        what: Built | None = None,
        stored: Stored | None = None,
        attached: VolumeFacts = HEALTHY,
    ) -> None:
        self.built = what or built()
        self.kernel: dict[str, VolumeFacts] = {}
        self.up: set[tuple[str, str, str]] = set()  # Layer, application, resource.
        self.in_part: set[tuple[str, str, str]] = set()
        self.troubles: dict[tuple[str, str, str], str] = {}
        self.outcomes: dict[Do, Outcome] = {}
        self.deaf: set[Do] = set()
        self.slow = False
        self.full: tuple[str, ...] = ()  # File systems that a start that fails finds full.
        self.effects: list[Effect] = []
        self.on_effect: Callable[[Effect], object] = _nothing
        self.attached = attached  # What the kernel says after a resource was brought up.
        self.events: deque[Event] = deque()
        self.peer = PeerState(7, 0, Standing.FORMING, 0, self.built.generation, (), ())
        begun = node.begin(ME, "boot1", 1, self.built, stored or Stored(), 100.0)
        self.state: NodeState = begun[0]
        self._obey(begun[1])
        self.do(DataChanged(self.now_s, ()))

    @property
    def now_s(self) -> float:
        return self.state.now_s

    @property
    def record(self) -> Record:
        found = self.state.record(NAME)
        assert found is not None
        return found

    def stands(self, standing: Standing) -> bool:
        return self.state.standing is standing

    # --- Into the core -------------------------------------------------------------------------

    def do(self, *events: Event) -> list[Effect]:
        """Play the events and all that follows from them; return what was asked for."""
        begin = len(self.effects)
        self.events.extend(events)
        while self.events:
            self.state, effects = node.step(self.state, self.events.popleft())
            self._obey(effects)
        return self.effects[begin:]

    def hear(self, *networks: str, **changes: Any) -> None:  # noqa: ANN401 - a beat's fields
        """Hear the peer on networks, on all of them when none is named."""
        peer = self.peer
        beat = Beat(peer.incarnation, self.state.incarnation, peer.standing, peer.epoch)
        for network in networks or NETWORKS:
            self.do(Heard(self.now_s, network, replace(beat, **changes)))

    def peer_says(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of PeerState
        changes = {"seen_losses": self.state.losses, **changes}  # It has heard our heartbeats.
        before, self.peer = self.peer, replace(self.peer, **changes)
        self.do(PeerStated(self.now_s, self.peer))
        told = (before.standing, before.epoch) == (self.peer.standing, self.peer.epoch)
        if not told and self.state.peer_heard:
            self.hear()  # Its heartbeats say the same.

    def peer_has(self, phase: Phase = Phase.STOPPED, *, current: bool = True) -> None:
        said = (
            PeerApplication(b.application.name, phase, current) for b in self.built.applications
        )
        self.peer_says(applications=tuple(said))

    def wait(self, for_s: float, *, hearing: bool = True) -> None:
        """Let time pass, in beats of the peer or in silence."""
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self.do(Tick(min(end_s, self.now_s + BEAT_S)))
            if hearing:
                self.hear()

    def command(self, command: Command) -> Reply | None:
        """Type a command; return its answer if it came at once."""
        return next(
            (e for e in self.do(Commanded(self.now_s, 1, command)) if isinstance(e, Reply)), None
        )

    def data(self, *now: VolumeFacts) -> None:
        """Let the kernel say something new; what is not named stays as it was."""
        self.kernel |= {one.resource: one for one in now}
        self.do(DataChanged(self.now_s, tuple(self.kernel.values())))

    def disconnect(self) -> None:
        """Let the kernel lose its connection to the peer's."""
        self.attached = replace(self.attached, connection=Connection.CONNECTING)
        self.data(*(replace(f, connection=Connection.CONNECTING) for f in self.kernel.values()))

    # --- Places to begin a story at ------------------------------------------------------------

    def together(self) -> None:
        """Form with the peer."""
        self.together_with(current=True)

    def together_with(self, *, current: bool) -> None:
        """Form with a peer whose copies are current, or not."""
        self.command(Form())
        self.hear()
        self.peer_says(accepted=self.state.incarnation, standing=Standing.FORMING)
        self.peer_says(standing=Standing.TOGETHER, epoch=self.state.stored.epoch)
        self.peer_has(current=current)
        assert self.stands(Standing.TOGETHER)

    def running(self) -> None:
        """Run ``orders`` here, together with the peer."""
        self.together()
        self.command(Introduce(NAME, Wanted.UP))
        assert (("program", NAME, "")) in self.up

    def alone(self) -> None:
        """Lose the peer and get the right; the kernel saw its death as well."""
        self.disconnect()
        self.wait(3.0, hearing=False)
        assert self.stands(Standing.ALONE)

    def finds(self, *findings: Finding, run: int | None = None) -> None:
        """Let Lems say what it finds in a run, by default in the one that it is to watch."""
        watched = self.state.watched[NAME] if run is None else run
        self.do(Watched(self.now_s, NAME, watched, findings))

    def starts_daemon_anew(self) -> None:
        """Let a new daemon find what runs, and act together with the peer again."""
        now_s, incarnation = self.now_s + 0.5, self.state.incarnation + 1
        self.state, effects = node.begin(
            ME, "boot1", incarnation, self.built, self.state.stored, now_s
        )
        self._obey(effects)
        self.do(DataChanged(now_s, tuple(self.kernel.values())))
        self.hear()
        self.peer_says(accepted=incarnation, standing=Standing.CUT)
        self.peer_says(standing=Standing.TOGETHER)
        assert self.stands(Standing.TOGETHER)

    # --- Out of the core -----------------------------------------------------------------------

    def peer_hears_behind(self) -> tuple[str, ...]:
        """Return the resources that the peer was last told never to be promoted here."""
        return [e.state for e in self.effects if isinstance(e, Publish)][-1].behind

    def watches(self) -> list[int]:
        """Return which runs Lems was told to watch, 0 for none."""
        return [e.run for e in self.effects if isinstance(e, Watch)]

    def notes(self) -> list[str]:
        return [e.name for e in self.effects if isinstance(e, Note)]

    def replies(self) -> list[tuple[bool, str]]:
        return [(e.accepted, e.text) for e in self.effects if isinstance(e, Reply)]

    def acts(self) -> list[Do]:
        return [e.do for e in self.effects if isinstance(e, Act)]

    def forget_effects(self) -> None:
        self.effects.clear()

    def _obey(self, effects: Sequence[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            self.on_effect(effect)
            match effect:
                case Act() if effect.do not in self.deaf:
                    outcome = self.outcomes.get(effect.do, Done())
                    if isinstance(outcome, Done):
                        self._happen(effect)
                    facts_now = tuple(self.kernel.values())
                    self.events.append(DataChanged(self.now_s, facts_now))
                    full = () if isinstance(outcome, Done) else self.full
                    ended = Ended(self.now_s, effect.effect_id, outcome, full=full)
                    self.events.append(ended)
                case Look(effect_id, layer, name, resource):
                    item = (layer.value, name, resource)
                    found = None if item in self.in_part else item in self.up
                    trouble = self.troubles.get(item, "")
                    self.events.append(Looked(self.now_s, effect_id, found, trouble))
                case ProbeReferences():
                    self.events.append(self.references_answer())
                case Act() | Store() | Publish() | SetBeat() | Reply() | Note() | Watch():
                    pass
                case AnswerFence(request_id) if not self.slow:
                    self.events.append(FenceAskerGone(self.now_s, request_id))
                case AskWitnesses() | FencePeer() | AnswerFence() | Guard() | ResetNode():
                    pass  # A test answers in its own words.

    def references_answer(self) -> Event:
        return ReferencesProbed(self.now_s, ("public",))

    def _happen(self, act: Act) -> None:
        old = self.kernel.get(act.resource)
        match act.do:
            case Do.BRING_UP | Do.BRING_UP_ANEW | Do.BRING_UP_AS_IT_IS:
                self.kernel[act.resource] = replace(self.attached, resource=act.resource)
            case Do.TAKE_DOWN:
                self.kernel.pop(act.resource)
            case Do.PROMOTE | Do.DEMOTE if old is not None:
                role = Role.PRIMARY if act.do is Do.PROMOTE else Role.SECONDARY
                self.kernel[act.resource] = replace(old, role=role)
            case Do.DETACH if old is not None:
                self.kernel[act.resource] = replace(old, disk=Disk.DISKLESS, suspended=False)
            case Do.RESUME if old is not None:
                self.kernel[act.resource] = replace(old, suspended=False)
            case Do.END_HOLDERS | Do.ANNOUNCE_ADDRESSES:
                pass
            case _:
                self._turn(act)

    def _turn(self, act: Act) -> None:
        layers = {do: layer.value for layer, do in START.items()}
        layers[Do.RESTORE_ADDRESSES] = layers[Do.ADD_ADDRESSES]
        if act.do in layers:
            self.up.add((layers[act.do], act.application, act.resource))
        ends = {Do.UNMOUNT: "mounted", Do.REMOVE_ADDRESSES: "addressed"}
        if act.do not in layers:
            layer = ends.get(act.do, "program")
            self.up.discard((layer, act.application, act.resource))
            self.in_part.discard((layer, act.application, act.resource))
