"""One turn of one node: its daemon reads what has arrived, and does what the core asks for.

Everything happens at once and in one order, until there is nothing left to do.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from hapair.core.words.effects import (
    Act,
    AnswerFence,
    AskWitnesses,
    Effect,
    FencePeer,
    Guard,
    Look,
    ProbeReferences,
    Publish,
    SetBeat,
    Store,
)
from hapair.core.words.events import (
    Beat,
    Command,
    Commanded,
    DataChanged,
    Ended,
    FenceAsked,
    FenceAskerGone,
    Fenced,
    Form,
    Heard,
    LinkChanged,
    LookAgain,
    Looked,
    PeerStated,
    ReferencesProbed,
    Start,
    Tick,
    Watched,
    WitnessAnswered,
)
from hapair.model.monitor import Finding, Trouble
from hapair.model.outcome import Outcome, Unknown
from hapair.model.witness import Answer, WitnessAnswer
from tests.checkers.rules import BrokenRuleError
from tests.sim.handlers import EXIT_CODES
from tests.sim.settings import NODES
from tests.walk import hands, heart, rules
from tests.walk.cores import Key, MakeEvent
from tests.walk.moment import Moment
from tests.walk.numbers import NOTHING
from tests.walk.place import DEAD, NETWORKS, SLOW, Asker, Dies, Process, Waits, other
from tests.walk.settings import FORM_S, GAP_MAX, NAME, RESOURCE, STARVES, TURN_S

EVENTS_MAX: Final = 400
MAIL_MAX: Final = 4
REQUEST: Final = 1
BY_BOOT: Final = Form(start=Start.BY_BOOT, timeout_s=FORM_S)


class Turn:
    def __init__(self, moment: Moment, commands: Sequence[Command] = ()) -> None:
        self.moment = moment
        self.index = moment.turn
        self.box = moment.boxes[moment.turn]
        self.peer = moment.boxes[other(moment.turn)]
        self.commands = commands
        self.queue: deque[tuple[Key, MakeEvent]] = deque()
        self.late_s = 0.0  # How long ago the core took its last step.

    def take(self, *, early: bool) -> None:
        moment, box = self.moment, self.box
        moment.kernels_work(self.index, early=early)
        moment.clients_write(self.index)
        rules.check_one_writer(moment)
        self._record_late()
        if box.runs and box.process is Process.DOWN:
            self._begin()
        elif box.listens:
            self.late_s = TURN_S * (len(box.heard) + box.away + 1)
            box.away = box.starved = 0
            self._read()
        else:
            self._stands_still()
        if box.listens:
            self._say()
            self._settle()
        elif box.runs and box.process is Process.BUSY:
            heart.hears(moment, self.index)
            self._send_beat(heart.says(moment, self.index))
        box.strange = max(0, box.strange - 1) if box.runs else box.strange
        moment.clients_write(self.index)
        rules.check_one_writer(moment)
        rules.check_rights(moment)
        moment.turn = other(self.index)

    # --- The daemon ----------------------------------------------------------------------------

    def _stands_still(self) -> None:
        box = self.box
        if not box.powered:
            return
        if box.process is not Process.BUSY:
            box.away = min(box.away + 1, GAP_MAX)
        if box.runs and box.guarded and self.moment.cores.built.cluster.watchdog is not None:
            box.starved += 1
            if box.starved >= STARVES:
                self.moment.power_off(self.index)

    def _begin(self) -> None:
        box, cores = self.box, self.moment.cores
        box.process = Process.UP
        box.incarnation += 1
        box.away = box.starved = 0
        stored = self.moment.stored(self.index)
        box.core, effects = cores.begin(NODES[self.index], box.incarnation, stored)
        self._perform(effects)
        for network, name in enumerate(NETWORKS):
            self._link(name, up=self._link_up(network))
        self._facts()
        if box.forms and box.listens:
            box.forms = False
            self._command(BY_BOOT)
        self._work()

    def _read(self) -> None:
        """Give the core everything that has come since its last turn, in one order."""
        box, cores = self.box, self.moment.cores
        self._heard_meanwhile()
        if not box.listens:
            return
        state = cores[box.core]
        beats, box.beats = box.beats, (NOTHING, NOTHING)
        for network, beat in enumerate(beats):
            if beat:
                self._heard(network, beat)
        mail, box.mail = box.mail, ()
        for number in mail:
            self._put(("state", number), partial(_peer_stated, cores.peer_state(number)))
        for network, name in enumerate(NETWORKS):
            up = self._link_up(network)
            if state.links.get(name, True) is not up:
                self._link(name, up=up)
        self._facts()
        if box.changed:
            box.changed = False
            self._put(("look again",), LookAgain)
        if box.fences:
            self._switch_off()
        self._found()
        self._go_on()
        for command in self.commands:
            self._command(command)
        self._put(("tick",), Tick)
        self._work()

    def _found(self) -> None:
        """Let Lems say what it finds of the run that it watches; it says so to a new daemon too."""
        found, run = self.box.found, self.moment.cores[self.box.core].watched.get(NAME, 0)
        findings = (Finding("lems", Trouble(found), ""),) if found else ()
        known = self.moment.cores[self.box.core].health.get(NAME)
        if run and (findings or (known is not None and known.findings)):
            told = ("found", run, found)
            self._put(told, lambda at_s: Watched(at_s, NAME, run, findings))

    def _heard_meanwhile(self) -> None:
        """Decide on what the heart heard before anything else is read."""
        handed_over = heart.handed_over(self.moment, self.index)
        if handed_over is not None:
            key, make, after_s = handed_over
            rest_s, self.late_s = self.late_s - after_s, after_s
            self._step(key, make)
            self.late_s = rest_s

    def _step(self, key: Key, make: MakeEvent) -> None:
        late_s, self.late_s = self.late_s, 0.0
        self.box.core, effects = self.moment.cores.step(self.box.core, key, make, late_s)
        self._perform(effects)

    def _work(self) -> None:
        """Step until nothing is left; what the steps bring about joins the queue."""
        for _ in range(EVENTS_MAX):
            self._look_at_kernel()
            if not self.queue or not self.box.listens:
                return
            self._step(*self.queue.popleft())
        last = [key for key, _ in self.queue]
        raise BrokenRuleError(f"R5: the node goes on and on without time passing: {last}")

    def _look_at_kernel(self) -> None:
        """Let the kernel's handler ask, and its event stream wake the daemon."""
        if not self.box.listens:
            return
        if self.box.asker is Asker.NEW:
            self.box.asker = Asker.WAITS
            self._put(("asked",), lambda at_s: FenceAsked(at_s, REQUEST, RESOURCE))
        self._facts()

    def _put(self, key: Key, make: MakeEvent) -> None:
        self.queue.append((key, make))

    def _facts(self) -> None:
        """Tell what the kernel says, if it is not what was told last."""
        if self.box.trouble == hands.STREAMLESS:
            return
        facts = self.moment.facts(self.index)
        number = self.moment.cores.pool.put((facts,))
        if self.box.facts != number:
            self.box.facts = number
            self._put(("facts", number), lambda at_s: DataChanged(at_s, facts))

    def _heard(self, network: int, number: int) -> None:
        beat = self.moment.cores.pool[number]
        assert isinstance(beat, Beat)
        name = NETWORKS[network]
        self._put(("heard", network, number), lambda at_s: Heard(at_s, name, beat))

    def _link_up(self, network: int) -> bool:
        name, unplugged = NETWORKS[network], self.moment.outside.unplugged
        if unplugged[self.index] == name:
            return False
        crossover = self.moment.cores.built.cluster.network(name).crossover
        alive = unplugged[other(self.index)] != name and self.peer.powered
        return not crossover or alive

    def _link(self, name: str, *, up: bool) -> None:
        self._put(("link", name, up), lambda at_s: LinkChanged(at_s, name, up))

    def _command(self, command: Command) -> None:
        self._put(("typed", command), lambda at_s: Commanded(at_s, REQUEST, command))

    def _say(self) -> None:
        """Send a heartbeat, and the newest state over a connection that was opened again."""
        box, moment = self.box, self.moment
        self._send_beat(box.says)
        published, _ = moment.cores.told(box.core)
        if self.peer.listens and self.peer.core:
            _, known = moment.cores.told(self.peer.core)
            if (self.peer.mail[-1] if self.peer.mail else known) != published:
                self._send_state(published)

    def _send_beat(self, number: int) -> None:
        if not self.peer.runs or self.peer.process is Process.DOWN or not number:
            return
        beats = list(self.peer.beats)
        for network in range(len(NETWORKS)):
            stale = self.peer.process is Process.HUNG and beats[network]
            if self.moment.carries(self.index, network) and not stale:
                beats[network] = number
        self.peer.beats = (beats[0], beats[1])

    def _send_state(self, number: int) -> None:
        there = self.peer.runs and self.peer.process is not Process.DOWN
        if there and self.moment.any_two_way() and number not in self.peer.mail[-1:]:
            self.peer.mail = (*self.peer.mail, number)[-MAIL_MAX:]

    def _settle(self) -> None:
        """Give the actions that still go on the numbers that the canonical state has."""
        box = self.box
        box.core, ids = self.moment.cores.settle(box.core)
        known = {old: new for new, old in enumerate(ids, start=1)}
        box.waits = tuple(
            waits._replace(number=known[waits.number])
            for waits in box.waits
            if waits.number in known
        )

    # --- Effects -------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if not self.box.listens:
                return
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        pool = self.moment.cores.pool
        match effect:
            case Store():
                self._store(effect)
            case Publish(state):
                self._send_state(pool.put(state))
            case SetBeat(beat):
                self.box.says = pool.put(beat)
                self._send_beat(self.box.says)
            case Act():
                self._act(effect)
            case Look():
                up, trouble = hands.look(self.moment, self.index, effect)
                number = effect.effect_id
                told = ("looked", number, up, trouble)
                self._put(told, lambda at_s: Looked(at_s, number, up, trouble))
            case ProbeReferences():
                self._probe()
            case AskWitnesses(epoch):
                self._ask_witnesses(epoch)
            case FencePeer():
                self._fence()
            case AnswerFence():
                self._answer(effect)
            case Guard(on):
                self.box.guarded = on
            case _:
                raise AssertionError(f"{effect} has no meaning here")

    def _store(self, store: Store) -> None:
        if self.box.dies is Dies.BEFORE_STORE:
            self.moment.power_off(self.index)
            return
        self.box.disk = self.moment.cores.pool.put(store.stored)
        rules.check_rights(self.moment)
        if self.box.dies is Dies.AFTER_STORE:
            self.moment.power_off(self.index)

    def _act(self, act: Act) -> None:
        rules.check_act(self.moment, self.index, act)
        ended = hands.act(self.moment, self.index, act)
        if isinstance(ended, str):
            waits = Waits(act.effect_id, replace(act, effect_id=0), ended)
            self.box.waits = (*self.box.waits, waits)
        else:
            self._end(act.effect_id, ended)
        self._changed()

    def _end(self, number: int, outcome: Outcome) -> None:
        self._put(("ended", number, outcome), lambda at_s: Ended(at_s, number, outcome))

    def _changed(self) -> None:
        """Let connected kernels tell each other at once."""
        rules.check_one_writer(self.moment)

    def _go_on(self) -> None:
        """End the actions that were held up, if nothing holds them up any more."""
        waiting, self.box.waits = self.box.waits, ()
        for waits in waiting:
            if waits.why == hands.HANGS:
                self._end(waits.number, Unknown("no answer in time"))
            elif waits.why == hands.HANDLER:
                self.box.waits = (*self.box.waits, waits)
            else:
                self._act(replace(waits.act, effect_id=waits.number))

    def _answer(self, answer: AnswerFence) -> None:
        """End the handler with the verdict, so that the kernel goes on."""
        self._put(("asker gone",), lambda at_s: FenceAskerGone(at_s, REQUEST))
        copies = self.moment.copies
        assert copies is not None
        if self.box.asker is not Asker.WAITS:
            return
        self.box.asker = Asker.NONE
        answered = copies.resource.fenced(NODES[self.index], EXIT_CODES[answer.verdict])
        self.moment.let_go(self.index, answered.let_go)
        if answered.promoted is not None:
            hands.check_promoted(self.moment, self.index, answered.promoted)
            for waits in self.box.waits:
                if waits.why == hands.HANDLER:
                    self._end(waits.number, answered.promoted)
            self.box.waits = tuple(w for w in self.box.waits if w.why != hands.HANDLER)
        self._changed()

    # --- Third parties -------------------------------------------------------------------------

    def _probe(self) -> None:
        answering = tuple(
            network.name
            for network in self.moment.cores.built.cluster.networks
            if network.reference and self.moment.outside.unplugged[self.index] != network.name
        )
        self._put(("probed", answering), lambda at_s: ReferencesProbed(at_s, answering))

    def _record_late(self) -> None:
        epoch, self.box.late_epoch = self.box.late_epoch, 0
        if epoch:
            for witness in range(len(self.moment.outside.servers)):
                self._grant(witness, epoch)

    def _ask_witnesses(self, epoch: int) -> None:
        outside = self.moment.outside
        for witness in range(len(outside.servers)):
            answer = WitnessAnswer(Answer.UNREACHABLE)
            if outside.slow:
                self.box.late_epoch = max(epoch, self.box.late_epoch)
            elif outside.reached[self.index][witness]:
                result = self._grant(witness, epoch) if epoch else Answer.SEEN
                answer = WitnessAnswer(result, *self.moment.outside.servers[witness])
            self._put(
                ("witness", witness, epoch, answer),
                partial(_witness_answered, witness, epoch, answer),
            )

    def _grant(self, witness: int, epoch: int) -> Answer:
        """Record one holder for each epoch, for ever."""
        outside, node = self.moment.outside, NODES[self.index]
        newest, _ = outside.servers[witness]
        if epoch > newest:
            servers = list(outside.servers)
            servers[witness] = (epoch, node)
            outside.servers = tuple(servers)
        same = outside.servers[witness] == (epoch, node)
        return Answer.GRANTED if same else Answer.DENIED

    def _fence(self) -> None:
        if self.moment.outside.strip == SLOW:
            self.box.fences = True
        else:
            self._switch_off()

    def _switch_off(self) -> None:
        self.box.fences = False
        strip = self.moment.outside.strip
        if strip != DEAD:
            self.moment.power_off(other(self.index))
        proven = strip in ("", SLOW)
        text = "off" if proven else "no answer"
        self._put(("fenced", proven), lambda at_s: Fenced(at_s, proven, text))


def _peer_stated(state: object, at_s: float) -> PeerStated:
    return PeerStated(at_s, state)  # type: ignore[arg-type]


def _witness_answered(
    index: int, epoch: int, answer: WitnessAnswer, at_s: float
) -> WitnessAnswered:
    return WitnessAnswered(at_s, index, epoch, answer)
