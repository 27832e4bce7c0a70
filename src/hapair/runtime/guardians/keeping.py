"""Makes the snapshots that many handlers ask for at once: one look at LVM, then one by one.

DRBD calls a handler for each volume, for all of them in the moment in which a node comes back.
LVM's tools would wait for each other anyway, and take the processor from everybody meanwhile.
"""

import asyncio
from dataclasses import dataclass, field

from hapair.model.application import Volume
from hapair.model.outcome import Done, Outcome, Unknown
from hapair.model.storage import GroupStorage
from hapair.ports.storage import LogicalVolumes
from hapair.runtime.guardians.snapshots import drop_snapshot, make_snapshot_in


@dataclass(slots=True)
class Keeper:
    volumes: LogicalVolumes
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _askers: int = 0
    # As they are after what has been made so far; looked at anew when all have their answer.
    _groups: dict[str, GroupStorage] = field(default_factory=dict)

    async def keep(self, volume: Volume, name: str, room: int, *, whole: bool) -> Outcome:
        """Keep the volume's present content; ``room`` is how many bytes will be overwritten.

        Done also when it is there already. When the caller is cancelled nothing is kept: DRBD
        waits no longer, and what would be kept now is no longer what was meant.
        """
        self._askers += 1
        try:
            async with self._turn:
                making = asyncio.ensure_future(self._make(volume, name, room, whole=whole))
                try:
                    return await asyncio.shield(making)
                except asyncio.CancelledError:
                    await asyncio.wait({making})
                    if making.result() == Done():
                        await drop_snapshot(self.volumes, volume, name)
                    raise
        finally:
            self._askers -= 1
            if not self._askers:
                self._groups.clear()

    async def _make(self, volume: Volume, name: str, room: int, *, whole: bool) -> Outcome:
        place = volume.volume_group
        try:
            group = self._groups.get(place) or await self.volumes.group(place)
            outcome, self._groups[place] = await make_snapshot_in(
                self.volumes, group, volume, name, room, whole=whole
            )
        except ValueError as error:
            outcome = Unknown(str(error))
        if not isinstance(outcome, Done):
            self._groups.pop(place, None)
        return outcome
