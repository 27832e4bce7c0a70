"""What the two daemons say to each other over their connection.

Three things: the newest state of each core (repeated whenever a connection opens), requests with
their progress and answer, and the withdrawal of a request.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from hapair import __version__
from hapair.core.words.effects import Severity
from hapair.core.words.events import NotStated, PeerState, PeerStated
from hapair.core.words.protocol import UNSAID, Speaks, as_known
from hapair.ports.machine import Clock
from hapair.ports.peer import PeerLink
from hapair.rpc.messages import (
    Answer,
    ExitCode,
    JsonObject,
    Malformed,
    Progress,
    Result,
    RpcError,
    answer_object,
    parse_object,
    read_answer,
)
from hapair.runtime.codec import decode, encode
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.loop import contained
from hapair.runtime.verbs import Call, Handler

REQUESTS_MAX: Final = 64  # Of the peer, under way at the same time.
SIGNS_MAX: Final = 30  # Of what the peer calls its version.


@dataclass(slots=True)
class _Asked:
    """A request of ours that waits for its answer."""

    answer: asyncio.Future[JsonObject]
    on_progress: Callable[[Progress], None]


@dataclass(slots=True)
class Peer:
    """The other daemon, as far as it can be reached."""

    name: str
    clock: Clock
    journal: Journal
    stated: Callable[[PeerStated], None]
    not_stated: Callable[[NotStated], None]
    link: PeerLink | None = None
    network: str = ""  # Which network carries the connection; empty: none is open.
    _published: PeerState | None = None
    _speaks: Speaks = UNSAID  # What was said on this connection that the other end knows.
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _number: int = 0
    _asked: dict[int, _Asked] = field(default_factory=dict)
    _handlers: dict[str, tuple[Handler, bool]] = field(default_factory=dict)
    _working: dict[int, asyncio.Future[JsonObject]] = field(default_factory=dict)
    _withdrawn_on_loss: set[int] = field(default_factory=set)

    @property
    def connected(self) -> bool:
        return bool(self.network)

    @property
    def busy(self) -> int:
        """Count the peer's requests that are being worked on here."""
        return len(self._working)

    def on_request(self, verb: str, handler: Handler, *, cancellable: bool = False) -> None:
        """Let the peer ask for ``verb``. A cancellable one is cancelled when the peer goes away."""
        self._handlers[verb] = (handler, cancellable)

    def publish(self, state: PeerState) -> None:
        self._published = state
        self._send_state()

    async def request(
        self,
        verb: str,
        args: JsonObject | None = None,
        *,
        timeout_s: float | None = None,
        connect_s: float = 0.0,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> JsonObject:
        """Let the peer's daemon do it and return its result.

        A connection that is lost is waited for, for ``connect_s``.

        Raises RpcError: refused there, not reachable, or no answer in time. Being cancelled
        withdraws the request.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(connect_s):
                await self._open.wait()
        if not self.connected:
            raise RpcError(
                f"the daemon of {self.name} cannot be reached",
                f"look at {self.name}: systemctl status hapaird; cables and addresses: clstat",
                exit_code=ExitCode.NOT_NOW,
            )
        self._number += 1
        number = self._number
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._asked[number] = _Asked(answer, on_progress)
        self._send_object({"kind": "request", "id": number, "verb": verb, "args": args or {}})
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            self._withdraw(number)
            raise RpcError(
                f"{self.name} did not answer within {timeout_s:g} s",
                "look at: clstat",
                exit_code=ExitCode.NOT_NOW,
            ) from None
        except asyncio.CancelledError:
            self._withdraw(number)
            raise
        finally:
            del self._asked[number]

    def _withdraw(self, number: int) -> None:
        self._send_object({"kind": "cancel", "id": number})

    def _send_state(self) -> None:
        """Say the newest state, but for what the other end has not said to know."""
        if self._published is not None:
            state = encode(as_known(self._published, self._speaks))
            self._send_object({"kind": "state", "version": __version__, "state": state})

    def _send_object(self, value: JsonObject) -> None:
        self._send(json.dumps(value, separators=(",", ":")).encode())

    def _send(self, message: bytes) -> None:
        if self.link is not None and self.connected:
            self.link.send(message)

    # The link's reports.

    def opened(self, network: str) -> None:
        self.network = network
        self._speaks = UNSAID
        self._open.set()
        self.journal.add("connected", f"connected to {self.name} over {network}")
        self._send_state()

    def closed(self, why: str) -> None:
        network, self.network = self.network, ""
        self._open.clear()
        text = f"the connection to {self.name} over {network} ended: {why}"
        self.journal.add("disconnected", text)
        lost = RpcError(
            f"the connection to {self.name} was lost before it answered",
            "look at what was done: clstat",
            exit_code=ExitCode.UNFINISHED,
        )
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(lost)
        for number in tuple(self._withdrawn_on_loss):
            self._cancel(number)

    def received(self, message: bytes) -> None:
        try:
            self._take(parse_object(message))
        except Malformed as error:
            text = f"a message of {self.name} is not understood and was dropped: {error}"
            self.journal.add("malformed", text, severity=Severity.WARNING)

    def _take(self, value: JsonObject) -> None:
        kind, number = value.get("kind"), value.get("id")
        if kind == "state":
            self._take_state(value)
            return
        if not isinstance(number, int):
            raise Malformed("no number")
        match kind:
            case "request":
                self._take_request(number, value)
            case "cancel":
                self._cancel(number)
            case "answer":
                answer = value.get("answer")
                if not isinstance(answer, dict):
                    raise Malformed("no answer")
                self._take_answer(number, read_answer(answer))
            case _:
                raise Malformed("neither state, request, answer nor cancel")

    def _take_state(self, value: JsonObject) -> None:
        try:
            state = decode(PeerState, value.get("state"))
        except Malformed as error:
            version = str(value.get("version", "of an unknown version"))[:SIGNS_MAX]
            self.not_stated(NotStated(self.clock.boot_s(), f"hapair {version}: {error}"))
            return
        self.stated(PeerStated(self.clock.boot_s(), state))
        self._tell_more(state.speaks)

    def _tell_more(self, speaks: Speaks) -> None:
        """Say what was held back as long as the other end had not said that it knows it."""
        before, self._speaks = self._speaks, speaks
        newest = self._published
        if newest is not None and as_known(newest, speaks) != as_known(newest, before):
            self._send_state()

    def _take_answer(self, number: int, answer: Answer) -> None:
        asked = self._asked.get(number)
        if asked is None or asked.answer.done():
            return  # It was withdrawn or had timed out.
        match answer:
            case Progress():
                asked.on_progress(answer)
            case Result(result):
                asked.answer.set_result(result)
            case RpcError():
                asked.answer.set_exception(answer)

    def _take_request(self, number: int, value: JsonObject) -> None:
        verb, args = value.get("verb"), value.get("args")
        if not isinstance(verb, str) or not isinstance(args, dict):
            raise Malformed("a request without verb or arguments")
        if number in self._working or len(self._working) >= REQUESTS_MAX:
            self._answer(number, RpcError("too many requests at once", "try again"))
            return
        if verb not in self._handlers:
            self._answer(number, RpcError(f'"{verb}" is not known to {self.journal.node}'))
            return
        handler, cancellable = self._handlers[verb]
        call = Call(args, lambda progress: self._answer(number, progress), from_peer=True)
        if cancellable:
            self._withdrawn_on_loss.add(number)
        work = asyncio.ensure_future(contained(lambda: handler(call), self.journal))
        self._working[number] = work
        work.add_done_callback(lambda work: self._served(number, work))

    def _served(self, number: int, work: asyncio.Future[JsonObject]) -> None:
        del self._working[number]
        self._withdrawn_on_loss.discard(number)
        if work.cancelled():
            return
        error = work.exception()
        if isinstance(error, RpcError):  # Nothing else leaves ``contained``.
            self._answer(number, error)
        else:
            self._answer(number, Result(work.result()))

    def _cancel(self, number: int) -> None:
        working = self._working.get(number)
        if working is not None:
            working.cancel()

    def _answer(self, number: int, answer: Answer) -> None:
        self._send_object({"kind": "answer", "id": number, "answer": answer_object(answer)})
