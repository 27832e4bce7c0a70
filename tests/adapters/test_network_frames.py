"""Frames and netlink messages, byte by byte."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Self

import pytest

from hapair.adapters.network import netlink
from hapair.adapters.network.cards import Cards
from hapair.adapters.network.frames import (
    Claim,
    advertisement_claim,
    announcement,
    arp_claim,
    checksum,
    ethernet_kind,
    mac_text,
    question,
)
from hapair.adapters.network.netlink import Card, Held, Tables
from hapair.adapters.shared.netlink import Message, dump
from hapair.adapters.shared.passing import passes
from tests.adapters.clusters import cluster

MAC = bytes.fromhex("525400000001")
V4 = IPv4Address("10.77.1.50")
V6 = IPv6Address("fd77:1::1:50")


def test_an_arp_question_claims_nothing() -> None:
    frame = question(V4, MAC)
    assert frame.hex(" ").startswith(
        "ff ff ff ff ff ff 52 54 00 00 00 01 08 06 00 01 08 00 06 04 00 01"
    )
    assert frame[28:32] == bytes(4)
    assert frame[38:42] == V4.packed
    assert arp_claim(frame) is None


def test_a_gratuitous_arp_is_a_request_from_and_for_the_address() -> None:
    frame = announcement(V4, MAC)
    assert frame[20:22] == b"\0\1"
    assert frame[28:32] == frame[38:42] == V4.packed
    assert arp_claim(frame) == Claim(V4.packed, MAC)
    assert arp_claim(frame[:30]) is None


def test_an_ipv6_question_goes_to_the_solicited_group_from_nobody() -> None:
    frame = question(V6, MAC)
    assert frame[:6] == bytes.fromhex("3333ff010050")
    assert frame[14 + 8 : 14 + 24] == bytes(16)
    assert IPv6Address(frame[14 + 24 : 14 + 40]) == IPv6Address("ff02::1:ff01:50")
    assert frame[54] == 135
    assert _icmp_sum(frame) == 0


def test_an_unsolicited_advertisement_overrides_what_neighbours_remember() -> None:
    frame = announcement(V6, MAC)
    assert frame[:6] == bytes.fromhex("333300000001")
    assert frame[14 + 7] == 255
    icmp = frame[54:]
    assert icmp[0] == 136
    assert icmp[4] & 0x20
    assert advertisement_claim(icmp) == Claim(V6.packed, MAC)
    assert _icmp_sum(frame) == 0


def test_advertisements_that_are_none_claim_nothing() -> None:
    assert advertisement_claim(b"") is None
    assert advertisement_claim(bytes(24)) is None
    without_option = announcement(V6, MAC)[54:78]
    assert advertisement_claim(without_option) == Claim(V6.packed, b"")
    assert mac_text(b"") == "an unnamed card"
    assert mac_text(MAC) == "52:54:00:00:00:01"


def test_each_family_has_its_kind_of_frame() -> None:
    assert ethernet_kind(V4) == 0x0806
    assert ethernet_kind(V6) == 0x86DD


@pytest.mark.parametrize(
    ("content", "sum_"), [(b"", 0xFFFF), (b"\x00\x01\xf2\x03", 0x0DFB), (b"\x01", 0xFEFF)]
)
def test_the_internet_checksum(content: bytes, sum_: int) -> None:
    assert checksum(content) == sum_


def _icmp_sum(frame: bytes) -> int:
    """A message with a right checksum sums up to nothing."""
    body = frame[54:]
    return checksum(frame[22:54] + struct.pack("!I3xB", len(body), 58) + body)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _link(flags: int, *attributes: bytes) -> Message:
    head = struct.pack("=BxHiII", 0, 1, 7, flags, 0)
    return Message(netlink.NEW_LINK, head + b"".join(attributes))


def test_a_card_is_read_with_its_link() -> None:
    name, mac, carrier = _attribute(3, b"pub0\0"), _attribute(1, MAC), _attribute(33, b"\1")
    assert netlink.card_of(_link(1, name, mac, carrier)) == Card(
        7, "pub0", MAC, up=True, carrier=True, resolves=True
    )
    without = netlink.card_of(_link(0x81, name, _attribute(33, b"\0")))
    assert without is not None
    assert not without.link_up
    assert not without.resolves
    assert netlink.card_of(Message(netlink.DELETED_LINK, b"")) is None


def test_an_address_is_read_in_both_families() -> None:
    v4 = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 7) + _attribute(2, V4.packed)
    v6 = struct.pack("=BBBBI", socket.AF_INET6, 64, 0, 0, 7) + _attribute(1, V6.packed)
    assert netlink.held_of(Message(netlink.NEW_ADDRESS, v4)) == Held(7, V4.packed, 24)
    assert netlink.held_of(Message(netlink.DELETED_ADDRESS, v6)) == Held(7, V6.packed, 64)
    assert netlink.held_of(_link(1)) is None
    assert netlink.held_of(Message(netlink.NEW_ADDRESS, v4[:8])) is None


def test_truncated_attributes_are_left_out() -> None:
    damaged = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 7) + struct.pack("=HH", 2, 2)
    assert netlink.held_of(Message(netlink.NEW_ADDRESS, damaged)) is None


def test_a_networks_card_is_the_one_with_the_nodes_own_address() -> None:
    default = Card(1, "pub0", MAC, up=True, carrier=False, resolves=True)
    standby = Card(2, "pub1", MAC, up=True, carrier=True, resolves=True)
    own = Held(2, IPv4Address("10.77.1.1").packed, 24)
    cards = Cards(cluster(), "node1")
    found = cards.by_network(Tables((default, standby), (own,)))
    assert found["public"] == standby
    assert found["six"] == default  # Its address is nowhere: the default card.
    assert cards.by_network(Tables((), ())) == {}


def test_a_refusal_of_a_table_is_an_error_and_no_empty_table() -> None:
    with pytest.raises(OSError, match="not supported"):
        dump(socket.NETLINK_ROUTE, 0x7FFE, b"")


class ChangingKernel:
    """Its table changes while it is told, ``times`` times; each time the second address is lost."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0
        self.left: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left.clear()

    def bind(self, _: object) -> None:
        pass

    def settimeout(self, _: float) -> None:
        pass

    def send(self, _: bytes) -> None:
        self.asked += 1
        whole = self.asked > self.times
        found = (b"first", b"second") if whole else (b"first",)
        self.left = [self._message(20, each, interrupted=not whole) for each in found]
        self.left.append(self._message(3, bytes(4), interrupted=not whole))

    def recv(self, _: int) -> bytes:
        return self.left.pop(0)

    @staticmethod
    def _message(kind: int, body: bytes, *, interrupted: bool) -> bytes:
        head = struct.pack("=IHHII", 16 + len(body), kind, 0x10 if interrupted else 0, 1, 0)
        return head + body + bytes(-len(body) % 4)


def test_a_table_that_changed_meanwhile_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = ChangingKernel(times=3)
    monkeypatch.setattr(socket, "socket", lambda *_: kernel)
    told = dump(socket.NETLINK_ROUTE, 22, b"")
    assert [message.body for message in told] == [b"first", b"second"]


def test_a_table_that_never_stops_changing_is_no_table_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = ChangingKernel(times=1_000)
    monkeypatch.setattr(socket, "socket", lambda *_: kernel)
    with pytest.raises(BlockingIOError, match="changes all the time") as raised:
        dump(socket.NETLINK_ROUTE, 22, b"")
    assert passes(raised.value)
    assert kernel.asked < 20
