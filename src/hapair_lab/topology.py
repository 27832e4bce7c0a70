"""Which guests, cards, cables and addresses the lab has. Everything else reads it from here.

    node1 ----+--------- public hub ---------+---- node2
              |  pub0 (addressed), pub1 (spare) |
           outside (pub0): clients, gateway, witness
    node1 ------------- private hub ------------- node2
                 priv0 (addressed), priv1 (spare)

``mgmt0`` is the lab's own card (ssh from the host); no scenario touches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Segment(StrEnum):
    """A network that the cable plant carries; all cards of one segment hear each other."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Card:
    """A network card of a guest. ``segment`` is None for the management card."""

    name: str
    mac: str
    segment: Segment | None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Disk:
    """An empty data disk. ``device`` is its name inside the guest."""

    name: str
    device: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GuestPlan:
    """What one guest is made of."""

    name: str
    number: int
    memory_mib: int
    cards: tuple[Card, ...]
    disks: tuple[Disk, ...]
    gateway: str | None

    def card(self, name: str) -> Card:
        """Return the card called ``name``; KeyError if the guest has none such."""
        for card in self.cards:
            if card.name == name:
                return card
        raise KeyError(name)


GATEWAY: Final = "10.77.1.254"
MANAGEMENT_ADDRESS: Final = "10.0.2.15/24"
DATA_DISK_BYTES: Final = 2 * 1024**3

# Name of a card, its number in the MAC address, its segment.
NODE_CARDS: Final = (
    ("mgmt0", 0, None),
    ("pub0", 1, Segment.PUBLIC),
    ("pub1", 2, Segment.PUBLIC),
    ("priv0", 3, Segment.PRIVATE),
    ("priv1", 4, Segment.PRIVATE),
)
OUTSIDE_CARDS: Final = NODE_CARDS[:2]


def mac_address(guest_number: int, card_number: int) -> str:
    """Return the locally administered address of a card; it names the card inside the guest."""
    return f"52:54:00:77:{guest_number:02x}:{card_number:02x}"


def _addresses(card: str, number: int) -> tuple[str, ...]:
    match card:
        case "mgmt0":
            return (MANAGEMENT_ADDRESS,)
        case "pub0":
            return (f"10.77.1.{number}/24", f"fd77:1::{number}/64")
        case "priv0":
            return (f"10.77.2.{number}/24",)
        case _:
            return ()


def _cards(number: int, cards: tuple[tuple[str, int, Segment | None], ...]) -> tuple[Card, ...]:
    return tuple(
        Card(name, mac_address(number, card_number), segment, _addresses(name, number))
        for name, card_number, segment in cards
    )


def _node(name: str, number: int) -> GuestPlan:
    return GuestPlan(
        name=name,
        number=number,
        memory_mib=512,
        cards=_cards(number, NODE_CARDS),
        disks=(
            Disk("data", "/dev/vdb", DATA_DISK_BYTES),
            Disk("spare", "/dev/vdc", DATA_DISK_BYTES),
        ),
        gateway=GATEWAY,
    )


NODE1: Final = _node("node1", 1)
NODE2: Final = _node("node2", 2)
OUTSIDE: Final = GuestPlan(
    name="outside",
    number=254,
    memory_mib=256,
    cards=_cards(254, OUTSIDE_CARDS),
    disks=(),
    gateway=None,
)
GUESTS: Final = (NODE1, NODE2, OUTSIDE)
NODES: Final = (NODE1, NODE2)


def hosts_file() -> str:
    """Return /etc/hosts of every guest: the names mean the public addresses."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    for guest in GUESTS:
        for card in guest.cards:
            if card.segment is None:
                continue
            suffix = "-private" if card.segment is Segment.PRIVATE else ""
            lines += [f"{address.split('/')[0]} {guest.name}{suffix}" for address in card.addresses]
    return "\n".join(lines) + "\n"


def address_commands(guest: GuestPlan) -> str:
    """Return the ``ip -batch`` file that gives a guest its addresses at boot."""
    lines = []
    for card in guest.cards:
        lines += [
            f"address add {address} dev {card.name}{' nodad' if ':' in address else ' brd +'}"
            for address in card.addresses
        ]
        lines.append(f"link set {card.name} up")
    if guest.gateway is not None:
        lines.append(f"route add default via {guest.gateway}")
    return "\n".join(lines) + "\n"


def card_lines(guest: GuestPlan) -> str:
    """Return a line for each card: name, MAC address, and the number of its cable if it has one."""
    cables = iter(range(len(guest.cards)))
    return "".join(
        f"{card.name} {card.mac} {next(cables) if card.segment is not None else '-'}\n"
        for card in guest.cards
    )


def card_names_by_mac() -> dict[str, tuple[str, ...]]:
    """Return, for each card name, the addresses of all cards that bear it in some guest."""
    names: dict[str, tuple[str, ...]] = {}
    for guest in GUESTS:
        for card in guest.cards:
            names[card.name] = (*names.get(card.name, ()), card.mac)
    return names
