"""Where the process that sends alerts, its twin on the other node and clalert meet.

The daemon hands on what they say and decides nothing of it: it loads nothing for sending, and
waits for nobody who sends.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from hapair.core.words.effects import Severity
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call, Handler, Rights, Verb, Verbs

FRESH_S: Final = 20.0  # A process that said nothing for longer is gone, or hangs.
WAIT_MAX_S: Final = 10.0
PEER_TIMEOUT_S: Final = 2.0
EVENTS_MAX: Final = 2000
ORDERS_MAX: Final = 32
GIVEN_UP_MAX: Final = 16  # In one round.
TEXT_MAX: Final = 500
ORDER_TIMEOUT_S: Final = 330.0  # A test ends with the time limit of its receiver.
NOBODY: Final = RpcError(
    "no process sends alerts on this node",
    "where clconf.xml has <alerts>: systemctl restart hapair-alerts",
    exit_code=ExitCode.NOT_NOW,
)


@dataclass(slots=True)
class AlertDesk:
    """``status`` answers what clstat asks; ``node`` returns the running node or raises RpcError."""

    node: Callable[[], Node]
    status: Callable[[Call], Awaitable[JsonObject]]
    journal: Journal
    clock: Clock
    _board: JsonObject | None = None
    _said_at_s: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _orders: deque[JsonObject] = field(default_factory=deque)
    _waiting: dict[int, asyncio.Future[JsonObject]] = field(default_factory=dict)
    _number: int = 0

    def verbs(self) -> Verbs:
        return {
            "alerts": Verb(self.alerts, Rights.READ),
            "alerts-answer": Verb(partial(self._order, "answer"), cancellable=True),
            "alerts-test": Verb(partial(self._order, "test"), cancellable=True),
            "alerts-round": Verb(self.round, cancellable=True),
        }

    def for_peer(self) -> dict[str, Handler]:
        return {"alerts": self.alerts}

    async def alerts(self, call: Call) -> JsonObject:
        """Return what the process on this node said last, and how the other node's knows it."""
        here = self._board if self._is_fresh() else None
        there = None if call.from_peer else await self._of_peer()
        return {"boards": {"here": here, "there": there}}

    async def round(self, call: Call) -> JsonObject:
        """Take what the process says; answer when there is news, or after ``wait_s``."""
        board = call.args.get("board")
        self._board = board if isinstance(board, dict) else None
        self._said_at_s = self.clock.boot_s()
        self._take_answers(call.args.get("done"))
        given_up = call.args.get("given_up")
        for each in given_up[:GIVEN_UP_MAX] if isinstance(given_up, list) else ():
            text = str(each)[:TEXT_MAX]
            self.journal.add("letter-given-up", text, severity=Severity.WARNING)
        since = int(call.number("since"))
        if since < 0:  # What happened before anybody was to be told of it is history.
            return await self._news_of([])
        if since > self.journal.newest:  # The history was lost, and is counted anew.
            since = 0
        await self._wait(since, min(call.number("wait_s"), WAIT_MAX_S))
        return await self._news_of(self.journal.since(since, EVENTS_MAX))

    async def _order(self, what: str, call: Call) -> JsonObject:
        """Let the process carry out what clalert wants, and return its answer."""
        if not self._is_fresh() or len(self._waiting) >= ORDERS_MAX:
            raise NOBODY
        self._number += 1
        number = self._number
        waiting: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._orders.append({**call.args, "id": number, "order": what})
        self._news.set()
        try:
            async with asyncio.timeout(ORDER_TIMEOUT_S):
                return await waiting
        except TimeoutError:
            raise NOBODY from None
        finally:
            del self._waiting[number]

    def _is_fresh(self) -> bool:
        return self._board is not None and self.clock.boot_s() - self._said_at_s < FRESH_S

    def _take_answers(self, done: object) -> None:
        for each in done if isinstance(done, list) else ():
            waiting = self._waiting.get(each.get("id"))
            if waiting is None or waiting.done():
                continue
            if error := each.get("error"):
                mend = str(each.get("mend", ""))
                waiting.set_exception(RpcError(str(error), mend))
            else:
                waiting.set_result({name: each[name] for name in each if name != "id"})

    async def _wait(self, since: int, wait_s: float) -> None:
        """Return when there are orders or further lines of the history, or after ``wait_s``."""
        stop = self.journal.follow(lambda _: self._news.set())
        try:
            self._news.clear()
            if not self._orders and not self.journal.since(since, 1):
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._news.wait()
        finally:
            stop()

    async def _news_of(self, events: list[JsonObject]) -> JsonObject:
        newest = self.journal.newest  # Before anything is waited for.
        peer = await self._of_peer()
        status: JsonObject | None = None
        with suppress(RpcError):
            status = await self.status(Call())
        orders = list(self._orders)
        self._orders.clear()
        return {
            "node": self.journal.node,
            "status": status,
            "events": list[object](events),
            "newest": newest,
            "peer": peer,
            "orders": list[object](orders),
        }

    async def _of_peer(self) -> object:
        """Return the board of the other node's process; None when nothing is heard of it."""
        with suppress(RpcError):
            answer = await self.node().peer.request("alerts", timeout_s=PEER_TIMEOUT_S)
            boards = answer.get("boards")
            return boards.get("here") if isinstance(boards, dict) else None
        return None
