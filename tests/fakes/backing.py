"""A stand-in for the volumes below DRBD, all in memory."""

from dataclasses import dataclass, field, replace

from hapair.model.application import Volume
from hapair.model.backing import Backing, LastSeen
from hapair.model.outcome import Done, Outcome, Refused, Unknown

UNWRITTEN = Backing("LVM-data", "first boot", 0, "first blocks")


@dataclass
class FakeBackings:
    """Every volume looks as ``now`` says; ``memory`` is what would lie on the disk."""

    now: Backing | Refused | Unknown = UNWRITTEN
    memory: dict[str, LastSeen] = field(default_factory=dict)
    guarded: list[str] = field(default_factory=list)
    full: bool = False  # Nothing can be remembered.
    who: str = ""

    @property
    def seen(self) -> Backing:
        assert isinstance(self.now, Backing)
        return self.now

    def write(self, sectors: int) -> None:
        """Write to the volume, by whomever."""
        written = self.seen.written_sectors + sectors
        self.now = replace(self.seen, written_sectors=written, start=f"{written} sectors later")

    async def look(self, volume: Volume, *, timeout_s: float) -> Backing | Refused | Unknown:
        del volume, timeout_s
        return self.now

    async def writers(self, volume: Volume) -> str:
        del volume
        return self.who

    async def guard(self, volume: Volume) -> None:
        self.guarded.append(volume.resource)

    async def last_seen(self, resource: str) -> LastSeen | None:
        return self.memory.get(resource)

    async def remember(self, resource: str, seen: LastSeen | None) -> Outcome:
        if self.full:
            return Refused("No space left on device")
        if seen is None:
            self.memory.pop(resource, None)
        else:
            self.memory[resource] = seen
        return Done()
