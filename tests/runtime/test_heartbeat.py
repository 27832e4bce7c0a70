"""Forged, replayed and random datagrams change nothing."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.adapters.heartbeat.datagrams import (
    DATAGRAM_BYTES_MAX,
    HEADER,
    MAGIC,
    TAG_BYTES,
    VERSION,
    ReplayGuard,
    Sealer,
)
from hapair.adapters.heartbeat.sockets import Arrived, Sockets
from tests.runtime.conftest import eventually
from tests.runtime.fakes import cluster

KEY = bytes(range(32))
FIRST = Sealer("shop", KEY, 0)
SECOND = Sealer("shop", KEY, 1)
SEALED = SECOND.seal("public", 7, 3, b"beat")
LATER = HEADER.unpack(SEALED[: HEADER.size])[2:]  # What follows the version.


def test_what_the_peer_sealed_is_read() -> None:
    assert FIRST.unseal("public", SEALED) == (7, 3, b"beat")


def test_a_body_of_another_kind_tells_that_its_sender_lives_and_nothing_else() -> None:
    header = HEADER.pack(MAGIC, VERSION + 1, *LATER)
    tag = SECOND._tag("public", header, b"beat")  # noqa: SLF001 - as a later version would
    assert FIRST.unseal("public", header + tag + b"beat") == (7, 3, b"")
    assert FIRST.unseal("public", header + bytes(TAG_BYTES) + b"beat") is None


@pytest.mark.parametrize(
    ("reader", "network"),
    [
        (SECOND, "public"),  # Sent back to its author.
        (FIRST, "private"),  # Repeated on another network.
        (Sealer("other", KEY, 0), "public"),  # Of another cluster.
        (Sealer("shop", bytes(32), 0), "public"),  # Sealed with another key.
    ],
)
def test_a_datagram_for_somebody_or_somewhere_else_is_dropped(reader: Sealer, network: str) -> None:
    assert reader.unseal(network, SEALED) is None


@given(st.binary(max_size=DATAGRAM_BYTES_MAX + 10))
def test_random_bytes_are_dropped(datagram: bytes) -> None:
    assert FIRST.unseal("public", datagram) is None


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_every_changed_byte_is_noticed(position: int, change: int) -> None:
    forged = bytearray(SEALED)
    forged[position] ^= change
    assert FIRST.unseal("public", bytes(forged)) is None


@given(st.integers(0, len(SEALED) - 1))
def test_a_datagram_that_was_cut_is_dropped(length: int) -> None:
    assert FIRST.unseal("public", SEALED[:length]) is None


def test_names_of_networks_and_bodies_cannot_be_shifted_into_each_other() -> None:
    sealed = SECOND.seal("net", 7, 3, b"1beat")
    header, tag = sealed[: HEADER.size], sealed[HEADER.size : HEADER.size + TAG_BYTES]
    assert FIRST.unseal("net1", header + tag + b"beat") is None


numbered = st.tuples(st.sampled_from(["public", "private"]), st.integers(0, 3), st.integers(0, 5))


@given(st.lists(numbered, max_size=40))
def test_nothing_is_admitted_twice_and_incarnations_never_go_back(
    arrivals: list[tuple[str, int, int]],
) -> None:
    guard = ReplayGuard()
    admitted = [arrival for arrival in arrivals if guard.admit(*arrival)]
    assert len(set(admitted)) == len(admitted)
    incarnations = [incarnation for _, incarnation, _ in admitted]
    assert incarnations == sorted(incarnations)
    for network in ("public", "private"):
        order = [(i, sequence) for n, i, sequence in admitted if n == network]
        assert order == sorted(order)


def test_after_an_introduction_only_that_incarnation_and_newer_ones_than_all_are_heard() -> None:
    guard = ReplayGuard()
    assert guard.admit("public", 9, 1)
    assert [guard.admit("public", 5, number) for number in range(3)] == [False] * 3
    assert guard.older == 3
    guard.introduce(5)
    assert guard.admit("public", 5, 1)
    assert guard.older == 0
    assert not guard.admit("public", 5, 1)
    assert not guard.admit("public", 9, 2), "a recording of the former one"
    assert guard.admit("public", 10, 1)


def test_a_new_daemon_that_knows_its_peer_hears_no_recording_of_a_former_one() -> None:
    guard = ReplayGuard()
    guard.introduce(8, highest=9)
    assert not guard.admit("public", 7, 1)
    assert not guard.admit("public", 9, 1)
    assert guard.admit("public", 8, 1)
    assert guard.admit("public", 10, 1)


class Wire:
    """A node on the loopback network, and what it received."""

    def __init__(self, me: str, port: int, guard: ReplayGuard | None = None) -> None:
        self.heard: list[Arrived] = []
        self.guard = guard or ReplayGuard()
        self.sockets = Sockets(cluster(port=port, loopback=True), me, KEY, self.guard)
        self.sockets.open()

    def receive(self) -> list[Arrived]:
        self.heard += self.sockets.receive()
        return self.heard

    async def hears(self, count: int) -> list[Arrived]:
        await eventually(lambda: len(self.receive()) >= count)
        return self.heard

    async def rejects(self, count: int) -> None:
        await eventually(lambda: self.receive() is self.heard and self.sockets.rejected >= count)


@pytest.fixture
def port() -> int:
    """Return a port that is free on all addresses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def attacker() -> Iterator[socket.socket]:
    """Someone who can send from the peer's address, but does not know the key."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.77.1.2", 0))
        yield made


async def test_two_nodes_hear_each_other_on_every_network(port: int) -> None:
    one, two = Wire("node1", port), Wire("node2", port)
    one.sockets.send(11, b"one")
    two.sockets.send(22, b"two")
    assert {(h.network, h.incarnation, h.body) for h in await one.hears(2)} == {
        ("public", 22, b"two"),
        ("private", 22, b"two"),
    }
    assert {h.body for h in await two.hears(2)} == {b"one"}
    one.sockets.close()
    two.sockets.close()


async def test_junk_forgeries_and_replays_are_counted_and_nothing_else(
    port: int, attacker: socket.socket
) -> None:
    one = Wire("node1", port)
    real = SECOND.seal("public", 7, 100, b"beat")
    older = SECOND.seal("public", 7, 99, b"older")
    former = SECOND.seal("public", 6, 500, b"former incarnation")
    for datagram in (b"", b"junk", bytes(3000), real, real, older, former, SEALED[:-1] + b"x"):
        attacker.sendto(datagram, ("127.77.1.1", port))
    await one.rejects(7)
    assert one.heard == [Arrived("public", 7, 100, b"beat")]
    one.sockets.close()


async def test_even_the_right_key_counts_only_from_the_peers_address(port: int) -> None:
    one = Wire("node1", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.77.1.9", 0))
        elsewhere.sendto(SEALED, ("127.77.1.1", port))
    await one.rejects(1)
    assert one.heard == []
    one.sockets.close()


async def test_a_recording_is_worthless_also_after_the_sockets_were_opened_anew(
    port: int, attacker: socket.socket
) -> None:
    one = Wire("node1", port)
    attacker.sendto(SEALED, ("127.77.1.1", port))
    await one.hears(1)
    one.sockets.close()

    again = Wire("node1", port, one.guard)
    attacker.sendto(SEALED, ("127.77.1.1", port))
    await again.rejects(1)
    assert again.heard == []
    again.sockets.close()


async def test_all_that_waits_in_the_kernel_is_received_at_once(
    port: int, attacker: socket.socket
) -> None:
    one = Wire("node1", port)
    for sequence in range(50):
        sealed = SECOND.seal("public", 7, sequence, b"beat")
        attacker.sendto(sealed, ("127.77.1.1", port))
    assert len(one.receive()) == 50
    one.sockets.close()


async def test_a_taken_port_is_tried_again_at_each_send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.77.1.1", port))
        one, two = Wire("node1", port), Wire("node2", port)
        one.sockets.send(11, b"one")
        assert [h.network for h in await two.hears(1)] == ["private"]
    one.sockets.send(11, b"one")
    assert [h.network for h in await two.hears(3)][1:] == ["public", "private"]
    one.sockets.close()
    two.sockets.close()
