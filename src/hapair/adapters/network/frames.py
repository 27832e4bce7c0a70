"""Ethernet frames that ask who has an address, and that tell who has it now. Pure."""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

ETH_P_ARP: Final = 0x0806
ETH_P_IPV6: Final = 0x86DD
_BROADCAST: Final = b"\xff" * 6
_NO_MAC: Final = bytes(6)
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ETHERNET_BYTES: Final = 14
_REQUEST: Final = 1
_ICMPV6: Final = 58
NEIGHBOUR_SOLICITATION: Final = 135
NEIGHBOUR_ADVERTISEMENT: Final = 136
_OVERRIDE: Final = 0x20000000  # Replace what you remember.
_TARGET_MAC: Final = 2  # Option of an advertisement.
_ALL_NODES: Final = IPv6Address("ff02::1").packed
_SOLICITED: Final = IPv6Address("ff02::1:ff00:0").packed
_NA_HEAD: Final = 24  # Kind, code, checksum, flags, target.


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody says that it has this address."""

    packed: bytes
    mac: bytes


def ethernet_kind(address: Address) -> int:
    return ETH_P_ARP if isinstance(address, IPv4Address) else ETH_P_IPV6


def question(address: Address, mac: bytes) -> bytes:
    """Ask who has ``address`` without claiming it: nobody's neighbour table changes."""
    if isinstance(address, IPv4Address):
        return _arp(mac, bytes(4), address.packed)
    group = _SOLICITED[:13] + address.packed[13:]
    body = struct.pack("!BBHI", NEIGHBOUR_SOLICITATION, 0, 0, 0) + address.packed
    return _ipv6(mac, bytes(16), group, body)


def announcement(address: Address, mac: bytes) -> bytes:
    """Tell everybody that ``address`` is here: ARP as a request, because replies get ignored."""
    if isinstance(address, IPv4Address):
        return _arp(mac, address.packed, address.packed)
    body = (
        struct.pack("!BBHI", NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE)
        + address.packed
        + struct.pack("!BB6s", _TARGET_MAC, 1, mac)
    )
    return _ipv6(mac, address.packed, _ALL_NODES, body)


def arp_claim(frame: bytes) -> Claim | None:
    """Return who claims which address in an ARP frame; a mere question claims nothing."""
    if len(frame) < _ETHERNET_BYTES + _ARP.size:
        return None
    fields = _ARP.unpack_from(frame, _ETHERNET_BYTES)
    mac, address = fields[5], fields[6]
    return None if address == bytes(4) else Claim(address, mac)


def advertisement_claim(icmp: bytes) -> Claim | None:
    """Return who claims which address in an ICMPv6 neighbour advertisement."""
    if len(icmp) < _NA_HEAD or icmp[0] != NEIGHBOUR_ADVERTISEMENT:
        return None
    option = icmp[_NA_HEAD : _NA_HEAD + 8]
    mac = option[2:8] if len(option) == 8 and option[0] == _TARGET_MAC else b""  # noqa: PLR2004
    return Claim(icmp[8:_NA_HEAD], mac)


def mac_text(mac: bytes) -> str:
    return mac.hex(":") if mac else "an unnamed card"


def checksum(content: bytes) -> int:
    """Return the Internet checksum."""
    padded = content + b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _arp(mac: bytes, sender: bytes, target: bytes) -> bytes:
    body = _ARP.pack(1, 0x0800, 6, 4, _REQUEST, mac, sender, _NO_MAC, target)
    return _BROADCAST + mac + struct.pack("!H", ETH_P_ARP) + body


def _ipv6(mac: bytes, source: bytes, group: bytes, body: bytes) -> bytes:
    pseudo = source + group + struct.pack("!I3xB", len(body), _ICMPV6)
    summed = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    head = struct.pack("!IHBB16s16s", 0x60000000, len(body), _ICMPV6, 255, source, group)
    to = b"\x33\x33" + group[12:]
    return to + mac + struct.pack("!H", ETH_P_IPV6) + head + summed
