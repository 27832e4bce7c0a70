"""What clbuild and clbuildapp made of the configuration; stored in /etc/cluster/built."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hapair.model.application import Application, Volume
from hapair.model.cluster import Cluster
from hapair.model.dependencies import Dependencies, dependencies
from hapair.model.nesting import enclosing


@dataclass(frozen=True, slots=True)
class BuiltApplication:
    application: Application
    volumes: tuple[Volume, ...]
    fingerprint: str  # Of the appconf.xml that this was built from.
    # By the resource of a volume that is mounted inside others: theirs, the nearest one first.
    enclosing: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at = {volume.mount_point: volume.resource for volume in self.volumes}
        above = ((each.resource, enclosing(each.mount_point, at)) for each in self.volumes)
        found = {
            resource: tuple(at[place] for place in places) for resource, places in above if places
        }
        object.__setattr__(self, "enclosing", found)


@dataclass(frozen=True, slots=True)
class Built:
    """The committed configuration of the cluster; the same on both nodes."""

    generation: int  # Grows by one with every clbuild and clbuildapp that changed something.
    cluster: Cluster
    fingerprint: str  # Of the clconf.xml that this was built from.
    minors_first: int  # The first DRBD minor that the cluster may use.
    applications: tuple[BuiltApplication, ...] = ()
    # Which of the secrets that follow from the cluster key DRBD's connections are proved with. A
    # rotation takes the next one. 0: none, built by a version that knew none.
    secret_number: int = 0
    # The file that this was read from, if a newer version wrote into it what this one does not
    # know: whoever stores or sends it anew puts that in again. It means nothing else.
    read_from: str = field(default="", repr=False, compare=False)
    # Follow from the applications, so they are neither compared nor stored.
    by_name: Mapping[str, BuiltApplication] = field(init=False, repr=False, compare=False)
    by_resource: Mapping[str, BuiltApplication] = field(init=False, repr=False, compare=False)
    dependencies: Dependencies = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {each.application.name: each for each in self.applications}
        by_resource = {v.resource: each for each in self.applications for v in each.volumes}
        object.__setattr__(self, "by_name", by_name)
        object.__setattr__(self, "by_resource", by_resource)
        demanded = dependencies([each.application for each in self.applications])
        object.__setattr__(self, "dependencies", demanded)

    def application(self, name: str) -> BuiltApplication:
        """Return the built application; KeyError if there is none."""
        return self.by_name[name]

    def volumes(self) -> tuple[Volume, ...]:
        return tuple(volume for each in self.applications for volume in each.volumes)

    def resynced_before(self, resource: str) -> tuple[Volume, ...]:
        """Return the volumes whose resync goes before this one's, the first of all first.

        DRBD lets a device wait for one other device only, so those that are in the order form one
        chain, volume by volume. All others wait for its end, and then run at the same time.
        """
        chain = tuple(
            volume
            for name in self.cluster.resync.order
            for built in self.applications
            if built.application.name == name
            for volume in built.volumes
        )
        names = [volume.resource for volume in chain]
        return chain[: names.index(resource)] if resource in names else chain

    def resynced_after(self, resource: str) -> Volume | None:
        """Return the volume that this one's resync waits for; None: it waits for none."""
        before = self.resynced_before(resource)
        return before[-1] if before else None

    def allocated_twice(self) -> str:
        """Say which name, device or place two things have; empty when each has its own."""
        volumes = [volume for one in self.applications for volume in one.volumes]
        unique = {
            "application": [one.application.name for one in self.applications],
            "resource": [volume.resource for volume in volumes],
            "device": [volume.device for volume in volumes],
            "port": [str(volume.port) for volume in volumes],
            "volume": [path for v in volumes for path in (v.backing_device, v.meta_device)],
            "mount point": [volume.mount_point for volume in volumes],
        }
        for what, names in unique.items():
            for name, count in Counter(names).items():
                if count > 1:
                    return f"{what} {name} is allocated twice"
        return ""
