"""Ways to hurt a healthy node, and what a check must say then."""

from dataclasses import dataclass, replace

from hapair.core.plan.situation import Situation
from hapair.model.cluster import Cluster
from hapair.model.node_facts import (
    CardAddress,
    NodeFacts,
    PhysicalVolume,
    Resolved,
    SshTry,
    StorageKind,
)
from tests.build.material import (
    CLUSTER,
    PRIVATE,
    PUBLIC,
    Hurt,
    group,
    situation,
    unhurt,
)


def fact(**changes: object) -> Hurt:
    return lambda facts: replace(facts, **changes)  # type: ignore[arg-type]


def drbd(**changes: object) -> Hurt:
    return lambda facts: replace(facts, drbd=replace(facts.drbd, **changes))  # type: ignore[arg-type]


def lvm(**changes: object) -> Hurt:
    return lambda facts: replace(facts, lvm=replace(facts.lvm, **changes))  # type: ignore[arg-type]


def card(name: str, **changes: object) -> Hurt:
    def hurt(facts: NodeFacts) -> NodeFacts:
        return replace(
            facts,
            cards=tuple(
                replace(each, **changes) if each.name == name else each  # type: ignore[arg-type]
                for each in facts.cards
            ),
        )

    return hurt


def without_card(name: str) -> Hurt:
    return lambda facts: replace(
        facts, cards=tuple(each for each in facts.cards if each.name != name)
    )


def login(address: str, *, boot_id: str = "", error: str = "") -> Hurt:
    return lambda facts: replace(
        facts,
        logins=tuple(
            SshTry(address, boot_id, error) if each.address == address else each
            for each in facts.logins
        ),
    )


def resolves(name: str, *addresses: str) -> Hurt:
    return lambda facts: replace(
        facts,
        names=tuple(
            Resolved(name, addresses) if each.name == name else each for each in facts.names
        ),
    )


def without_tool(tool: str) -> Hurt:
    return lambda facts: replace(facts, tools=tuple(each for each in facts.tools if each != tool))


def disk(kind: StorageKind, origin: str = "") -> Hurt:
    def hurt(facts: NodeFacts) -> NodeFacts:
        disks = (PhysicalVolume("/dev/vdb", kind, origin),)
        strange = group("vg_orders", facts.hostname, physical_volumes=disks)
        return replace(facts, lvm=replace(facts.lvm, groups=(strange,)))

    return hurt


def groups(*found: object) -> Hurt:
    return lambda facts: replace(facts, lvm=replace(facts.lvm, groups=found))  # type: ignore[arg-type]


def both(*hurts: Hurt) -> Hurt:
    def hurt(facts: NodeFacts) -> NodeFacts:
        for each in hurts:
            facts = each(facts)
        return facts

    return hurt


def crossover(name: str) -> Cluster:
    networks = tuple(replace(each, crossover=each.name == name) for each in (PUBLIC, PRIVATE))
    return replace(CLUSTER, networks=networks)


def moved(address: str, to: str) -> Hurt:
    """Put an address that the default card had onto another card."""
    given = (CardAddress(address),)
    return both(card("pub0", addresses=()), card(to, addresses=given))


@dataclass(frozen=True)
class Row:
    """What is wrong, where it is seen, and words of the message and of its mend."""

    where: str
    words: str
    mend: str
    first: Hurt = unhurt
    second: Hurt = unhurt
    warning: bool = False
    cluster: Cluster = CLUSTER
    built: object = None

    def situation(self) -> Situation:
        return situation(self.first, self.second, cluster=self.cluster, built=self.built)  # type: ignore[arg-type]
