"""The cluster that the simulator plays with, and the figures of its world."""

from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_interface
from random import Random
from typing import Final

from hapair.model.application import (
    Application,
    FileSystem,
    ServiceAddress,
    TimeLimits,
    Unit,
    Volume,
)
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    FenceMethod,
    Network,
    PortRange,
    Timing,
    Watchdog,
    Witness,
    WitnessKind,
)
from hapair.model.monitor import Monitors

NODES: Final = ("node1", "node2")
PUBLIC: Final = "public"
PRIVATE: Final = "private"
THIRD_PARTY: Final = (ArbitrationKind.WITNESS, ArbitrationKind.FENCING)
WATCHDOG: Final = Watchdog(timeout_s=5.0)
CLOCKS_DIFFER: Final = 0.02  # Far worse than any crystal.


@dataclass(frozen=True, slots=True)
class Shape:
    """What differs from run to run."""

    arbitration: ArbitrationKind = ArbitrationKind.PATHS
    applications: tuple[Application, ...] = ()
    crossover: bool = True
    detection_s: float = 2.0
    heartbeat_s: float = 0.5
    witnesses: int = 1  # With the arbitration of that name.
    watchdog: bool = True
    watched: tuple[ArbitrationKind, ...] = THIRD_PARTY  # With which kinds.
    clock_rates: tuple[float, float] = (1.0, 1.0)  # Of the boot clocks, in the order of NODES.
    others: tuple[str, ...] = ()  # Which nodes have a DRBD resource that is not ours.


def other(node: str) -> str:
    first, second = NODES
    return second if node == first else first


def application(
    name: str,
    *,
    preferred: str = NODES[0],
    failback: bool = False,
    volumes: int = 1,
    limits: TimeLimits | None = None,
    resets_node: bool = False,
) -> Application:
    number = sum(name.encode()) % 200 + 20
    return Application(
        name=name,
        preferred=preferred,
        program=Unit(f"{name}.service"),
        failback=failback,
        volume_groups=tuple(f"vg_{name}{index}" for index in range(volumes)),
        addresses=(ServiceAddress(PUBLIC, ip_interface(f"10.77.1.{number}/24")),),
        limits=limits or TimeLimits(start_s=20.0, stop_s=10.0),
        resets_node=resets_node,
    )


def minor_of(name: str, index: int) -> int:
    """Return a number that no other volume has, whatever is built before or after it."""
    return sum(name.encode()) * 40 + index


@cache
def place_of(resource: str) -> str:
    """Return its mount point: some lie inside others, and some only look as if they did."""
    name, _, index = resource.rpartition(".data")
    within = {"0": "", "1": "/data1", "3": "/data1/deep/data3"}
    return f"/srv/{name}{within.get(index, f'-{index}')}"


def volumes_of(wanted: Application) -> tuple[Volume, ...]:
    return tuple(
        Volume(
            resource=f"{wanted.name}.data{index}",
            minor=minor_of(wanted.name, index),
            port=7700 + minor_of(wanted.name, index),
            volume_group=group,
            logical_volume="data",
            meta_volume="data_meta",
            size_bytes=1 << 30,
            mount_point=place_of(f"{wanted.name}.data{index}"),
            file_system=FileSystem.EXT4,
        )
        for index, group in enumerate(wanted.volume_groups)
    )


def with_demands(shape: Shape, chance: Random) -> Shape:
    """Let monitors give up soon, and let some applications demand something of each other."""
    soon = Monitors(restarts=chance.choice((0, 1, 2)), period_s=60.0)
    first, *others = (replace(each, monitors=soon) for each in shape.applications)
    demand = chance.choice(("", "", "after", "with_", "priority"))
    if others and demand:
        last, name = others[-1], (first.name,)
        others[-1] = {
            "after": replace(last, after=name),
            "with_": replace(last, with_=name),
            "priority": replace(last, priority=1),
        }[demand]
    return replace(shape, applications=(first, *others))


def built_from(shape: Shape, generation: int = 1) -> Built:
    def network(name: str, prefix: str, *, reference: str | None) -> Network:
        attachments = tuple(
            Attachment(node, ip_interface(f"{prefix}.{index}/24"), (f"{name}0",))
            for index, node in enumerate(NODES, start=1)
        )
        private = name == PRIVATE
        return Network(name, attachments, private and shape.crossover, private, reference)

    cluster = Cluster(
        name="simulated",
        nodes=NODES,
        ports=PortRange(7700, 7799),
        devices=16,
        networks=(
            network(PUBLIC, "10.77.1", reference="10.77.1.254"),
            network(PRIVATE, "10.77.2", reference=None),
        ),
        arbitration=shape.arbitration,
        timing=Timing(detection_s=shape.detection_s, heartbeat_s=shape.heartbeat_s),
        witnesses=_witnesses(shape),
        fence_methods=_methods(shape),
        watchdog=WATCHDOG if shape.arbitration in shape.watched and shape.watchdog else None,
    )
    applications = tuple(entry_of(wanted) for wanted in shape.applications)
    return Built(generation, cluster, "simulated", 0, applications)


def entry_of(wanted: Application) -> BuiltApplication:
    return BuiltApplication(wanted, volumes_of(wanted), fingerprint=wanted.name)


def _witnesses(shape: Shape) -> tuple[Witness, ...]:
    if shape.arbitration is not ArbitrationKind.WITNESS:
        return ()
    return tuple(
        Witness(WitnessKind.CLWITNESS, f"w{number}:7790") for number in range(shape.witnesses)
    )


def _methods(shape: Shape) -> tuple[FenceMethod, ...]:
    if shape.arbitration is not ArbitrationKind.FENCING:
        return ()
    return tuple(FenceMethod(node, "fence_strip") for node in NODES)


def random_shape(chance: Random) -> Shape:
    kinds = (
        ArbitrationKind.WITNESS,
        ArbitrationKind.WITNESS,
        ArbitrationKind.FENCING,
        ArbitrationKind.PATHS,
        ArbitrationKind.OPERATOR,
    )
    names = ("orders", "web")[: chance.choice((1, 1, 2))]
    return Shape(
        arbitration=chance.choice(kinds),
        applications=tuple(
            application(
                name,
                preferred=chance.choice(NODES),
                failback=chance.random() < 0.2,
                volumes=1 if name == "orders" else chance.choice((0, 0, 2)),
            )
            for name in names
        ),
        crossover=chance.random() < 0.7,
        witnesses=chance.choice((1, 1, 2, 3)),
    )


def with_resets(shape: Shape, chance: Random) -> Shape:
    """Let some applications reset a node on which they cannot be stopped."""
    applications = tuple(
        replace(each, resets_node=chance.random() < 0.3) for each in shape.applications
    )
    return replace(shape, applications=applications)


def with_clocks(shape: Shape, chance: Random) -> Shape:
    """Let one clock be a little faster than the other one."""
    low, high = 1 - CLOCKS_DIFFER / 2, 1 + CLOCKS_DIFFER / 2
    return replace(shape, clock_rates=(chance.uniform(low, high), chance.uniform(low, high)))


def with_others(shape: Shape, chance: Random) -> Shape:
    """Let one node, or both, have a DRBD resource that is not ours, in three of ten runs."""
    if chance.random() < 0.7:
        return shape
    return replace(shape, others=chance.choice((NODES, NODES[:1], NODES[1:])))
