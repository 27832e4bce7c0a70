"""Makes DRBD follow the order of resyncs that is built now, whatever changed it.

clbuild writes the resource files itself; an application that is built or taken back changes for
whom others wait, and a node that was away has only the peer's built.json. A file takes effect only
when its volume is attached, so the kernel is told as well. No failover waits for any of this.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from hapair.core.words.effects import Severity
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Disk, VolumeFacts
from hapair.model.outcome import Done, Outcome
from hapair.rpc.messages import RpcError
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node

LIMIT_S: Final = 10.0
NOT_ATTACHED: Final = (Disk.DISKLESS, Disk.ATTACHING, Disk.DETACHING, Disk.FAILED, Disk.UNKNOWN)


@dataclass(slots=True)
class ResyncOrder:
    node: Callable[[], Node]
    tools: RepairTools
    journal: Journal
    # For whom each volume waits, as its file and the kernel know it; empty: for nobody.
    _settled: dict[str, str] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _passed_over: frozenset[str] = frozenset()

    async def look(self, stuck: frozenset[str] = frozenset()) -> None:
        """Settle each volume that waits for another one than it should; try again at next look.

        Nobody waits for the resources that are ``stuck``, as long as they are.

        The volumes are taken in the order itself, first to last: however it was changed, the kernel
        then never sees a cycle, which it would refuse.
        """
        try:
            node = self.node()
        except RpcError:
            return
        built, replication = node.built, node.hands.replication
        volumes = [volume for each in built.applications for volume in each.volumes]
        volumes.sort(key=lambda volume: len(built.resynced_before(volume.resource)))
        ahead = {each.resource: built.resynced_before(each.resource) for each in volumes}
        waited_for = {each.resource for before in ahead.values() for each in before}
        self._tell_passed_over(stuck & waited_for)
        for volume in volumes:
            facts = replication.facts(volume.resource)
            before = ahead[volume.resource]
            after = next((each for each in reversed(before) if each.resource not in stuck), None)
            name = after.resource if after else ""
            if self._known(built, volume, facts) != name:
                await self._settle(built, volume, after, facts)

    def forget(self, resource: str) -> None:
        """Settle this volume anew: its disk has the options of its file again."""
        self._settled.pop(resource, None)

    def passes_over(self) -> bool:
        """Tell whether nobody waits just now for one that the files name."""
        return bool(self._passed_over)

    def _tell_passed_over(self, stuck: frozenset[str]) -> None:
        for name in sorted(stuck - self._passed_over):
            text = f"{name}: its resync stands still; no other one waits for it meanwhile"
            self.journal.add("resync-order", text, severity=Severity.WARNING)
        self._passed_over = stuck

    def _known(self, built: Built, volume: Volume, facts: VolumeFacts | None) -> str | None:
        """Return for whom the volume waits; None when nobody knows.

        A daemon that has just started does not: its predecessor may have died during a change.
        """
        waits = facts is not None and facts.waits
        unknown = None if built.cluster.resync.order or waits else ""
        return self._settled.get(volume.resource, unknown)

    async def _settle(
        self, built: Built, volume: Volume, after: Volume | None, facts: VolumeFacts | None
    ) -> None:
        """Write the file, and tell the kernel unless it will read the file when it attaches."""
        outcome: Outcome = await asyncio.to_thread(self.tools.files.write, built, volume)
        if isinstance(outcome, Done) and facts is not None and facts.disk not in NOT_ATTACHED:
            outcome = await self.tools.connections.resync_after(volume, after, timeout_s=LIMIT_S)
        if isinstance(outcome, Done):
            self._settled[volume.resource] = after.resource if after else ""
            self._told.pop(volume.resource, None)
        elif self._told.get(volume.resource) != outcome.why:
            self._told[volume.resource] = outcome.why
            text = f"{volume.resource}: the order of resyncs cannot be set: {outcome.why}"
            self.journal.add("resync-order", text, severity=Severity.WARNING)
