"""What clbuild and clbuildapp made of the configuration; stored in /etc/cluster/built."""

from dataclasses import dataclass

from hapair.model.application import Application, Volume
from hapair.model.cluster import Cluster


@dataclass(frozen=True, slots=True)
class BuiltApplication:
    application: Application
    volumes: tuple[Volume, ...]
    fingerprint: str  # Of the appconf.xml that this was built from.


@dataclass(frozen=True, slots=True)
class Built:
    """The committed configuration of the cluster; the same on both nodes."""

    generation: int  # Grows by one with every clbuild and clbuildapp that changed something.
    cluster: Cluster
    fingerprint: str  # Of the clconf.xml that this was built from.
    minors_first: int  # The first DRBD minor that the cluster may use.
    applications: tuple[BuiltApplication, ...] = ()

    def application(self, name: str) -> BuiltApplication:
        """Return the built application; KeyError if there is none."""
        for built in self.applications:
            if built.application.name == name:
                return built
        raise KeyError(name)
