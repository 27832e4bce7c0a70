"""What may go wrong at once without breaking a promise.

Without a third party two nodes cannot be safe against everything. The written promise of this
version is: data stays safe and one side runs as long as a *second* way between the nodes works
while the first fails. Four things are ways or end them: the public network, the private
network (which replicates), a daemon that is dead, hung or starved, and a machine that stands
still. One of them may fail at a time, and the next one not before the nodes had the time to
tell each other about the first one: SETTLES_AFTER_S. Loss of power is not a failed way; it is
what a silent peer is taken for. It is only held back while a way has just failed, because a
Primary with "fencing dont-care" acknowledges writes alone before its peer can know.

The kind ``operator`` promises more: whatever fails, nothing starts twice, because only a
person who looked grants the right. ``Promise`` therefore lets everything pass there.
"""

from dataclasses import dataclass, field
from typing import Final

from hapair.core.events import ConfirmPeerDown
from hapair.model.cluster import ArbitrationKind
from hapair.model.data import Disk
from tests.sim.faults import (
    BreakDisk,
    CrashAtEffect,
    Cut,
    Fault,
    HangDaemon,
    KillAtEffect,
    KillDaemon,
    MakeNoise,
    Pause,
    PowerOff,
    PullCable,
    Reboot,
    SlowStore,
    Typed,
)
from tests.sim.settings import PRIVATE
from tests.sim.world import World

# A DRBD time-out, a heartbeat that tells it, and the store of it; with room.
SETTLES_AFTER_S: Final = 5.0
SHORT_RESTART_S: Final = 3.0


def way_of(fault: Fault) -> tuple[str, float] | None:
    """Return which way the fault ends, and for how long; None when it ends none."""
    match fault:
        case Cut(network, _, for_s) | PullCable(network, _, for_s) | MakeNoise(network, _, for_s):
            return network, for_s
        case Pause(_, for_s):
            return "machine", for_s
        case HangDaemon(_, for_s) | SlowStore(_, _, for_s):
            return "daemon", for_s
        case KillDaemon(_, restart_s):
            return "daemon", restart_s + SHORT_RESTART_S
        case _:
            return None


@dataclass(slots=True)
class Promise:
    """Remembers what has failed lately and says which further fault is still promised."""

    world: World
    failed_at_s: dict[str, float] = field(default_factory=dict)  # When each way began to fail.
    failed_until_s: dict[str, float] = field(default_factory=dict)

    def allows(self, fault: Fault) -> bool:
        """Tell whether the fault may happen now, and remember it if so."""
        if isinstance(fault, BreakDisk) and not self._has_another_copy(fault):
            return False
        if self.world.shape.arbitration is not ArbitrationKind.PATHS:
            return True
        now_s = self.world.clockwork.now_s
        way = way_of(fault)
        if isinstance(fault, CrashAtEffect | KillAtEffect):
            return True  # It is asked again when it is due.
        if way is None:
            return not self._too_early(fault, now_s)
        name, for_s = way
        others = [until_s for other, until_s in self.failed_until_s.items() if other != name]
        if any(until_s + SETTLES_AFTER_S > now_s for until_s in others):
            return False
        if isinstance(fault, Pause) and for_s > self.world.shape.detection_s / 2:
            return False  # Taken for dead, and right to be: it is the documented hole.
        if isinstance(fault, HangDaemon) and not self._kernels_speak():
            return False
        self.failed_at_s[name] = now_s
        self.failed_until_s[name] = max(now_s + for_s, self.failed_until_s.get(name, 0.0))
        return True

    def _too_early(self, fault: Fault, now_s: float) -> bool:
        """Tell whether a Primary may have acknowledged writes of which its peer cannot know."""
        if isinstance(fault, Typed) and isinstance(fault.command, ConfirmPeerDown):
            return False
        if not isinstance(fault, PowerOff | Reboot | BreakDisk):
            return False
        recent = [self.failed_at_s.get(name, -SETTLES_AFTER_S) for name in (PRIVATE, "machine")]
        return any(at_s + SETTLES_AFTER_S > now_s for at_s in recent)

    def _has_another_copy(self, fault: BreakDisk) -> bool:
        resource = self.world.resources[fault.resource]
        return resource.linked and resource.other(fault.node).disk is Disk.UP_TO_DATE

    def _kernels_speak(self) -> bool:
        resources = self.world.resources.values()
        return self.world.replication.path_works and any(r.linked for r in resources)
