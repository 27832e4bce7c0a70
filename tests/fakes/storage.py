"""Stand-ins for LVM and for DRBD's connections, all in memory."""

from dataclasses import dataclass, field, replace

from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.divergence import ChangedFile, Generations
from hapair.model.outcome import Done, Outcome, Refused
from hapair.model.storage import GroupStorage, LogicalVolume


@dataclass
class FakeLogicalVolumes:
    groups: dict[str, GroupStorage] = field(default_factory=dict)
    silent: bool = False  # LVM answers nothing that makes sense.
    made_wall_s: float = 5000.0
    guarded: set[str] = field(default_factory=set)  # Volumes that nobody can begin to write to.

    async def group(self, name: str) -> GroupStorage:
        if self.silent:
            raise ValueError(f"vgs {name} gave no answer")
        return self.groups.get(name, GroupStorage(name, exists=False))

    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        del group, whole
        return volume

    async def create(self, group: str, name: str, size_bytes: int) -> Outcome:
        return self._add(group, LogicalVolume(name, size_bytes, ours=True))

    async def guard(self, group: str, name: str) -> Outcome:
        if (await self.group(group)).volume(name) is None:
            return Refused(f"there is no {group}/{name}")
        self.guarded.add(name)
        return Done()

    async def disown(self, group: str, name: str) -> Outcome:
        self.guarded.discard(name)
        found = self.groups[group]
        volumes = (replace(v, ours=v.ours and v.name != name) for v in found.volumes)
        self.groups[group] = replace(found, volumes=tuple(volumes))
        return Done()

    async def remove(self, group: str, name: str) -> Outcome:
        found = await self.group(group)
        volume = found.volume(name)
        if volume is None:
            return Done()
        gone = (volume, *found.snapshots(name))
        if volume.in_use or not all(each.ours for each in gone):
            return Refused(f"{group}/{name} is in use, or none of ours")
        self.groups[group] = replace(
            found,
            free_bytes=found.free_bytes + sum(each.size_bytes for each in gone),
            volumes=tuple(each for each in found.volumes if each not in gone),
        )
        return Done()

    async def snapshot(self, group: str, origin: str, name: str, size_bytes: int) -> Outcome:
        if (await self.group(group)).volume(origin) is None:
            return Refused(f"there is no {group}/{origin}")
        made = LogicalVolume(
            name, size_bytes, origin=origin, made_wall_s=self.made_wall_s, ours=True
        )
        return self._add(group, made)

    async def remove_snapshots(self, group: str, *names: str) -> Outcome:
        inside = await self.group(group)
        found = [volume for name in names if (volume := inside.volume(name)) is not None]
        for volume in found:
            if not (volume.origin and volume.ours):
                return Refused(f"{group}/{volume.name} is no snapshot with the tag hapair")
        for volume in found:
            await self.remove(group, volume.name)
        return Done()

    def _add(self, group: str, volume: LogicalVolume) -> Outcome:
        found = self.groups.get(group, GroupStorage(group, exists=False))
        if found.volume(volume.name) is not None or not found.exists:
            return Refused(f"{group}/{volume.name} cannot be made")
        if volume.size_bytes > found.free_bytes:
            return Refused(f"{group} has no room")
        self.groups[group] = replace(
            found,
            free_bytes=found.free_bytes - volume.size_bytes,
            volumes=(*found.volumes, volume),
        )
        return Done()


@dataclass
class FakeConnections:
    """Notes what was asked, and answers from ``answers``, whose keys are those notes.

    One of ``first_answers`` is given once, before it.
    """

    asked: list[str] = field(default_factory=list)
    answers: dict[str, Outcome] = field(default_factory=dict)
    first_answers: dict[str, Outcome] = field(default_factory=dict)
    past: Generations | None = None

    def did(self, what: str) -> list[str]:
        return [words for words in self.asked if words.split()[0] == what]

    def _do(self, words: str) -> Outcome:
        self.asked.append(words)
        return self.first_answers.pop(words, self.answers.get(words, Done()))

    async def disconnect(self, volume: Volume, *, timeout_s: float) -> Outcome:
        del timeout_s
        return self._do(f"disconnect {volume.resource}")

    async def connect(
        self, volume: Volume, *, timeout_s: float, discard_own: bool = False
    ) -> Outcome:
        del timeout_s
        return self._do(f"{'discard' if discard_own else 'connect'} {volume.resource}")

    async def resync_after(
        self, volume: Volume, after: Volume | None, *, timeout_s: float
    ) -> Outcome:
        del timeout_s
        return self._do(f"{volume.resource} after {after.resource if after else 'none'}")

    async def follow_file(self, volume: Volume, *, connection: bool, timeout_s: float) -> Outcome:
        del timeout_s
        return self._do(f"follow {volume.resource}{'' if connection else ' but the connection'}")

    async def generations(self, volume: Volume, *, timeout_s: float) -> Generations | None:
        del volume, timeout_s
        return self.past


@dataclass
class FakeFiles:
    """DRBD's resource files: for whom each volume's resync waits, by resource."""

    after: dict[str, str] = field(default_factory=dict)
    refusal: Outcome = field(default_factory=Done)

    def write(self, built: Built, volume: Volume) -> Outcome:
        if isinstance(self.refusal, Done):
            after = built.resynced_after(volume.resource)
            self.after[volume.resource] = after.resource if after else ""
        return self.refusal

    def remove(self, volume: Volume) -> Outcome:
        self.after.pop(volume.resource, None)
        return Done()

    def described(self) -> tuple[Volume | str, ...]:
        return ()

    async def make_meta_data(self, volume: Volume) -> Outcome:
        del volume
        return Done()


@dataclass
class FakeLooks:
    files: dict[str, tuple[ChangedFile, ...] | None] = field(default_factory=dict)  # By folder.
    opened: list[str] = field(default_factory=list)
    refusal: Outcome = field(default_factory=Done)

    async def open(self, volume: Volume, snapshot: str, folder: str) -> Outcome:
        del volume
        if isinstance(self.refusal, Done):
            self.opened.append(f"{snapshot} at {folder}")
        return self.refusal

    async def close(self, folder: str) -> Outcome:
        self.opened = [each for each in self.opened if not each.endswith(folder)]
        return Done()

    async def changed_since(
        self, folder: str, wall_s: float, *, limit: int
    ) -> tuple[ChangedFile, ...] | None:
        found = self.files.get(folder, ())
        if found is None:
            return None
        return tuple(each for each in found if each.changed_wall_s > wall_s)[:limit]
