"""Plays one node's core by the lines of a transcript."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hapair.core import node as core
from hapair.core.words.effects import Act, Do, Effect, Look, Publish, SetBeat
from hapair.core.words.events import (
    Beat,
    Command,
    Commanded,
    ConfirmPeerDown,
    DataChanged,
    Ended,
    Event,
    Form,
    Halt,
    Heard,
    Introduce,
    Leave,
    LinkChanged,
    Looked,
    Move,
    PeerApplication,
    PeerState,
    PeerStated,
    ReferencesProbed,
    Run,
    Tick,
)
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Phase, Record, Standing, Version, Wanted
from tests.sim.settings import Shape, application, built_from
from tests.sim.trace import ENUM, text_of

APPLICATION: Final = "orders"
RESOURCE: Final = "orders.data0"
OUTCOMES: Final[dict[str, Outcome]] = {
    "done": Done(),
    "refused": Refused("no"),
    "unknown": Unknown("no answer in time"),
}
Arguments = dict[str, str]


def version_of(text: str) -> Version:
    epoch, serial = text.split(".")
    return Version(int(epoch), int(serial))


def record_of(text: str) -> Record:
    """Read ``node1,0.2,up`` or ``node1,0.2,up,node2`` (where it failed)."""
    owner, version, wanted, *failed_on = text.split(",")
    return Record(APPLICATION, owner, version_of(version), Wanted(wanted), tuple(failed_on))


def facts_of(text: str) -> VolumeFacts:
    """Read ``Primary/Secondary,UpToDate/UpToDate,Connected``."""
    roles, disks, connection = text.split(",")
    role, peer_role = (Role(word) for word in roles.split("/"))
    disk, peer_disk = (Disk(word) for word in disks.split("/"))
    return VolumeFacts(RESOURCE, role, peer_role, disk, peer_disk, Connection(connection))


class Actor:
    """node1 of a cluster with one application; node2 exists in the transcript only."""

    def __init__(self) -> None:
        self.state: NodeState | None = None
        self.facts: VolumeFacts | None = None
        self.open: list[Act | Look] = []
        self.requests = 0
        self.makers: dict[str, Callable[[float, Arguments], Event]] = {
            "tick": lambda at_s, _: Tick(at_s),
            "heard": self._heard,
            "peer": self._peer,
            "data": self._data,
            "link": lambda at_s, a: LinkChanged(at_s, a["network"], a["up"] == "yes"),
            "probed": lambda at_s, a: ReferencesProbed(
                at_s, tuple(filter(None, a["answering"].split(",")))
            ),
            "ended": self._ended,
            "looked": self._looked,
            "type": self._typed,
        }

    def handle(self, name: str, arguments: Arguments) -> str:
        if name == "begin":
            return self._begin(arguments)
        if name == "answer":
            return self._answer_all(float(arguments["at"]), arguments)
        at_s = float(arguments.pop("at"))
        return self._step(self.makers[name](at_s, arguments))

    def _begin(self, arguments: Arguments) -> str:
        shape = Shape(
            arbitration=ArbitrationKind(arguments.get("arbitration", "paths")),
            applications=(application(APPLICATION, preferred=arguments.get("preferred", "node1")),),
        )
        formed = arguments.get("formed", "no") == "yes"
        boot = "boot1" if formed else ""
        stored = Stored(
            formed=formed,
            formed_boot_id=boot,
            joined_boot_id=boot,
            epoch=int(arguments.get("epoch", "0")),
            holds_right=arguments.get("right", "no") == "yes",
            records=(record_of(arguments["record"]),) if "record" in arguments else (),
        )
        incarnation = int(arguments.get("incarnation", "1"))
        self.facts = None
        self.open.clear()
        begun = core.begin("node1", "boot1", incarnation, built_from(shape), stored, 0.0)
        return self._took(*begun)

    def _step(self, event: Event) -> str:
        assert self.state is not None, "a transcript begins with: begin"
        return self._took(*core.step(self.state, event))

    def _took(self, state: NodeState, effects: Sequence[Effect]) -> str:
        before, self.state = self.state, state
        self.open += [effect for effect in effects if isinstance(effect, Act | Look)]
        # What heartbeats and the peer are told repeats what the other lines say.
        shown = [effect for effect in effects if not isinstance(effect, SetBeat | Publish)]
        lines = [ENUM.sub(r"\1", text_of(effect)).rstrip() for effect in shown]
        if before is None or before.standing is not state.standing:
            lines.append(f"standing: {state.standing}")
        return "\n".join(lines)

    # --- Events --------------------------------------------------------------------------------

    def _heard(self, at_s: float, a: Arguments) -> Event:
        assert self.state is not None
        beat = Beat(
            incarnation=int(a.get("incarnation", "1")),
            echo=int(a.get("echo", str(self.state.incarnation))),
            standing=Standing(a.get("standing", "together")),
            epoch=int(a.get("epoch", "0")),
            unprotected=(RESOURCE,) if a.get("unprotected") == "yes" else (),
        )
        return Heard(at_s, a.get("network", "public"), beat)

    def _peer(self, at_s: float, a: Arguments) -> Event:
        current = a.get("data", "current") == "current"
        phase = Phase(a.get("phase", "stopped"))
        state = PeerState(
            incarnation=int(a.get("incarnation", "1")),
            accepted=int(a.get("accepted", "0")),
            standing=Standing(a.get("standing", "together")),
            epoch=int(a.get("epoch", "0")),
            generation=1,
            records=(record_of(a["record"]),) if "record" in a else (),
            applications=(PeerApplication(APPLICATION, phase, current),),
            left=a.get("left") == "yes",
            holds_right=a.get("right") == "yes",
        )
        return PeerStated(at_s, state)

    def _data(self, at_s: float, a: Arguments) -> Event:
        self.facts = facts_of(a["facts"]) if "facts" in a else None
        return DataChanged(at_s, (self.facts,) if self.facts is not None else ())

    def _take(self) -> Act | Look:
        return self.open.pop(0)

    def _ended(self, at_s: float, a: Arguments) -> Event:
        return Ended(at_s, self._take().effect_id, OUTCOMES[a["outcome"]])

    def _looked(self, at_s: float, a: Arguments) -> Event:
        up = {"yes": True, "no": False, "part": None}[a["up"]]
        return Looked(at_s, self._take().effect_id, up)

    def _typed(self, at_s: float, a: Arguments) -> Event:
        commands: dict[str, Command] = {
            "form": Form(allow_single_node=a.get("alone", "yes") == "yes"),
            "leave": Leave(handover=a.get("handover", "yes") == "yes"),
            "introduce": Introduce(APPLICATION, Wanted.UP),
            "run": Run(APPLICATION, a.get("node")),
            "halt": Halt(APPLICATION),
            "move": Move(APPLICATION),
            "confirm": ConfirmPeerDown(),
        }
        self.requests += 1
        return Commanded(at_s, self.requests, commands[a["command"]])

    def _answer_all(self, at_s: float, a: Arguments) -> str:
        """Every action ends well, every look finds ``looks`` (default: down), one by one."""
        lines: list[str] = []
        while self.open:
            item = self._take()
            if isinstance(item, Look):
                event: Event = Looked(at_s, item.effect_id, a.get("looks") == "up")
            else:
                lines.append(self._follow(item, at_s))
                event = Ended(at_s, item.effect_id, Done())
            lines.append(self._step(event))
        return "\n".join(line for line in lines if line)

    def _follow(self, act: Act, at_s: float) -> str:
        """Let the kernel's facts follow a promotion or a demotion."""
        if self.facts is None or act.do not in (Do.PROMOTE, Do.DEMOTE):
            return ""
        role = Role.PRIMARY if act.do is Do.PROMOTE else Role.SECONDARY
        self.facts = replace(self.facts, role=role)
        return self._step(DataChanged(at_s, (self.facts,)))
