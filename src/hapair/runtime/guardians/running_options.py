"""Keeps DRBD's resource files, and the options of what runs, as they are built now.

clbuild writes the files; a new version of hapair may write them otherwise, somebody may edit one
or type options by hand, and the kernel gets a file's options only when its volume is attached or
connected. So the files are looked at here, and the kernel is told what differs, without detaching
or disconnecting anything; only a connection that waits for its peer is made anew. No failover waits
for any of this.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hapair.core.words.effects import Severity
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.data import Connection, VolumeFacts
from hapair.model.outcome import Done, Outcome
from hapair.ports.machine import Clock
from hapair.rpc.messages import RpcError
from hapair.runtime.guardians.snapshots import RepairTools
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node

LOOK_S: Final = 5.0
CHECK_S: Final = 300.0  # How often the kernel is asked although nothing of ours changed.
RETRY_S: Final = 60.0
LIMIT_S: Final = 30.0
DISK: Final = "disk-options"
# What was settled for, with the keys; is the volume up, and its connection not being made just now?
_State: TypeAlias = tuple[Built, str, bool, bool]


@dataclass(slots=True)
class RunningOptions:
    node: Callable[[], Node]
    tools: RepairTools
    journal: Journal
    clock: Clock
    # Files are being changed: they are ahead of what is used here. Asked in a thread.
    building: Callable[[], bool]
    passed_over: Callable[[], bool]  # The order of resyncs is not that of the files just now.
    disk_set: Callable[[str], None]  # The options of this resource's disk are those of its file.
    _settled: dict[str, _State] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _again_s: dict[str, float] = field(default_factory=dict)  # What failed is not tried before.
    _checked_s: float = float("-inf")

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Settle each volume that is new, up anew, built otherwise, or due for a check."""
        try:
            node = self.node()
        except RpcError:
            return
        now_s = self.clock.monotonic_s()
        due = now_s - self._checked_s >= CHECK_S and not self.passed_over()
        self._checked_s = now_s if due else self._checked_s
        for built in node.built.applications:
            for volume in built.volumes:
                facts = node.hands.replication.facts(volume.resource)
                steady = facts is not None and facts.connection is not Connection.CONNECTING
                wanted = (node.built, node.keys, facts is not None, steady)
                if await asyncio.to_thread(self.building):
                    return
                differs = not _covers(self._settled.get(volume.resource), wanted)
                if due or (differs and now_s >= self._again_s.get(volume.resource, now_s)):
                    await self._settle(volume, wanted, facts)

    async def _settle(self, volume: Volume, wanted: _State, facts: VolumeFacts | None) -> None:
        """Write the file; tell the kernel, unless writes are frozen: it would wait for them."""
        outcome: Outcome = await asyncio.to_thread(self.tools.files.write, wanted[0], volume)
        if isinstance(outcome, Done) and facts is not None:
            if facts.suspended or facts.held:
                return
            outcome = await self.tools.connections.follow_file(
                volume, connection=wanted[-1], timeout_s=LIMIT_S
            )
        if isinstance(outcome, Done):
            self._tell_set(volume, outcome.note, new=self._settled.get(volume.resource) != wanted)
            self._settled[volume.resource] = wanted
            self._told.pop(volume.resource, None)
            self._again_s.pop(volume.resource, None)
            return
        self._again_s[volume.resource] = self.clock.monotonic_s() + RETRY_S
        if self._told.get(volume.resource) != outcome.why:
            self._told[volume.resource] = outcome.why
            text = (
                f"{volume.resource}: DRBD does not have the options that are built: {outcome.why}"
            )
            self.journal.add("drbd-options", text, severity=Severity.WARNING)

    def _tell_set(self, volume: Volume, what: str, *, new: bool) -> None:
        if DISK in what:
            self.disk_set(volume.resource)
        if what and new:
            self.journal.add("drbd-options", f"{volume.resource}: DRBD got its {what} as built")
        elif what:
            text = f"{volume.resource}: DRBD's {what} were no longer as built; they are again"
            self.journal.add("drbd-options", text, severity=Severity.WARNING)


def _covers(settled: _State | None, wanted: _State) -> bool:
    """Tell whether nothing is left to be done.

    A connection that is lost and comes back keeps its options: looking at them would start a
    program for each volume on both nodes just when a node comes back.
    """
    if settled is None:
        return False
    *before, had_connection = settled
    *now, has_connection = wanted
    return before == now and (had_connection or not has_connection)
