"""What every importer finds, whatever tool it was written for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.config.appconf import RESERVED_NAMES
from hapair.migrate.xml_text import Tag

NAME_SIGNS_MAX: Final = 32  # Of an application or a network.


@dataclass(frozen=True, slots=True)
class FoundNetwork:
    """A network with the addresses that the nodes have there, as far as they are known."""

    name: str
    addresses: tuple[tuple[str, str], ...] = ()  # Node, address with or without a prefix length.
    cards: tuple[tuple[str, str], ...] = ()
    replication: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class FoundMethod:
    """A way to switch a node off."""

    node: str
    agent: str
    parameters: tuple[tuple[str, str], ...]
    timeout_s: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class FoundCluster:
    name: str = ""
    nodes: tuple[str, ...] = ()
    networks: tuple[FoundNetwork, ...] = ()
    methods: tuple[FoundMethod, ...] = ()
    witness: str = ""  # Where a third vote came from.
    detection_s: float = 0.0
    watchdog: str = ""
    references: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)  # Of "nodes", "timing" and so on.


@dataclass(frozen=True, slots=True)
class FoundGroup:
    volume_group: str  # Empty: it has to be found out.
    why: str


@dataclass(frozen=True, slots=True)
class FoundAddress:
    address: str
    prefix: str = ""
    card: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class FoundApplication:
    name: str
    preferred: str = ""
    failback: bool = False
    groups: tuple[FoundGroup, ...] = ()
    addresses: tuple[FoundAddress, ...] = ()
    program: Tag | None = None  # What stands in <run>.
    start_s: float = 0.0
    stop_s: float = 0.0
    mount_s: float = 0.0
    monitors: tuple[Tag, ...] = ()
    restarts: int | None = None
    period_s: float = 0.0
    why: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()  # What has to be done before it is built.


@dataclass(frozen=True, slots=True)
class Found:
    cluster: FoundCluster
    applications: tuple[FoundApplication, ...] = ()


def simple_name(text: str) -> str:
    """Return a name that an application or a network may have, as like ``text`` as can be."""
    plain = re.sub("[^A-Za-z0-9_-]+", "-", text).strip("-")
    if not re.match("[A-Za-z]", plain):
        plain = f"app-{plain}".strip("-")
    if plain.lower() in RESERVED_NAMES:
        plain = f"app-{plain}"
    return plain[:NAME_SIGNS_MAX]


def named_apart(found: Iterable[FoundApplication]) -> tuple[FoundApplication, ...]:
    """Give each application a name of its own."""
    taken: dict[str, int] = {}
    apart: list[FoundApplication] = []
    for each in found:
        name = each.name
        while name in taken:
            taken[each.name] += 1
            name = f"{each.name[: NAME_SIGNS_MAX - 5]}-{taken[each.name]}"
        taken[name] = 1
        apart.append(replace(each, name=name))
    return tuple(apart)
