"""What is mounted on a machine, as its kernel sees it: a later mount may hide an earlier one."""

from collections.abc import Iterator

from hapair.model.nesting import lies_inside
from tests.sim.settings import place_of


class Mounts:
    """The mounts in the order in which they were made, each known by its resource."""

    def __init__(self) -> None:
        self._made: list[str] = []

    def __contains__(self, resource: str) -> bool:
        """Tell whether its device is in use by a mount, hidden or not."""
        return resource in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._made))

    def shows(self, resource: str) -> bool:
        """Tell whether whoever goes to its place finds it there."""
        return any(self._is_seen(at) for at, each in enumerate(self._made) if each == resource)

    def keeping(self, resource: str) -> list[str]:
        """Return what is mounted inside it, so that it cannot be unmounted."""
        return [inner for inner in self if _encloses(resource, inner) and self.shows(inner)]

    def add(self, resource: str) -> None:
        if not self.shows(resource):
            self._made.append(resource)

    def discard(self, resource: str) -> None:
        """Unmount it where it is seen."""
        seen = [self._is_seen(at) and each == resource for at, each in enumerate(self._made)]
        self._made = [each for each, gone in zip(self._made, seen, strict=True) if not gone]

    def forget(self, resource: str) -> None:
        """Let it be gone, however that was done."""
        self._made = [each for each in self._made if each != resource]

    def clear(self) -> None:
        self._made.clear()

    def _is_seen(self, at: int) -> bool:
        return not any(_encloses(over, self._made[at]) for over in self._made[at:])


def _encloses(outer: str, inner: str) -> bool:
    return lies_inside(place_of(inner), place_of(outer))
