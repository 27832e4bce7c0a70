"""One round after the other: ask the daemon, decide, remember, send."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.alerts.memory import FILE, Memory, MemoryFile, Sent, loads_memory
from hapair.alerts.orders import Orders
from hapair.alerts.overs import overs_of, without_told
from hapair.alerts.postman import Begin, Postman
from hapair.alerts.returns import decide_steadily
from hapair.alerts.sight import BEGINNINGS, causes_of, last_steps, lines_of, opens_of
from hapair.config.codec import encode
from hapair.core.alerts.book import Book, Cause, Sight, number_of
from hapair.core.alerts.happened import follow, tell
from hapair.model.alerts import Letter, Level, Message
from hapair.model.built import Built
from hapair.ports.machine import Clock, Storage
from hapair.rpc.messages import JsonObject, RpcError, dump

Ask = Callable[[str, JsonObject, float], JsonObject]  # Verb, arguments, time limit in seconds.

IDLE_S: Final = 5.0  # How long the daemon may keep the answer while nothing happens.
SOON_S: Final = 1.0  # While something is held back, or on its way.
ANSWER_S: Final = 15.0  # Beyond that a daemon does not answer.
WATCH_S: Final = 0.05
PACE_S: Final = 0.5  # Between two rounds, however much happens.
DOWN_S: Final = 60.0  # Upgrades and restarts of the daemon take less.
DOWN: Final = "daemon-down"
BOARD_BYTES_MAX: Final = 48 * 1024  # The daemon reads no longer request than 64 KiB.


@dataclass(slots=True)
class Process:
    """Of this node. ``built`` returns what is configured now; None: nobody is to be told."""

    built: Callable[[], Built | None]
    ask: Ask
    storage: Storage
    clock: Clock
    begin: Begin
    name: str = ""  # Of this node, as the daemon has it.
    pause: Callable[[float], None] = time.sleep
    memory: Memory = field(init=False)
    _file: MemoryFile = field(init=False)
    _postman: Postman = field(init=False)
    _orders: Orders = field(init=False)
    _stored: bytes = b""
    _seen: tuple[Cause, ...] = ()
    _before: set[int] = field(default_factory=set)  # What an earlier process told, not seen since.
    _down_since_s: float | None = None

    def __post_init__(self) -> None:
        content: bytes | None = None
        with suppress(OSError):
            content = self.storage.load(FILE)
        self.memory, self._file = loads_memory(content), MemoryFile(content)
        self._before = {each.number for each in self.memory.book.opens if each.told_by}
        self._postman = Postman(self.begin, self.clock)
        self._orders = Orders(self.begin, self.clock)

    def run(self) -> None:
        """Work until nobody is to be told any more."""
        while (built := self.built()) is not None:
            self.round(built)
            self.pause(PACE_S)
            until_s = self.clock.monotonic_s() + SOON_S
            while self._is_busy() and self.clock.monotonic_s() < until_s:
                self._collect()
                self.pause(WATCH_S)

    def round(self, built: Built) -> None:
        """Do everything once."""
        answer = self._answer_of_daemon()
        self.name = str(answer.get("node", "")) or self.name
        now_s = self.clock.wall_s()
        told = (*self._told_of_history(answer, built, now_s), *self._causes(answer, built, now_s))
        receivers = built.cluster.alerts.receivers
        letter = Letter(built.cluster.name, self.name, ())
        self._collect()
        self.memory = self._postman.put(self.memory, receivers, told)
        for order in _objects(answer.get("orders")):
            self.memory = self._orders.take(self.memory, order, built.cluster.alerts, letter)
        self._store()  # Before it is sent: after a crash it is sent twice, not never.
        self.memory = self._postman.send(self.memory, receivers, letter)

    def _is_busy(self) -> bool:
        return self._postman.busy or self._orders.busy

    def _collect(self) -> None:
        self.memory = self._orders.collect(self._postman.collect(self.memory))

    def _answer_of_daemon(self) -> JsonObject:
        """Say what is known here and return what the daemon knows; nothing when it is silent."""
        held_back = any(not each.told_by or each.gone_s for each in self.memory.book.opens)
        wait_s = SOON_S if self._is_busy() or held_back or self._waits() else IDLE_S
        done, self._orders.done = self._orders.done, []
        args: JsonObject = {
            "board": self._board(),
            "since": self.memory.read_until,
            "wait_s": wait_s,
            "done": list[object](done),
            "given_up": list[object](self._postman.given_up),
        }
        began_s = self.clock.monotonic_s()
        try:
            answer = self.ask("alerts-round", args, wait_s + ANSWER_S)
        except RpcError:
            if self._down_since_s is None:
                self._down_since_s = began_s
            self.pause(SOON_S)
            return {}
        self._down_since_s = None
        self._postman.given_up = []
        return answer

    def _waits(self) -> bool:
        """Tell whether a failover goes on that somebody is to be told of."""
        return any(part.name == "decided" for part in self.memory.failover.parts)

    def _board(self) -> JsonObject:
        """Return what others may know of it, as much as one request holds."""
        book, sent = self.memory.book, self.memory.sent
        board = self._board_of(book, sent)
        while len(dump(board)) > BOARD_BYTES_MAX and (sent or book.opens):
            # What the other node is not told of is rather told twice.
            sent, book = sent[1:], book if sent else replace(book, opens=book.opens[:-1])
            board = self._board_of(book, sent)
        return board

    def _board_of(self, book: Book, sent: tuple[Sent, ...]) -> JsonObject:
        return {
            "book": encode(book, defaults=False),
            "overs": encode(self.memory.overs),
            "returns": self.memory.returns.counts(),
            "receivers": [
                {
                    "receiver": each.receiver,
                    "waiting": len(each.waiting),
                    "left_out": each.left_out,
                    "failures": each.failures,
                    "error": each.error,
                    "given_up": self.memory.fit(each.receiver).given_up,
                    "given_up_s": self.memory.fit(each.receiver).given_up_s,
                    "why": self.memory.fit(each.receiver).why,
                }
                for each in self.memory.outboxes
            ],
            "sent": [encode(each) for each in sent],
        }

    def _told_of_history(
        self, answer: JsonObject, built: Built, now_s: float
    ) -> tuple[Message, ...]:
        lines = lines_of(answer.get("events"))
        newest = answer.get("newest")
        failover, of_failovers = follow(self.memory.failover, lines, last_steps(built), now_s)
        events, of_events = tell(self.memory.events, lines, BEGINNINGS, now_s)
        read_until = newest if isinstance(newest, int) else self.memory.read_until
        self.memory = replace(
            self.memory,
            read_until=read_until,
            events=events,
            failover=failover,
        )
        named = (replace(each, node=each.node or self.name) for each in of_events)
        return (*of_failovers, *named)

    def _causes(self, answer: JsonObject, built: Built, now_s: float) -> tuple[Message, ...]:
        """Decide about the causes; while the daemon says nothing the known ones stay."""
        status = answer.get("status")
        if isinstance(status, dict):
            self._seen = causes_of(status)
        elif self._down_since_s is None:
            return ()
        down = self._daemon_down()
        sight = Sight(
            me=self.name,
            first=built.cluster.nodes[0] == self.name,
            now_s=now_s,
            seen=(*self._known(), *down),
            theirs=opens_of(answer.get("peer")),
            repeat_s=built.cluster.alerts.repeat_s,
        )
        self._before -= {number_of(cause.key) for cause in sight.seen}
        known = without_told(self.memory.book, overs_of(answer.get("peer")), self._before)
        returns, book, messages = decide_steadily(self.memory.returns, known, sight)
        overs = self.memory.overs.with_told(messages)
        self.memory = replace(self.memory, returns=returns, book=book, overs=overs)
        return messages

    def _known(self) -> tuple[Cause, ...]:
        """Return what holds as far as is known: what was open when this process started, too."""
        if self._down_since_s is None or self._seen:
            return self._seen
        opens = self.memory.book.opens
        return tuple(o.cause for o in opens if o.gone_s is None and DOWN not in o.cause.key)

    def _daemon_down(self) -> tuple[Cause, ...]:
        since_s = self._down_since_s
        if since_s is None or self.clock.monotonic_s() - since_s < DOWN_S:
            return ()
        text = f"hapaird on {self.name} does not answer: nobody watches its applications"
        to_do = f"on {self.name}: systemctl status hapaird; journalctl -u hapaird"
        return (Cause(f"{self.name} {DOWN}", Level.ALARM, self.name, text, to_do),)

    def _store(self) -> None:
        content = self._file.dump(self.memory)
        if content != self._stored:
            with suppress(OSError):  # A full disk: what is known here is told all the same.
                self.storage.store(FILE, content)
                self._stored = content


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
