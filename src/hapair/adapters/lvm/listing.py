"""What lies in volume groups, told by two programs however many groups and askers there are."""

import asyncio
from dataclasses import replace
from typing import Final

from hapair.adapters.lvm.parse import (
    LvmReportError,
    groups_of,
    taken_names_of,
    volumes_of,
)
from hapair.adapters.shared.lvm_reports import REPORT
from hapair.model.storage import GroupStorage
from hapair.ports.programs import CommandRunner, Finished, TimedOut

LIMIT_S: Final = 60.0
ALL: Final = ("--all", "--history")  # Also what is hidden or removed: its name is taken.
GROUP_COLUMNS: Final = "vg_name,vg_extent_size,vg_free,vg_attr"
COLUMNS: Final = (
    "vg_name,lv_name,lv_attr,lv_size,lv_device_open,lv_active,origin,lv_time,lv_tags,lv_uuid,"
    "pool_lv,lv_health_status"
)
NOT_FOUND: Final = 'Volume group "{}" not found'  # All else means: nobody could look.

_Found = GroupStorage | LvmReportError


class Listing:
    """Answers each question from a look that began after it, so after all that was done before.

    Whoever asks while LVM is being looked at gets what the next look finds, together with all
    others who ask meanwhile.
    """

    def __init__(self, run: CommandRunner) -> None:
        self._run = run
        self._asked: set[str] = set()  # What the next look is for.
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[dict[str, _Found]] | None = None

    async def group(self, name: str) -> GroupStorage:
        """Return what lies in a group; LvmReportError when LVM's answer makes no sense."""
        self._asked.add(name)
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._begin())
        found = (await asyncio.shield(self._next))[name]
        if isinstance(found, LvmReportError):
            raise LvmReportError(str(found))
        return found

    async def _begin(self) -> dict[str, _Found]:
        async with self._turn:
            self._next = None
            names, self._asked = tuple(sorted(self._asked)), set()
            return await self._read(names)

    async def _read(self, names: tuple[str, ...]) -> dict[str, _Found]:
        """Look at all of them at once; where that fails, at one after the other.

        One that cannot be looked at, or that does not exist, says nothing about the others.
        """
        try:
            return {group.name: group for group in await self._report(names)}
        except LvmReportError as error:
            if len(names) == 1:
                return {names[0]: error}
        found: dict[str, _Found] = {}
        for name in names:
            found |= await self._read((name,))
        return found

    async def _report(self, names: tuple[str, ...]) -> tuple[GroupStorage, ...]:
        what = " ".join(names)
        seen = await self._run(("vgs", *REPORT, "-o", GROUP_COLUMNS, *names), timeout_s=LIMIT_S)
        if isinstance(seen, TimedOut):
            raise LvmReportError(f"vgs {what} gave no answer within {LIMIT_S:.0f} s")
        if seen.exit_code != 0:
            if len(names) == 1 and NOT_FOUND.format(what) in seen.stderr:
                return (GroupStorage(what, exists=False),)
            said = " ".join(seen.stderr.split())
            raise LvmReportError(f"vgs {what} ended with {seen.exit_code}: {said}")
        groups = groups_of(seen.stdout)
        if sorted(group.name for group in groups) != list(names):
            raise LvmReportError(f"vgs {what} spoke of other groups")
        asked = ("lvs", *REPORT, *ALL, "-o", COLUMNS, *names)
        listed = await self._run(asked, timeout_s=LIMIT_S)
        if not isinstance(listed, Finished) or listed.exit_code != 0:
            raise LvmReportError(f"lvs {what} gave no answer")
        inside, taken = volumes_of(listed.stdout), taken_names_of(listed.stdout)
        return tuple(
            replace(
                group,
                volumes=inside.get(group.name, ()),
                taken_names=taken.get(group.name, ()),
            )
            for group in groups
        )
