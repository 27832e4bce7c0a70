"""Names of what a node and an application are doing."""

from dataclasses import dataclass, replace

from hapair.model.words import Word


class Standing(Word):
    """The place of this node in the cluster."""

    HALTED = "halted"  # Not part of the cluster; starts nothing.
    FORMING = "forming"  # Waits for the peer before it acts.
    TOGETHER = "together"  # Both nodes hear each other and have agreed on the records.
    CUT = "cut"  # The peer is silent and nobody granted the right to act alone.
    ALONE = "alone"  # Holds the grant: may act without the peer.
    LEAVING = "leaving"  # Stops or hands over its applications, then halts.
    UNKNOWN = "unknown"  # Of a peer only: its version knows a standing that this one does not.

    @classmethod
    def of_newer(cls) -> "Standing":
        """Return a standing that allows nothing; such a peer may well act alone."""
        return cls.UNKNOWN


class Wanted(Word):
    """How much of an application is to be up."""

    DOWN = "down"
    DATA = "data"  # Promoted and mounted, no address, no program.
    UP = "up"

    @classmethod
    def of_newer(cls) -> "Wanted":
        """Return what ends nothing; the right and the owner tell whether it may run."""
        return cls.UP


class Phase(Word):
    """What an application is doing on this node."""

    UNKNOWN = "unknown"  # Not looked yet, or a word of a newer version.
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"  # Everything that is wanted is up.
    STOPPING = "stopping"
    STUCK = "stuck"  # The stop ladder is exhausted; a person is needed.

    @classmethod
    def of_newer(cls) -> "Phase":
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Records with a higher version win. Epochs are granted, serials counted by the owner."""

    epoch: int
    serial: int

    def after(self, epoch: int) -> "Version":
        """Return the next version that the owner writes in this epoch; it never goes back."""
        return Version(max(self.epoch, epoch), self.serial + 1)


@dataclass(frozen=True, slots=True)
class Failure:
    """How often an application failed on a node, until that is forgotten."""

    node: str
    count: int
    wall_s: int = 0  # When it failed last, by that node's wall clock: for people only.
    runs: int = 0  # How many of these were found by its monitors: it had started.
    left: bool = False  # It was taken away from there for that: it does not fall back soon.


@dataclass(frozen=True, slots=True)
class Record:
    """Who may run an application. Only its owner, or the holder of a new epoch, writes it."""

    application: str
    owner: str
    version: Version
    wanted: Wanted
    # Nodes on which the last start failed, or on which its monitors failed too often.
    failed_on: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()  # One for each node on which it failed of late.

    def forgiven(self, *nodes: str) -> "Record":
        """Return it without what failed on these nodes."""
        return replace(
            self,
            failed_on=tuple(each for each in self.failed_on if each not in nodes),
            failures=tuple(each for each in self.failures if each.node not in nodes),
        )
