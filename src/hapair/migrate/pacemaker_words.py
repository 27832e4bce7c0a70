"""What a Pacemaker configuration says, whether it was written as XML or for the crm shell."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hapair.migrate.lines import Place


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    values: dict[str, str]
    place: Place


@dataclass(frozen=True, slots=True)
class Primitive:
    name: str
    place: Place
    agent: str  # class:provider:type or class:type; empty: of a template.
    parameters: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    operations: tuple[Operation, ...] = ()
    template: str = ""

    @property
    def kind(self) -> str:
        return self.agent.rpartition(":")[2]

    @property
    def standard(self) -> str:
        return self.agent.partition(":")[0]

    def operation(self, *names: str) -> Iterator[Operation]:
        return (each for each in self.operations if each.name in names)


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    place: Place
    members: tuple[str, ...]
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clone:
    """Of a primitive or a group; ``promotable`` is what was called master or ms."""

    name: str
    place: Place
    member: str
    promotable: bool


@dataclass(frozen=True, slots=True)
class Bond:
    """A colocation or an order."""

    name: str
    place: Place
    score: str
    resources: tuple[str, ...]
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Location:
    name: str
    place: Place
    resource: str
    node: str  # Empty: it is a rule.
    score: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A property of the cluster, or a default of resources or operations."""

    scope: str  # "property", "rsc_defaults" or "op_defaults".
    name: str
    value: str
    place: Place


@dataclass(frozen=True, slots=True)
class Other:
    """A statement that hapair has nothing for."""

    what: str
    place: Place


@dataclass(slots=True)
class Pacemaker:
    nodes: dict[str, Place] = field(default_factory=dict)
    primitives: dict[str, Primitive] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    clones: dict[str, Clone] = field(default_factory=dict)
    colocations: list[Bond] = field(default_factory=list)
    orders: list[Bond] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)

    def setting(self, name: str) -> str:
        return next((each.value for each in self.settings if each.name == name), "")
