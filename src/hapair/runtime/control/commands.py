"""What local tools may ask for, and which of the two daemons does it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from hapair.core.explain import Alarm
from hapair.core.words.effects import AnswerFence, Reply, Severity
from hapair.core.words.events import (
    Clear,
    Command,
    Commanded,
    ConfirmCopy,
    ConfirmPeerDown,
    FenceAsked,
    FenceAskerGone,
    Form,
    Halt,
    Introduce,
    Leave,
    Maintain,
    Move,
    Run,
    Start,
)
from hapair.model.maintenance import Scope
from hapair.model.status import Standing, Wanted
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError
from hapair.runtime.building.drift import DriftWatch, refuse_drift
from hapair.runtime.control.loss import estimates, loss_object
from hapair.runtime.control.status import Besides, node_status, nothing_more, why_object
from hapair.runtime.control.stopping import refuse_full, refuse_held, why_not
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.history.repeats import Repeats
from hapair.runtime.jobs.buildapp import ApplicationBuilder
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call, Handler, Rights, Verb, Verbs

BOTH: Final = "both"
LOCAL: Final = "local"
PEER_STATUS_TIMEOUT_S: Final = 2.0
PEER_EVENTS_TIMEOUT_S: Final = 1.0
PEER_RELOAD_TIMEOUT_S: Final = 10.0
PEER_MAY_STOP_TIMEOUT_S: Final = 10.0
WATCH_INTERVAL_S: Final = 0.5
EVENTS_MAX: Final = 2000
PEER_CONNECT_LOOKS: Final = 30
PEER_CONNECT_LOOK_S: Final = 0.1
# What the core's answer says when a command is not complete yet.
GOES_ON: Final = "it goes on"
PEER_AWAY: Final = ("is not together with this node", "which does not answer")
# Where the core's answer goes on with what to type.
HINTS: Final = ("; type: ", "; see: ", ", see: ")
OUTSIDE: Final = (Standing.HALTED, Standing.FORMING, Standing.LEAVING)


async def nothing_under_way() -> dict[str, JsonObject]:
    """Tell of no program that is being started or stopped."""
    return {}


def listed(value: object) -> list[object]:
    """Return what should be a list; anything else that a peer sent counts as an empty one."""
    return value if isinstance(value, list) else []


@dataclass(slots=True)
class Commands:
    """The verbs. ``node`` returns the running node or raises RpcError saying why there is none."""

    node: Callable[[], Node]
    reload: Callable[[], Awaitable[None]]
    drifts: DriftWatch
    journal: Journal
    clock: Clock
    builder: ApplicationBuilder
    of_machine: Callable[[], tuple[Alarm, ...]] = tuple
    watching: Callable[[str], JsonObject] = nothing_more  # What its monitors say.
    under_way: Callable[[], Awaitable[dict[str, JsonObject]]] = nothing_under_way
    _number: int = 0
    _waiting: dict[int, asyncio.Future[Reply]] = field(default_factory=dict)
    _asking: dict[int, asyncio.Future[AnswerFence]] = field(default_factory=dict)
    _asked: Repeats = field(default_factory=Repeats)

    def verbs(self) -> Verbs:
        read = Rights.READ
        return {
            "ping": Verb(self.ping, read),
            "status": Verb(self.status, read),
            "watch": Verb(self.watch, read, cancellable=True),
            "events": Verb(self.events, read),
            "why": Verb(self.why, read),
            "loss": Verb(self.loss, read),
            "form": Verb(self.form),
            "leave": Verb(self.leave),
            "may-stop": Verb(self.may_stop),
            "run": Verb(self.run),
            "halt": Verb(self.halt),
            "move": Verb(self.move),
            "clear": Verb(self.clear),
            "maintain": Verb(self.maintain),
            "confirm": Verb(self.confirm),
            "confirm-copy": Verb(self.confirm_copy),
            "introduce": Verb(self.introduce),
            "fence-peer": Verb(self.fence_peer, cancellable=True, by_kernel=True),
            "reload": Verb(self.reload_built),
            "release": Verb(self.builder.release, cancellable=True),
            "abandon": Verb(self.builder.abandon, cancellable=True),
        }

    def for_peer(self) -> dict[str, Handler]:
        """Return what the peer's daemon may ask this one for."""
        return {
            "status": self.status,
            "why": self.why,
            "events": self.events,
            "form": self.form,
            "leave": self.leave,
            "may-stop": self.may_stop,
            "run": self.run,
            "halt": self.halt,
            "move": self.move,
            "clear": self.clear,
            "introduce": self.introduce,
            "reload": self.reload_built,
            "can-store": self.can_store,
            **self.builder.for_peer(),
        }

    def answered(self, reply: Reply) -> None:
        """Take the core's answer to a command."""
        waiting = self._waiting.pop(reply.request_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def fence_answered(self, answer: AnswerFence) -> None:
        """Take the core's verdict for DRBD's fence-peer handler."""
        waiting = self._asking.pop(answer.request_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def fence_peer(self, call: Call) -> JsonObject:
        """Ask the core whether a resource may be written without the peer, for DRBD's handler.

        It waits until the verdict is final; the core hears when a handler waits no more.
        """
        node, resource = self.node(), call.text("resource")
        self._number += 1
        number = self._number
        waiting: asyncio.Future[AnswerFence] = asyncio.get_running_loop().create_future()
        self._asking[number] = waiting
        node.offer(FenceAsked(self.clock.boot_s(), number, resource))
        try:
            answer = await waiting
        finally:
            self._asking.pop(number, None)
            node.offer(FenceAskerGone(self.clock.boot_s(), number))
        # DRBD asks up to four times for a promotion, and after each attempt at a connection that
        # ends, which can be every second.
        if line := self._asked.told(f"{resource}: {answer.because}", self.clock.boot_s()):
            self.journal.add("fence-peer", line)
        return {"verdict": answer.verdict}

    async def command(self, command: Command) -> JsonObject:
        """Give the core a command and wait for its answer, which the core bounds in time."""
        node = self.node()
        self._number += 1
        number = self._number
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        node.offer(Commanded(self.clock.boot_s(), number, command))
        try:
            reply = await waiting
        finally:
            self._waiting.pop(number, None)
        if reply.accepted:
            return {"text": reply.text}
        error, mend = _error_and_mend(reply.text, command)
        raise RpcError(error, mend, exit_code=_exit_code(reply, command, node.state.standing))

    async def _on_peer(self, verb: str, call: Call, **changed: object) -> JsonObject:
        """Let the peer's daemon do it; it may take as long as it would here."""
        args = {**call.args, **changed}
        return await self.node().peer.request(verb, args, on_progress=call.on_progress)

    # Reading.

    async def ping(self, _: Call) -> JsonObject:
        return {"node": self.journal.node}

    async def status(self, call: Call) -> JsonObject:
        node = self.node()
        drifts = await self.drifts.look(node.built)
        under_way = await self.under_way()
        mine = node_status(
            node.state,
            self.clock.boot_s(),
            drifts,
            node.link_view(),
            node.remembered(),
            Besides(
                (*node.keeper.alarms(), *self.builder.alarms(), *self.of_machine()),
                lambda name: self.watching(name) | under_way.get(name, {}),
            ),
        )
        me = node.identity.me
        if call.from_peer:
            return mine
        try:
            theirs: object = await node.peer.request("status", timeout_s=PEER_STATUS_TIMEOUT_S)
        except RpcError:
            theirs = None
        return {"local": me, "nodes": {me: mine, node.peer.name: theirs}}

    async def watch(self, call: Call) -> JsonObject:
        """Send the status twice a second, until the caller goes away."""
        while True:
            call.on_progress(Progress(status=await self.status(call)))
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def events(self, call: Call) -> JsonObject:
        """Return the newest lines of the history; with ``both`` the peer's too, if it answers."""
        since, limit = int(call.number("since", 0)), int(call.number("limit", EVENTS_MAX))
        mine = self.journal.since(since, min(limit, EVENTS_MAX))
        if not call.flag("both") or call.from_peer:
            return {"events": mine}
        try:
            theirs = await self.node().peer.request(
                "events", {"since": 0, "limit": limit}, timeout_s=PEER_EVENTS_TIMEOUT_S
            )
        except RpcError:
            return {"events": mine}
        return {"events": [*mine, *listed(theirs.get("events"))]}

    async def why(self, call: Call) -> JsonObject:
        node, name = self.node(), call.text("application")
        built = [each for each in node.built.applications if each.application.name == name]
        if not built:
            raise RpcError(f"there is no application {name}", "list them with: clstat")
        mine = why_object(node.state, built[0].application)
        if call.from_peer:
            return mine
        try:
            theirs = await node.peer.request("why", call.args, timeout_s=PEER_STATUS_TIMEOUT_S)
        except RpcError:
            return {"application": name, "nodes": [mine]}
        return {"application": name, "nodes": [mine, theirs]}

    # Changing.

    async def form(self, call: Call) -> JsonObject:
        start = Start.BY_BOOT if call.text("start", "") == Start.BY_BOOT else Start.BY_COMMAND
        node, where = self.node(), call.text("node", LOCAL)
        drifts = await self.drifts.look(node.built)
        # A boot goes on with what was built: an edited file must not keep a service down.
        if start is Start.BY_COMMAND:
            refuse_drift(drifts.clconf)
        command = Form(
            start,
            call.number("timeout_s", 60.0),
            call.flag("allow_single_node", default=True),
            call.flag("join_existing_cluster", default=True),
            call.flag("autostart", default=True),
        )
        if where == node.peer.name:
            return await self._on_peer("form", call, node=LOCAL)
        if where == BOTH and await self._peer_connects():
            return await self._form_both(command, call)
        return await self.command(command)

    async def _peer_connects(self) -> bool:
        """Give the connection the moment that it needs after a daemon was started."""
        peer = self.node().peer
        for _ in range(PEER_CONNECT_LOOKS):
            if peer.connected:
                return True
            await asyncio.sleep(PEER_CONNECT_LOOK_S)
        return peer.connected

    async def _form_both(self, command: Form, call: Call) -> JsonObject:
        """Form both nodes at once; what this node reached counts."""
        mine = asyncio.ensure_future(self.command(command))
        theirs = asyncio.ensure_future(self._on_peer("form", call, node=LOCAL))
        try:
            await asyncio.wait([mine, theirs], return_when=asyncio.FIRST_COMPLETED)
            if not mine.done() and isinstance(error := theirs.exception(), RpcError):
                raise RpcError(
                    f"{self.node().peer.name} does not join: {error.error}",
                    error.mend or "this node goes on waiting for it; see: clstat",
                    exit_code=ExitCode.UNFINISHED,
                )
            return await mine
        finally:
            theirs.cancel()
            mine.cancel()
            await asyncio.wait([mine, theirs])

    async def leave(self, call: Call) -> JsonObject:
        node, where = self.node(), call.text("node", LOCAL)
        if where == node.peer.name:
            return await self._on_peer("leave", call, node=LOCAL)
        if not call.flag("force"):
            await refuse_held(node, self.journal)
            if call.flag("handover"):
                await refuse_full(node)
        return await self.command(
            Leave(call.flag("handover"), call.flag("last"), call.flag("shutdown"))
        )

    async def run(self, call: Call) -> JsonObject:
        name = call.text("application")
        target = call.args.get("node")
        if target is not None:
            target = call.text("node")
            if target == LOCAL:
                target = self.node().identity.me
        return await self._by_owner("run", call, Run(name, target), node=target)

    async def halt(self, call: Call) -> JsonObject:
        return await self._by_owner("halt", call, Halt(call.text("application")))

    async def move(self, call: Call) -> JsonObject:
        return await self._by_owner("move", call, Move(call.text("application")))

    async def clear(self, call: Call) -> JsonObject:
        return await self._by_owner("clear", call, Clear(call.text("application")))

    async def maintain(self, call: Call) -> JsonObject:
        """Begin or end a maintenance; the cores tell each other."""
        scope = call.text("scope")
        if scope not in tuple(Scope):
            raise RpcError(f'"{scope}" is none of {", ".join(Scope)}', exit_code=ExitCode.USAGE)
        command = Maintain(
            Scope(scope),
            call.text("name", ""),
            call.flag("on", default=True),
            call.number("for_s", 0.0),
            call.text("reason", ""),
            self.clock.wall_s(),
        )
        return await self.command(command)

    async def _by_owner(
        self, verb: str, call: Call, command: Run | Halt | Move | Clear, **changed: object
    ) -> JsonObject:
        """Let the owner of the application decide: only it may write the application's record."""
        node = self.node()
        if call.from_peer:
            return await self._of_own(call, command)
        if isinstance(command, Run | Move):  # Stopping must always be possible.
            refuse_drift((await self.drifts.look(node.built)).clconf)
        record = node.state.record(command.application)
        if record is not None and record.owner == node.peer.name and node.peer.connected:
            return await self._on_peer(verb, call, **changed)
        return await self._of_own(call, command)

    async def _of_own(self, call: Call, command: Run | Halt | Move | Clear) -> JsonObject:
        if isinstance(command, Clear):
            return await self.command(command)
        if not isinstance(command, Halt):
            self.builder.refuse_beside(command.application)
        if isinstance(command, Move):
            await refuse_full(self.node())
        if not isinstance(command, Run) and not call.flag("force"):
            await refuse_held(self.node(), self.journal, command.application)
        return await self.command(command)

    async def can_store(self, _: Call) -> JsonObject:
        return {"can_store": await self.node().keeper.takes()}

    async def may_stop(self, call: Call) -> JsonObject:
        """Say what refuses a stop of everything, on both nodes or one; empty: nothing does.

        A peer that cannot tell, because its version does not know the question, refuses nothing.
        """
        node = self.node()
        where = node.identity.me if call.from_peer else call.text("node", BOTH)
        here = where in (BOTH, node.identity.me)
        if here and (refusal := await why_not(node, self.journal)) is not None:
            problems = list[object](refusal.problems)
            return {"error": refusal.error, "mend": refusal.mend, "problems": problems}
        if where == node.identity.me or not node.peer.connected:
            return {}
        with contextlib.suppress(RpcError):
            return await node.peer.request("may-stop", timeout_s=PEER_MAY_STOP_TIMEOUT_S)
        return {}

    async def loss(self, _: Call) -> JsonObject:
        """Tell what a confirmation that the peer is down would start, and might lose."""
        node = self.node()
        return loss_object(node.state, node.remembered())

    async def confirm(self, _: Call) -> JsonObject:
        """Carry the statement out; the history keeps what was known of the price before it."""
        node = self.node()
        told = estimates(node.state, node.remembered())
        answer = await self.command(ConfirmPeerDown())
        for each in told:
            self.journal.add(
                "loss-estimate",
                f"when the peer was confirmed to be down: {each.text}",
                application=each.application,
                severity=Severity.WARNING,
            )
        return answer | {"estimates": [each.text for each in told]}

    async def confirm_copy(self, call: Call) -> JsonObject:
        """Use a copy here although it was written behind DRBD: a person says that it is good."""
        return await self.command(ConfirmCopy(call.text("application")))

    async def introduce(self, call: Call) -> JsonObject:
        wanted = call.text("wanted", Wanted.UP)
        if wanted not in tuple(Wanted):
            raise RpcError(f'"{wanted}" is none of {", ".join(Wanted)}', exit_code=ExitCode.USAGE)
        return await self.command(Introduce(call.text("application"), Wanted(wanted)))

    async def reload_built(self, call: Call) -> JsonObject:
        """Take over built.json, on both nodes when the peer can be reached."""
        await self.reload()
        node = self.node()
        if not call.from_peer and node.peer.connected:
            await node.peer.request("reload", timeout_s=PEER_RELOAD_TIMEOUT_S)
            return {"text": "both nodes use the new configuration"}
        return {"text": f"{node.identity.me} uses the new configuration"}


def _error_and_mend(text: str, command: Command) -> tuple[str, str]:
    """Return what is wrong, and what to type next: nobody is left with the first alone."""
    for hint in HINTS:
        error, found, rest = text.partition(hint)
        if found:
            return error, hint.lstrip(";, ") + rest
    why = f" --why {command.application}" if isinstance(command, Run | Halt | Move | Clear) else ""
    return text, f"see: clstat{why}"


def _exit_code(refusal: Reply, command: Command, standing: Standing) -> ExitCode:
    if GOES_ON in refusal.text:
        return ExitCode.UNFINISHED
    away = any(words in refusal.text for words in PEER_AWAY)
    if isinstance(command, Run | Halt | Move | Clear) and (standing in OUTSIDE or away):
        return ExitCode.NOT_NOW
    return ExitCode.REFUSED
