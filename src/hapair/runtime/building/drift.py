"""Do the administrator's files still say what was built?"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from hapair.config.fingerprint import Drift, drift_of_appconf, drift_of_clconf
from hapair.model.built import Built
from hapair.rpc.messages import RpcError
from hapair.runtime.building.files import read_written
from hapair.runtime.places import Places

REFUSALS: Final = {
    Drift.CHANGED: (
        "clconf.xml was edited since the last clbuild",
        "accept the changes with clbuild, or undo them (clbuild --plan shows them)",
    ),
    Drift.MISSING: (
        "clconf.xml is missing",
        "bring it back with clrestore; what runs is not affected",
    ),
    Drift.INVALID: (
        "clconf.xml has errors",
        "clbuild --plan lists them; what runs is not affected",
    ),
}
_Stamp: TypeAlias = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Drifts:
    clconf: Drift
    applications: Mapping[str, Drift]


@dataclass(slots=True)
class DriftWatch:
    """Compares when asked; a file that has not changed is not parsed again."""

    places: Places
    _built: Built | None = None
    _known: dict[str, tuple[_Stamp, Drift]] = field(default_factory=dict)

    async def look(self, built: Built) -> Drifts:
        """Read the files, in a thread: a slow disk must not delay heartbeats."""
        return await asyncio.to_thread(self._look, built)

    def _look(self, built: Built) -> Drifts:
        if self._built != built:
            self._known.clear()
            self._built = built
        names = [each.application.name for each in built.applications]
        return Drifts(self._of("", built), {name: self._of(name, built) for name in names})

    def _of(self, application: str, built: Built) -> Drift:
        """Return the drift of an application's file, or of clconf.xml for an empty name."""
        place = self.places.appconf(application) if application else self.places.clconf
        stamp = _stamp(place)
        known = self._known.get(application)
        if known is not None and known[0] == stamp:
            return known[1]
        text = _read(place)
        if application:
            drift = drift_of_appconf(text, application, built)
        else:
            drift = drift_of_clconf(text, built)
        self._known[application] = (stamp, drift)
        return drift


def refuse_drift(drift: Drift) -> None:
    """Raise RpcError unless clconf.xml is what was built."""
    if drift is not Drift.OK:
        what, mend = REFUSALS[drift]
        raise RpcError(what, mend)


def _stamp(place: Path) -> _Stamp:
    try:
        found = place.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(place: Path) -> bytes | None:
    try:
        return read_written(place)
    except OSError:
        return None
