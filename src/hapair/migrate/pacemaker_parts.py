"""Which resources of a Pacemaker cluster belong together, and what each of them is."""

from collections.abc import Iterator
from typing import Final

from hapair.migrate.drbd import DrbdResource
from hapair.migrate.pacemaker_words import Pacemaker, Primitive

INFINITE: Final = 1_000_000.0
DEEP_MAX: Final = 8  # Clones of groups of primitives.
KINDS: Final = {
    "ocf:linbit:drbd": "drbd",
    "ocf:heartbeat:drbd": "drbd",
    "ocf:heartbeat:Filesystem": "file system",
    "ocf:heartbeat:LVM": "volume group",
    "ocf:heartbeat:LVM-activate": "volume group",
    "ocf:heartbeat:IPaddr": "address",
    "ocf:heartbeat:IPaddr2": "address",
    "ocf:heartbeat:IPv6addr": "address",
    "ocf:pacemaker:ping": "ping",
    "ocf:pacemaker:pingd": "ping",
    # hapair does by itself what these do.
    "ocf:heartbeat:SendArp": "needless",
    "ocf:heartbeat:MailTo": "mail",
    "ocf:heartbeat:portblock": "needless",
}


def kind_of(each: Primitive) -> str:
    if each.standard == "stonith":
        return "stonith"
    return KINDS.get(each.agent, "program")


def score_of(text: str) -> float:
    """Return a score as a number; words of an order count as it is meant."""
    plain = text.strip().lower().lstrip("+")
    if plain.removeprefix("-") in {"infinity", "inf"}:
        return -INFINITE if plain.startswith("-") else INFINITE
    if plain.removeprefix("-").isdigit() and len(plain) <= 9:  # noqa: PLR2004 - more is infinite
        return float(plain)
    return INFINITE if plain in {"mandatory", "serialize", ""} else 0.0


class Parts:
    """The resources, joined where the configuration keeps them on one node."""

    def __init__(self, config: Pacemaker, drbd: tuple[DrbdResource, ...]) -> None:
        self.config = config
        self.drbd = {each.name: each for each in drbd}
        self._above: dict[str, str] = {}
        for group in config.groups.values():
            self._join(group.name, *group.members)
        for clone in config.clones.values():
            if clone.promotable:
                self._join(clone.name, clone.member)
        for bond in config.colocations:
            known = [each for each in bond.resources if self._is_known(each)]
            if score_of(bond.score) >= 0 and not any(map(self._on_both, known)):
                self._join(*known)

    def _is_known(self, name: str) -> bool:
        config = self.config
        return name in config.primitives or name in config.groups or name in config.clones

    def _on_both(self, name: str) -> bool:
        clone = self.config.clones.get(name)
        return clone is not None and not clone.promotable

    def _join(self, *names: str) -> None:
        for name in names[1:]:
            first, other = self._root(names[0]), self._root(name)
            if first != other:
                self._above[other] = first

    def _root(self, name: str) -> str:
        while (above := self._above.get(name, name)) != name:
            # Paths are halved, so that a long chain costs nothing.
            self._above[name] = self._above.get(above, above)
            name = above
        return name

    def applications(self) -> Iterator[tuple[Primitive, ...]]:
        """Yield the primitives of each application, those of groups in their order."""
        ordered = [each for group in self.config.groups.values() for each in group.members]
        names = dict.fromkeys([*ordered, *self.config.primitives])
        on_both = {
            each.name
            for clone in self.config.clones.values()
            if not clone.promotable
            for each in self.inside(clone.name)
        }
        together: dict[str, list[Primitive]] = {}
        for name in names:
            primitive = self.config.primitives.get(name)
            if primitive is None or name in on_both or not primitive.agent:
                continue
            if kind_of(primitive) not in {"stonith", "ping"}:
                together.setdefault(self._root(name), []).append(primitive)
        for members in together.values():
            if any(kind_of(each) != "drbd" for each in members):
                yield tuple(members)

    def inside(self, name: str, deep: int = 0) -> tuple[Primitive, ...]:
        """Return the primitives of a clone or a group, or the one of that name."""
        if deep > DEEP_MAX:
            return ()
        if (clone := self.config.clones.get(name)) is not None:
            return self.inside(clone.member, deep + 1)
        if (group := self.config.groups.get(name)) is not None:
            return tuple(p for each in group.members for p in self.inside(each, deep + 1))
        primitive = self.config.primitives.get(name)
        return (primitive,) if primitive is not None else ()

    def names_of(self, member: Primitive) -> frozenset[str]:
        """Return the names by which constraints mean a primitive."""
        holders = (*self.config.groups, *self.config.clones)
        return frozenset({member.name, *(e for e in holders if member in self.inside(e))})

    def group_name(self, members: tuple[Primitive, ...]) -> str:
        """Return the name of the group that they are in; empty when they are in none."""
        wanted = {each.name for each in members}
        groups = self.config.groups.values()
        return next((each.name for each in groups if wanted & set(each.members)), "")

    def is_drbd(self, name: str) -> bool:
        inside = self.inside(name)
        return bool(inside) and all(kind_of(each) == "drbd" for each in inside)

    def together(self, names: tuple[str, ...]) -> bool:
        return bool(names) and len({self._root(name) for name in names}) == 1
