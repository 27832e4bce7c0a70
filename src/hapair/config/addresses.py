"""IP addresses as they are written in the configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import Final

from hapair.config.document import shown
from hapair.config.kinds import Kind, Wrong
from hapair.model.cluster import Address, Interface, Subnet

RANGE_MAX: Final = 1000  # Addresses of one range, and of one application.
NODE_ADDRESSES_MAX: Final = 8  # Of one node on one network.

_PREFIX: Final = re.compile("[0-9]{1,3}")  # Python's ipaddress would take a net mask too.
_LOOKS: Final = "[0-9A-Fa-f:.]+"
_HOST_BITS_LEAST: Final = 1  # A subnet holds at least both nodes.
IPV4: Final = 4


def _parse(written: str) -> Address | None:
    # Python's ipaddress takes scope identifiers, but the patterns of the schema do not.
    if "%" in written:
        return None
    try:
        return ip_address(written)
    except ValueError:
        return None


def _unusable(address: Address) -> str:
    """Say why no machine can be reached by this address; empty when one can."""
    if address.is_unspecified:
        return "means no address at all"
    if address.is_loopback:
        return "never leaves the machine (loopback)"
    if address.is_multicast:
        return "is a multicast address"
    if address.is_link_local:
        return "is link-local: it is not the same machine on every card"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return "is an IPv4 address in IPv6 clothes"
    if address == IPv4Address("255.255.255.255"):
        return "is the broadcast address"
    return ""


def reserved_in(address: Address, subnet: Subnet) -> str:
    """Say why no machine of ``subnet`` may have this address; empty when one may."""
    if subnet.max_prefixlen - subnet.prefixlen <= _HOST_BITS_LEAST:
        return ""  # RFC 3021, RFC 6164: between two machines all addresses are usable.
    if address == subnet.network_address:
        return f"is the address of the subnet {subnet} itself"
    if address.version == IPV4 and address == subnet.broadcast_address:
        return f"is the broadcast address of {subnet}"
    return ""


def read_address(written: str) -> Address | Wrong:
    address = _parse(written)
    if address is None:
        mend = "write it like 10.77.1.50 or fd77:1::50"
        if not written:
            return Wrong("it is empty", mend)
        if "/" in written:
            mend = "write it without the part from / on: the network's subnet is used"
        return Wrong(f"{shown(written)} is not an IP address", mend)
    if reason := _unusable(address):
        return Wrong(f"{shown(written)} {reason}", "write an address that the other machines reach")
    return address


def _read_watched(written: str) -> str | Wrong:
    address = _parse(written)
    if address is None or address.is_unspecified or address.is_multicast:
        mend = "write the address that it listens on, e.g. 127.0.0.1 or 10.77.1.50"
        return Wrong(f"{shown(written)} is not the IP address of a machine", mend)
    return str(address)


def _parse_interface(written: str) -> Interface | None:
    host, _, prefix = written.partition("/")
    if _parse(host) is None or not _PREFIX.fullmatch(prefix):
        return None
    try:
        return ip_interface(written)
    except ValueError:
        return None


def _read_interface(written: str) -> Interface | Wrong:
    if "/" not in written and _parse(written) is not None:
        mend = f'write how long its subnet\'s prefix is, e.g. "{written}/24"'
        return Wrong(f"{shown(written)} has no prefix length", mend)
    interface = _parse_interface(written)
    if interface is None:
        mend = "write it like 10.77.1.1/24 or fd77:1::1/64"
        return Wrong(f"{shown(written)} is not an IP address with a prefix length", mend)
    subnet = interface.network
    if subnet.max_prefixlen - subnet.prefixlen < _HOST_BITS_LEAST:
        mend = "write the prefix length of the subnet that both nodes are in"
        return Wrong(f"{shown(written)} is a subnet for one machine only", mend)
    if reason := _unusable(interface.ip) or reserved_in(interface.ip, subnet):
        return Wrong(f"{shown(written)} {reason}", "write the address that the node has there")
    return interface


def _read_interfaces(written: str) -> tuple[Interface, ...] | Wrong:
    words = written.split(" ") if written else []
    if not words:
        return Wrong("it is empty", "write the node's address, e.g. 10.77.1.1/24")
    if len(words) > NODE_ADDRESSES_MAX:
        return Wrong(f"these are {len(words)} addresses", f"write at most {NODE_ADDRESSES_MAX}")
    interfaces: list[Interface] = []
    for word in words:
        interface = _read_interface(word)
        if isinstance(interface, Wrong):
            return interface
        for other in interfaces:
            if overlap(interface.network, other.network):
                mend = "write one address for each subnet"
                return Wrong(f"{interface} and {other} are in the same subnet", mend)
        interfaces.append(interface)
    return tuple(interfaces)


def overlap(one: Subnet, other: Subnet) -> bool:
    """Tell whether two subnets share an address; those of different families never do."""
    match one, other:
        case IPv4Network(), IPv4Network():
            return one.overlaps(other)
        case IPv6Network(), IPv6Network():
            return one.overlaps(other)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from the first to the last, both included."""

    first: Address
    last: Address

    def __iter__(self) -> Iterator[Interface]:
        """Yield each address, as a subnet of its own until the network is known."""
        for number in range(int(self.first), int(self.last) + 1):
            yield IPv4Interface(number) if self.first.version == IPV4 else IPv6Interface(number)

    def __len__(self) -> int:
        return int(self.last) - int(self.first) + 1

    def overlaps(self, other: "Range") -> bool:
        if self.first.version != other.first.version:
            return False
        return int(self.first) <= int(other.last) and int(other.first) <= int(self.last)


def _read_range(written: str) -> Range | Wrong:
    first_text, dash, last_text = (part.strip(" ") for part in written.partition("-"))
    first = read_address(first_text)
    if isinstance(first, Wrong):
        return first
    if not dash:
        return Range(first, first)
    if not last_text:
        return Wrong(f"{shown(written)} has no last address", 'write it without "-", or its end')
    if re.fullmatch("[0-9]{1,3}", last_text) and first.version == IPV4:
        whole = ".".join((*first_text.split(".")[:3], last_text))
        return Wrong(f"{shown(last_text)} is no full address", f'write "{first_text}-{whole}"')
    last = read_address(last_text)
    if isinstance(last, Wrong):
        return last
    if first.version != last.version:
        mend = "write one range for each family"
        return Wrong(f"{shown(written)} mixes IPv4 and IPv6", mend)
    if int(first) > int(last):
        return Wrong(f"{shown(written)} runs backwards", f'write "{last}-{first}"')
    if int(last) - int(first) >= RANGE_MAX:
        count = int(last) - int(first) + 1
        mend = f"write at most {RANGE_MAX} addresses"
        return Wrong(
            f"{shown(written)} has {count if count < 10**9 else 'too many'} addresses", mend
        )
    return Range(first, last)


ADDRESS: Final[Kind[Address]] = Kind("an IP address", read_address, _LOOKS)
LOCAL_OR_REMOTE: Final = Kind("an IP address, also of this machine", _read_watched, _LOOKS)
INTERFACES: Final = Kind(
    "IP addresses with prefix length, separated by spaces, one for each subnet",
    _read_interfaces,
    f"{_LOOKS}/[0-9]{{1,3}}( {_LOOKS}/[0-9]{{1,3}})*",
)
RANGE: Final = Kind(
    "an IP address, or a range: first-last", _read_range, f"{_LOOKS}( ?- ?{_LOOKS})?"
)
