"""The small world of the walk: which clusters are walked, and how its time is counted."""

from dataclasses import dataclass, replace
from typing import Final

from hapair.model.built import Built
from hapair.model.cluster import ArbitrationKind
from hapair.model.monitor import Monitors
from tests.sim.settings import Shape, application, built_from

DETECTION_S: Final = 5.0
TURN_S: Final = DETECTION_S / 2  # From one turn of a node to its next; the peer's lies between.
LEASE_S: Final = 10.0
FORM_S: Final = 10.0  # How long a node that boots waits for its peer.
# A moment longer ago than this is as good as any other: the lease, and what a cold start waits.
LONG_AGO_S: Final = 15.0
LEASES_AGO_S: Final = 27.5  # Longer than a peer that is heard again has time to stop anything.
KERNEL_NOTICES: Final = 2  # At which of its turns a kernel notices, at the latest, a lost peer.
STARVES: Final = 2  # Turns without food until the watchdog device resets its node.
GAP_MAX: Final = 3  # Turns that a daemon was away; more of them change nothing.
# In how many turns a node that stood still stops what has no data: the lease, and one more.
STRANGE: Final = int(LEASE_S / TURN_S) + 1
SETTLES: Final = 4  # Turns of either node that make up the promise's SETTLES_AFTER_S.
NAME: Final = "orders"
RESOURCE: Final = "orders.data0"


@dataclass(frozen=True, slots=True)
class Kind:
    """One cluster that is walked."""

    name: str
    shape: Shape
    operator_confirms: bool = False

    @property
    def has_data(self) -> bool:
        return bool(self.shape.applications[0].volume_groups)

    def built(self) -> Built:
        built = built_from(self.shape)
        timing = replace(built.cluster.timing, lease_s=LEASE_S)
        return replace(built, cluster=replace(built.cluster, timing=timing))


def _shape(
    arbitration: ArbitrationKind, volumes: int = 1, witnesses: int = 1, restarts: int = 0
) -> Shape:
    wanted = application(NAME, volumes=volumes)
    return Shape(
        arbitration=arbitration,
        applications=(replace(wanted, monitors=Monitors(restarts)),),
        detection_s=DETECTION_S,
        heartbeat_s=TURN_S / 2,
        witnesses=witnesses,
    )


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("witness", _shape(ArbitrationKind.WITNESS)),
        Kind("witness-no-data", _shape(ArbitrationKind.WITNESS, volumes=0)),
        Kind("witnesses", _shape(ArbitrationKind.WITNESS, witnesses=3)),
        Kind("fencing", _shape(ArbitrationKind.FENCING, restarts=1)),
        Kind("fencing-no-data", _shape(ArbitrationKind.FENCING, volumes=0, restarts=1)),
        Kind("paths", _shape(ArbitrationKind.PATHS)),
        Kind("operator", _shape(ArbitrationKind.OPERATOR), operator_confirms=True),
    )
}
