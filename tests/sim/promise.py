"""What may go wrong at once without breaking a promise.

With ``witness``, ``fencing`` and ``operator`` everything may fail at once: a third party, or a
person who looked, decides. One thing is held back with ``witness``: a machine that stands still
for longer than its lease, while it runs an application without replicated data. When it wakes, the
application goes on for a moment beside its successor, because no frozen write holds it back. (A
daemon that hangs for so long has its machine reset by the watchdog, which every run has.)

With ``paths`` nobody can be asked. The written promise is: data stays safe and one side runs as
long as a *second* way between the nodes works while the first fails. Four things are ways or
end them: the public network, the private network (which replicates), a daemon that is dead,
hung or starved, and a machine that stands still. One of them may fail at a time, and the next
one not before the nodes had the time to tell each other about the first one: SETTLES_AFTER_S.
Loss of power is not a failed way; it is what a silent peer is taken for, and it may come at any
moment: until the peer has stored that its copy is behind, DRBD acknowledges nothing alone.

Where the kind of arbitration changes, what is promised with each of the kinds holds all the time.

With no kind somebody writes behind DRBD while a disk has failed: a copy that was written and one
that misses writes have no third one that could replace them, and no command of ours chooses.
"""

from dataclasses import dataclass, field
from typing import Final

from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk
from tests.sim.builds import is_gone
from tests.sim.faults import (
    BreakDisk,
    Cut,
    Fault,
    HangDaemon,
    KillDaemon,
    MakeNoise,
    Partition,
    Pause,
    PullCable,
    SlowStore,
    WriteBehind,
)
from tests.sim.world import World

# Two heartbeats: until then a way that works again has proven nothing.
SETTLES_AFTER_S: Final = 1.0
SHORT_RESTART_S: Final = 3.0


def way_of(fault: Fault) -> tuple[str, float] | None:
    """Return which way the fault ends, and for how long; None when it ends none."""
    match fault:
        case Cut(network, _, for_s) | PullCable(network, _, for_s) | MakeNoise(network, _, for_s):
            return network, for_s
        case Pause(_, for_s):
            return "machine", for_s
        case HangDaemon(_, for_s, _) | SlowStore(_, _, for_s):
            return "daemon", for_s
        case KillDaemon(_, restart_s):
            return "daemon", restart_s + SHORT_RESTART_S
        case _:
            return None


@dataclass(slots=True)
class Promise:
    """Remembers what has failed lately and says which further fault is still promised."""

    world: World
    kinds: frozenset[ArbitrationKind]  # All that the run knows.
    failed_until_s: dict[str, float] = field(default_factory=dict)

    def allows(self, fault: Fault) -> bool:
        """Tell whether the fault may happen now, and remember it if so."""
        if is_gone(self.world, fault):
            return False
        if isinstance(fault, BreakDisk) and not self._has_another_copy(fault):
            return False
        if isinstance(fault, WriteBehind) and self._misses_writes(fault):
            return False
        if isinstance(fault, Pause) and self._outlasts_patience(fault):
            return False
        if ArbitrationKind.PATHS not in self.kinds:
            return True
        if isinstance(fault, Partition):
            return False  # Both networks at once: scheduled where the kind is another one at first.
        way = way_of(fault)
        if way is None:
            return True
        name, for_s = way
        now_s = self.world.clockwork.now_s
        others = [until_s for other, until_s in self.failed_until_s.items() if other != name]
        if any(until_s + SETTLES_AFTER_S > now_s for until_s in others):
            return False
        self.failed_until_s[name] = max(now_s + for_s, self.failed_until_s.get(name, 0.0))
        return True

    def _data_everywhere(self) -> bool:
        """Tell whether every application has replicated data, which DRBD can freeze."""
        return all(built.volumes for built in self.world.built.applications)

    def _outlasts_patience(self, fault: Pause) -> bool:
        """Tell whether an application without data would run for a moment beside its successor."""
        if self._data_everywhere():
            return False
        cluster = self.world.built.cluster
        if ArbitrationKind.PATHS in self.kinds:
            return fault.for_s > cluster.timing.detection_s / 2
        return ArbitrationKind.WITNESS in self.kinds and fault.for_s > cluster.lease_s / 2

    def _has_another_copy(self, fault: BreakDisk) -> bool:
        resource = self.world.resources[fault.resource]
        return resource.linked and resource.other(fault.node).disk is Disk.UP_TO_DATE

    def _misses_writes(self, fault: WriteBehind) -> bool:
        """Tell whether a node has stored that its copy misses writes, its disk having failed."""
        disks = (machine.disk for machine in self.world.machines.values())
        return any(fault.resource in disk.behind for disk in disks)
