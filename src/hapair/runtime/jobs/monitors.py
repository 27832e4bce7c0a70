"""clbuildapp and what lemsctl changed: taken over into appconf.xml, dropped, or left as it is."""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from hapair.config.appconf import examine_appconf
from hapair.config.monitors_text import with_monitors
from hapair.config.one_monitor import as_element
from hapair.durable import replace_durably
from hapair.model.monitor import MONITORS_MAX
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.building.files import mode_of, read_written
from hapair.runtime.lems.changes import Changes, number_in_force
from hapair.runtime.lems.kept import Kept
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call

TAKE: Final = "take"
DROP: Final = "drop"
HOW: Final = ("", TAKE, DROP)
BESIDE: Final = ".appconf.xml.new"


class Builds(Protocol):
    def __call__(self, call: Call, text: bytes | None = None) -> Awaitable[JsonObject]:
        """Build an application; ``text`` stands for its appconf.xml, which is not read then."""
        ...


@dataclass(slots=True)
class MonitorsBuilt:
    """The verb ``buildapp`` {application, plan, monitors}: builds, and settles the changes."""

    build: Builds
    kept: Kept
    places: Places

    async def buildapp(self, call: Call) -> JsonObject:
        how, changes = call.text("monitors", ""), self.kept.of(call.text("application"))
        if how not in HOW:
            what = f'argument "monitors" is none of {", ".join(HOW[1:])}'
            raise RpcError(what, "systemctl restart hapaird", exit_code=ExitCode.USAGE)
        if not changes.any:
            return await self.build(call)
        if how == TAKE:
            return await self._take(call, changes)
        if how != DROP:
            await asyncio.to_thread(self._check_number, changes)
        result = await self.build(call)
        if how == DROP:
            told = f"drops what lemsctl changed: {_named(changes)}"
            if not call.flag("plan"):
                await self._settle(changes)
            return _with(result, "summary", told, changed=not call.flag("plan"))
        told = (
            f"lemsctl changed its monitors ({_named(changes)}), and that stays: --take-monitors"
            " writes it into appconf.xml, --drop-monitors drops it"
        )
        return _with(result, "warnings", told)

    def _check_number(self, changes: Changes) -> None:
        """Refuse what would have too many with those that lemsctl added."""
        file = self.places.appconf(changes.application)
        written = examine_appconf(_read(file), file=str(file)).value
        number = number_in_force(written, changes) if written is not None else 0
        if number > MONITORS_MAX:
            raise RpcError(
                f"{changes.application} would have {number} monitors with what lemsctl changed, and"
                f" at most {MONITORS_MAX} are possible",
                f"remove some from {file}, or drop what lemsctl changed: --drop-monitors",
                exit_code=ExitCode.USAGE,
            )

    async def _take(self, call: Call, changes: Changes) -> JsonObject:
        file = self.places.appconf(changes.application)
        former = await asyncio.to_thread(_read, file)
        text, taken = taken_over(former, changes), replace(changes, halted=(), strange=())
        told = f"writes into appconf.xml what lemsctl changed: {_named(taken)}"
        if call.flag("plan") or text == former:
            result = await self.build(call, text)
        else:
            await asyncio.to_thread(_write, file, text)
            result = {}
            try:
                result = await self.build(call, text)
            finally:
                if not result:  # What was not built is not written either.
                    _write(file, former)
        if not call.flag("plan"):
            await self._settle(taken)
        if changes.halted:
            names = ", ".join(each.name for each in changes.halted)
            halted = f"{names} of it is still halted: lemsctl {changes.application} resume"
            result = _with(result, "warnings", halted)
        return _with(result, "summary", told)

    async def _settle(self, settled: Changes) -> None:
        """These are no changes any more; what lemsctl changed meanwhile stays."""
        await self.kept.change(settled.application, lambda now: (now.settled(settled), ""))


def taken_over(text: bytes, changes: Changes) -> bytes:
    """Return the text of an appconf.xml with what lemsctl added and removed."""
    gone = (*changes.removed, *(each.monitor.name for each in changes.added))
    added = [as_element(each.kind, dict(each.written)) for each in changes.added]
    return with_monitors(text, gone, added)


def _named(changes: Changes) -> str:
    told = [f"halted {each.name}" for each in changes.halted]
    told += [f"added {each.monitor.name}" for each in changes.added]
    told += [f"added {each.name} (by a newer version)" for each in changes.strange]
    return ", ".join([*told, *(f"removed {name}" for name in changes.removed)]) or "nothing"


def _with(result: JsonObject, member: str, text: str, **more: object) -> JsonObject:
    former = result.get(member)
    return {**result, member: [*(former if isinstance(former, list) else ()), text], **more}


def _read(file: Path) -> bytes:
    try:
        return read_written(file)
    except OSError as error:
        raise RpcError(
            f"{file}: {error.strerror}",
            "write it; samples: /usr/share/hapair/samples",
            exit_code=ExitCode.USAGE,
        ) from None


def _write(file: Path, text: bytes) -> None:
    mode = mode_of(file)

    def prepare(descriptor: int) -> None:
        os.fchmod(descriptor, mode)

    try:
        replace_durably(file, text, file.with_name(BESIDE), prepare)
    except OSError as error:
        raise RpcError(
            f"{file} cannot be written: {error.strerror}",
            "make room there: df -h /etc",
        ) from None
