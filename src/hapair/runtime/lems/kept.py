"""The changes of lemsctl, kept on both nodes: they survive daemons, Lems and moves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import InitVar, dataclass, field, replace
from typing import Final

from hapair.config import codec
from hapair.config.codec import DamagedError
from hapair.core.words.effects import Severity
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, JsonObject, Malformed, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.lems.changes import Changes
from hapair.runtime.lems.entries import Entry, all_of, dump_entries, read_entries, written_as
from hapair.runtime.node.peer import Peer
from hapair.runtime.verbs import Call, Handler

FILE: Final = "monitors.json"  # In the memory.
VERB: Final = "monitor-changes"
CHANGES: Final = "changes"
EVENT: Final = "monitor-changes"
PEER_S: Final = 2.0
LOOK_S: Final = 1.0
APPLICATIONS_MAX: Final = 1000
CHANGED_MAX: Final = 200  # Monitors that are added, removed or halted, of one application.
KEPT_BYTES_MAX: Final = 4 << 20  # One message to the peer, and one to a Lems, hold it all.
TRIES_MAX: Final = 5  # Of a change, while the other node changes the same application.


Keep = Callable[[str, bytes], Awaitable[None]]
# Given what is changed now: what is to be, and how that is told; RpcError: it is refused.
Change = Callable[[Changes], tuple[Changes, str]]


def read_kept(content: bytes) -> dict[str, Entry]:
    """Read the file; Malformed."""
    try:
        entries = read_entries(codec.loads(content))
    except DamagedError as error:
        raise Malformed(str(error)) from None
    return {each.changes.application: each for each in entries}


@dataclass(slots=True)
class Kept:
    """What is changed, by application. ``changed`` is called whenever it is news."""

    keep: Keep
    clock: Clock
    journal: Journal
    peer: Callable[[], Peer]  # RpcError while no cluster is built.
    lies: InitVar[bytes | None]  # The file's content.
    changed: Callable[[], None] = lambda: None
    met: bool = False  # The peer knows all of this.
    each: dict[str, Entry] = field(init=False)
    # Made here while the peer was away: what was changed before, and with it.
    _alone: dict[str, tuple[Changes, Changes]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)  # What is not understood, by application.
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self, lies: bytes | None) -> None:
        self.each = {}
        if lies is not None:
            with suppress(Malformed):  # What cannot be read was set aside.
                self.each = read_kept(lies)
        self._tell_unknown()

    def of(self, application: str) -> Changes:
        entry = self.each.get(application)
        return entry.changes if entry is not None else Changes(application)

    def for_peer(self) -> dict[str, Handler]:
        return {VERB: self._answer}

    async def change(self, application: str, how: Change) -> tuple[str, bool]:
        """Keep a change on both nodes; return how it is told, and whether the peer has it too.

        ``how`` is asked again where the other node changed the same application meanwhile, so that
        both changes hold. Raises RpcError: it is refused, or could not be written here.
        """
        for _ in range(TRIES_MAX):
            async with self._writing:
                former = self._changeable(application)
                new, text = how(former)
                if new == former:
                    return text, True
                newer = await self._make(former, new)
            self.changed()
            try:
                await self._meet()
            except (RpcError, Malformed, OSError):
                self.met = False
                before, _ = self._alone.get(application, (former, newer))
                self._alone[application] = before, newer
                return text, False
            if newer.holds_in(self.of(application), former):
                return text, True
        raise RpcError(
            f"the monitors of {application} are changed again and again on the other node",
            f"see what holds, and say it once more: lemsctl {application} list",
            exit_code=ExitCode.NOT_NOW,
        )

    def _changeable(self, application: str) -> Changes:
        entry = self.each.get(application)
        if entry is not None and not entry.understood:
            raise RpcError(
                f"a newer version changed the monitors of {application} in a way that this one"
                " does not understand",
                "change them on the node with the newer version, or upgrade this one",
            )
        return self.of(application)

    async def _make(self, former: Changes, new: Changes) -> Changes:
        """Write a change, with the age that it has by that."""
        if max(len(new.halted), len(new.added), len(new.removed)) > CHANGED_MAX:
            raise RpcError(
                f"{new.application} has {CHANGED_MAX} changed monitors already",
                f"write them into its appconf.xml: clbuildapp {new.application} --take-monitors",
            )
        newer = replace(
            new,
            version=former.version + 1,
            wall_s=round(self.clock.wall_s(), 3),
            node=self.journal.node,
        )
        entry = written_as(newer, self.each.get(new.application))
        if len(dump_entries(self._with([entry]).values())) > KEPT_BYTES_MAX:
            raise RpcError(
                f"all that lemsctl changed would be more than {KEPT_BYTES_MAX >> 20} MiB",
                "write some of it into an appconf.xml: clbuildapp APP --take-monitors",
            )
        try:
            await self._write([entry])
        except OSError as error:
            raise RpcError(
                f"the change cannot be written: {error.strerror or error}",
                "make room there: df -h /var/lib/hapair",
            ) from None
        return newer

    async def _write(self, newer: Iterable[Entry]) -> None:
        """Have it on the disk before anybody acts on it."""
        each = self._with(newer)
        await self.keep(FILE, dump_entries(each.values()))
        self.each = each

    def _with(self, newer: Iterable[Entry]) -> dict[str, Entry]:
        # What is not a change any more is kept as well: else the peer's older one would win.
        each = self.each | {entry.changes.application: entry for entry in newer}
        return dict(sorted(each.items())[:APPLICATIONS_MAX])

    async def _take(self, told: Iterable[Entry]) -> None:
        """Take over what is newer."""
        async with self._writing:
            newer = [
                entry
                for entry in told
                if entry.changes.age > self.of(entry.changes.application).age
            ]
            if not newer:
                return
            await self._write(newer)
            for entry in newer:
                self._tell_replaced(entry.changes)
        self._tell_unknown()
        self.changed()

    async def _meet(self) -> None:
        """Exchange all with the peer; RpcError and others say why that is not possible."""
        mine = all_of(self.each.values())
        answer = await self.peer().request(VERB, {CHANGES: mine}, timeout_s=PEER_S)
        await self._take(read_entries(answer.get(CHANGES)))

    async def _met(self) -> bool:
        """Meet the peer; False: it is tried again. A peer of an older version knows no changes."""
        try:
            await self._meet()
        except RpcError as error:
            return error.exit_code not in (ExitCode.NOT_NOW, ExitCode.UNFINISHED)
        except (Malformed, OSError):
            return False
        self._alone.clear()
        return True

    async def _answer(self, call: Call) -> JsonObject:
        """Take what the peer has newer, and tell all."""
        try:
            await self._take(read_entries(call.args.get(CHANGES)))
        except Malformed as error:
            raise RpcError(f"changes that are not understood: {error}") from None
        except OSError as error:
            raise RpcError(f"the changes cannot be written: {error}") from None
        return {CHANGES: all_of(self.each.values())}

    def _tell_replaced(self, now: Changes) -> None:
        """Say that what an operator changed here does not hold: the peer's change is newer."""
        former, made = self._alone.pop(now.application, (now, now))
        if not made.holds_in(now, former):
            self._warn(
                now.application,
                "what lemsctl changed here while the nodes could not reach each other was replaced"
                f" by what was changed on {now.node}: see lemsctl {now.application} list",
            )

    def _tell_unknown(self) -> None:
        """Say once what a newer version changed that means nothing here."""
        unknown = {name: entry.unknown for name, entry in self.each.items() if entry.unknown}
        for application, what in unknown.items():
            if self._told.get(application) != what:
                self._warn(
                    application,
                    f"lemsctl of a newer version changed its monitors, and this node does not"
                    f" understand {what}: it is kept, and watched by the newer version alone",
                )
        self._told = unknown

    def _warn(self, application: str, text: str) -> None:
        self.journal.add(EVENT, text, application=application, severity=Severity.WARNING)

    async def run(self) -> None:
        """Meet the peer whenever the connection to it is new."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                connected = self.peer().connected
            except RpcError:
                connected = False
            self.met = connected and (self.met or not self.each or await self._met())
