"""What lemsctl changed of the monitors of an application, as values: the newest change wins."""

from dataclasses import dataclass, replace
from enum import StrEnum

from hapair.model.application import Application
from hapair.model.monitor import Monitor
from hapair.model.watched import watched


class Origin(StrEnum):
    """Where a monitor comes from."""

    ALWAYS = "always there"
    WRITTEN = "appconf.xml"
    ADDED = "lemsctl"


@dataclass(frozen=True, slots=True)
class Added:
    """A monitor that lemsctl added, and how it would be written in appconf.xml."""

    monitor: Monitor
    kind: str
    written: tuple[tuple[str, str], ...] = ()  # Names and values of its attributes.


@dataclass(frozen=True, slots=True)
class Halted:
    """A monitor that an operator halted: it is not asked, and what it says counts for nothing."""

    name: str
    wall_s: float  # Since when, for people.


@dataclass(frozen=True, slots=True)
class Strange:
    """A monitor that a newer version added: it is kept, and not watched by this one."""

    name: str
    written: str  # Its JSON.


@dataclass(frozen=True, slots=True)
class Changes:
    """How the monitors of one application differ from its appconf.xml."""

    application: str
    version: int = 0  # Grows with each change, whichever node makes it.
    wall_s: float = 0.0  # When the last one was made, by the clock of that node.
    node: str = ""  # Which one that was.
    halted: tuple[Halted, ...] = ()
    added: tuple[Added, ...] = ()
    removed: tuple[str, ...] = ()
    strange: tuple[Strange, ...] = ()

    @property
    def age(self) -> tuple[int, float, str]:
        """Compare two: the higher one is the newer one, on both nodes alike."""
        return (self.version, self.wall_s, self.node)

    @property
    def any(self) -> bool:
        return bool(self.halted or self.added or self.removed or self.strange)

    def halted_since(self, name: str) -> float | None:
        return next((each.wall_s for each in self.halted if each.name == name), None)

    def without(self, name: str) -> "Changes":
        """Return them without a word about this monitor."""
        return replace(
            self,
            halted=tuple(each for each in self.halted if each.name != name),
            added=tuple(each for each in self.added if each.monitor.name != name),
            removed=tuple(each for each in self.removed if each != name),
            strange=tuple(each for each in self.strange if each.name != name),
        )

    def holds_in(self, now: "Changes", former: "Changes") -> bool:
        """Tell whether what these changed of the former ones is so now, whatever else is."""
        before, made, there = former.items, self.items, now.items
        return made - before <= there and not (before - made) & there

    @property
    def items(self) -> frozenset[object]:
        return frozenset((*self.halted, *self.added, *self.removed, *self.strange))

    def settled(self, settled: "Changes") -> "Changes":
        """Return them without those that are not changes any more."""
        return replace(
            self,
            halted=tuple(each for each in self.halted if each not in settled.halted),
            added=tuple(each for each in self.added if each not in settled.added),
            removed=tuple(each for each in self.removed if each not in settled.removed),
            strange=tuple(each for each in self.strange if each not in settled.strange),
        )


@dataclass(frozen=True, slots=True)
class Watchable:
    """A monitor as it is in force."""

    monitor: Monitor
    origin: Origin
    halted_wall_s: float | None = None  # Since when it is halted.


def written(application: Application) -> tuple[tuple[Monitor, Origin], ...]:
    """Return the monitors that an application has by itself: those of its file, and the basic."""
    own = application.monitors.each
    return tuple(
        (each, Origin.WRITTEN if each in own else Origin.ALWAYS) for each in watched(application)
    )


def in_force(application: Application, changes: Changes | None) -> tuple[Watchable, ...]:
    """Return what is watched: as written, with what lemsctl changed."""
    if changes is None:
        return tuple(Watchable(monitor, origin) for monitor, origin in written(application))
    added = {each.monitor.name for each in changes.added}
    own = [
        (monitor, origin)
        for monitor, origin in written(application)
        if monitor.name not in changes.removed and monitor.name not in added
    ]
    own += [(each.monitor, Origin.ADDED) for each in changes.added]
    return tuple(
        Watchable(monitor, origin, changes.halted_since(monitor.name)) for monitor, origin in own
    )


def number_in_force(application: Application, changes: Changes) -> int:
    """Return how many are watched, also by the node that knows those of a newer version."""
    return len(in_force(application, changes)) + len(changes.strange)
