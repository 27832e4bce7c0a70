"""What keeps mounts that lie inside one another from being built, and the order of building."""

from collections.abc import Iterator
from dataclasses import dataclass

from hapair.model.application import Volume
from hapair.model.nesting import enclosing, lies_inside, parts
from hapair.model.problem import Problem
from hapair.model.storage import NativeMount


@dataclass(frozen=True, slots=True)
class Nesting:
    """The mounts of one application: those that are built now, and those that already are."""

    node: str  # Where it is built.
    file: str  # Its appconf.xml.
    mounts: tuple[NativeMount, ...]  # All of its volume groups that are not yet replicated.
    added: tuple[Volume, ...]
    kept: tuple[Volume, ...]
    of_others: tuple[Volume, ...]  # Of the other applications.

    def problems(self) -> Iterator[Problem]:
        by_place = {mount.mount_point: mount for mount in self.mounts}
        for volume in self.added:
            yield from self._beside_others(volume)
            yield from self._inside(by_place[volume.mount_point])
            yield from self._around(volume, by_place[volume.mount_point])

    def families(self) -> tuple[tuple[Volume, ...], ...]:
        """Return the added volumes, those inside one another together, each after what it is in."""
        found: list[tuple[Volume, ...]] = []
        for volume in sorted(self.added, key=lambda each: parts(each.mount_point)):
            if found and lies_inside(volume.mount_point, found[-1][0].mount_point):
                found[-1] = (*found[-1], volume)
            else:
                found.append((volume,))
        return tuple(found)

    def is_nested(self, volume: Volume) -> bool:
        """Tell whether its mount point is a folder of another one of the application's volumes."""
        return bool(enclosing(volume.mount_point, self._places))

    @property
    def _places(self) -> tuple[str, ...]:
        native = (mount.mount_point for mount in self.mounts)
        return (*native, *(volume.mount_point for volume in self.kept))

    def _refusal(self, what: str, mend: str) -> Problem:
        return Problem(self.node, "mount", what, mend)

    def _beside_others(self, volume: Volume) -> Iterator[Problem]:
        for other in self.of_others:
            if _lie_in_one_another(volume, other):
                what = f"{volume.mount_point} and {other.mount_point} of {other.resource} lie"
                mend = "make one application of them, which moves as a whole, or mount it elsewhere"
                yield self._refusal(f"{what} inside one another", mend)

    def _inside(self, mount: NativeMount) -> Iterator[Problem]:
        """Refuse what would be hidden, or would keep the file system from being unmounted."""
        for kept in self.kept:
            if lies_inside(kept.mount_point, mount.mount_point):
                what = f"{mount.mount_point} encloses {kept.mount_point} of {kept.resource}, which"
                mend = "mount it where it encloses none of the application's replicated volumes"
                yield self._refusal(f"{what} is replicated already", mend)
        for place in mount.inside:
            if place not in self._places:
                what = f"{place} is mounted inside {mount.mount_point}, and is none of its volumes"
                mend = f"umount {place}; or, for a logical volume, name its group in {self.file}"
                yield self._refusal(what, mend)

    def _around(self, volume: Volume, mount: NativeMount) -> Iterator[Problem]:
        """Refuse a mount that is not where it would be after a boot, or a move."""
        place = mount.mount_point
        outer = enclosing(place, self._places)
        again = "unmount both, mount the outer one first, and try again"
        if mount.hidden_by == place:
            yield self._refusal(f"{place} is hidden by another mount there", f"umount {place}")
        elif mount.hidden_by:
            yield self._refusal(f"{place} is hidden by the mount on {mount.hidden_by}", again)
        elif outer and mount.within != outer[0]:
            what = f"{place} lies inside {outer[0]} by its name, but was mounted in {mount.within}"
            mend = f"umount {place}; mount {outer[0]} (clrunapp does, if it is replicated); then"
            yield self._refusal(what, f"{mend} mount {volume.backing_device} {place}")
        elif not outer and mount.within_late:
            what = f"{place} lies in {mount.within}, which a boot may mount after the applications"
            mend = "give it a line of /etc/fstab without noauto, nofail and _netdev, on both nodes"
            yield self._refusal(what, mend)


def _lie_in_one_another(one: Volume, other: Volume) -> bool:
    places = (one.mount_point, other.mount_point)
    return lies_inside(*places) or lies_inside(*reversed(places))
