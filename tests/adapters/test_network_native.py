"""Addresses and paths on real cards: two network namespaces joined by a cable."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.network import netlink
from hapair.adapters.network.addresses import ServiceAddresses
from hapair.adapters.network.neighbours import SETTINGS
from hapair.adapters.network.paths import NetworkPaths
from hapair.model.outcome import Done, HeldByPeer, Refused
from tests.adapters.clusters import cluster, present, service, trouble
from tests.adapters.namespaces import Network, cable, new_network
from tests.processes import PATIENCE_S

pytestmark = pytest.mark.native
V4 = "10.77.1.50/24"
V6 = "fd77:1::50/64"
# Between the questions whether somebody has an address; the kernel of a busy host answers late.
ASKS_FOR_S = 0.5
LATER_S = 2 * PATIENCE_S  # Not within the test, unless the clock leaps.


@dataclass(frozen=True, slots=True)
class Pair:
    here: Network
    there: Network


@pytest.fixture
def pair() -> Iterator[Pair]:
    """This test runs inside ``here``, as node1."""
    with new_network() as here, new_network() as there:
        cable(here, "pub0", there, "pub0")
        for network, number in ((here, 1), (there, 2)):
            network.ip("address", "add", f"10.77.1.{number}/24", "dev", "pub0")
            network.ip("address", "add", f"fd77:1::{number}/64", "dev", "pub0", "nodad")
        with here.entered():
            yield Pair(here, there)


@contextlib.contextmanager
def addresses(**options: float) -> Iterator[ServiceAddresses]:
    made = ServiceAddresses(cluster(), "node1", announce_again_after_s=(), **options)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


async def test_adds_finds_and_removes_addresses_of_both_families(pair: Pair) -> None:
    wanted = service(V4, V6)
    with addresses() as made:
        assert await present(made, wanted) is False
        assert isinstance(await made.add(wanted, timeout_s=PATIENCE_S), Done)
        assert await present(made, wanted) is True
        listing = pair.here.ip("address", "show", "dev", "pub0")
        assert "10.77.1.50/32" in listing
        assert "noprefixroute" in listing
        assert "tentative" not in listing.split("fd77:1::50")[1].splitlines()[0]
        assert isinstance(await made.remove(service(V4), timeout_s=PATIENCE_S), Done)
        assert await present(made, wanted) is None
        assert isinstance(await made.remove(wanted, timeout_s=PATIENCE_S), Done)
        assert await present(made, wanted) is False


async def test_adding_and_removing_twice_is_done(pair: Pair) -> None:
    wanted = service(V4, V6)
    with addresses() as made:
        for _ in range(2):
            assert isinstance(await made.add(wanted, timeout_s=PATIENCE_S), Done)
        for _ in range(2):
            assert isinstance(await made.remove(wanted, timeout_s=PATIENCE_S), Done)
    assert "10.77.1.1/24" in pair.here.ip("address", "show", "dev", "pub0")


@pytest.mark.parametrize("taken", [V4, V6])
async def test_refuses_an_address_that_another_machine_has(pair: Pair, taken: str) -> None:
    pair.there.ip("address", "add", taken, "dev", "pub0", *(["nodad"] if ":" in taken else []))
    mac = pair.there.ip("link", "show", "pub0").split("link/ether ")[1].split()[0]
    with addresses(probe_interval_s=ASKS_FOR_S) as made:
        outcome = await made.add(service(V4, V6), timeout_s=PATIENCE_S)
        assert isinstance(outcome, Refused)
        assert taken.split("/", maxsplit=1)[0] in outcome.why
        assert mac in outcome.why
        assert await present(made, service(V4, V6)) is False


async def test_two_applications_that_start_at_once_both_notice_a_conflict(pair: Pair) -> None:
    first, second = "10.77.1.50/24", "10.77.1.51/24"
    for taken in (first, second):
        pair.there.ip("address", "add", taken, "dev", "pub0")
    with addresses(probe_interval_s=ASKS_FOR_S) as made:
        outcomes = await asyncio.gather(
            made.add(service(first), timeout_s=PATIENCE_S),
            made.add(service(second), timeout_s=PATIENCE_S),
        )
        for outcome in outcomes:
            assert isinstance(outcome, HeldByPeer)
            assert "from a card of node2 (" in outcome.why


@pytest.mark.parametrize("taken", [V4, V6])
async def test_what_the_peers_card_has_is_taken_when_it_is_ours_by_right(
    pair: Pair, taken: str
) -> None:
    """A card is the peer's if it answers for the peer's own address as well."""
    words = ["nodad"] if ":" in taken else []
    pair.there.ip("address", "add", taken, "dev", "pub0", *words)
    with addresses(probe_interval_s=ASKS_FOR_S) as made:
        assert isinstance(await made.add(service(taken), timeout_s=5), HeldByPeer)
        assert await present(made, service(taken)) is False
        outcome = await made.add(service(taken), timeout_s=5, despite_peer=True)
        assert isinstance(outcome, Done)
        assert "although" in outcome.note
        assert await present(made, service(taken)) is True


async def test_what_a_stranger_has_is_never_taken(pair: Pair) -> None:
    pair.there.ip("address", "del", "10.77.1.2/24", "dev", "pub0")
    pair.there.ip("address", "add", V4, "dev", "pub0")
    with addresses(probe_interval_s=ASKS_FOR_S) as made:
        outcome = await made.add(service(V4), timeout_s=5, despite_peer=True)
        assert isinstance(outcome, Refused)
        assert not isinstance(outcome, HeldByPeer)
        assert "another machine has this address" in outcome.why


async def test_a_card_that_was_replaced_is_used_again(pair: Pair) -> None:
    with addresses(probe_interval_s=ASKS_FOR_S) as made:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        pair.here.ip("link", "delete", "pub0")
        cable(pair.here, "pub0", pair.there, "pub0")
        pair.here.ip("address", "add", "10.77.1.1/24", "dev", "pub0")
        pair.there.ip("address", "add", V4, "dev", "pub0")
        assert isinstance(await made.add(service(V4), timeout_s=PATIENCE_S), Refused)


async def test_refuses_when_the_network_has_no_card(pair: Pair) -> None:
    pair.here.ip("link", "delete", "pub0")
    with addresses() as made:
        outcome = await made.add(service(V4), timeout_s=PATIENCE_S)
        assert isinstance(outcome, Refused)
        assert "public" in outcome.why


async def test_moves_an_address_from_another_card(pair: Pair) -> None:
    pair.here.ip("address", "add", "10.77.1.50/32", "dev", "lo")
    with addresses() as made:
        assert isinstance(await made.add(service(V4), timeout_s=PATIENCE_S), Done)
    assert "10.77.1.50" not in pair.here.ip("address", "show", "dev", "lo")
    assert "10.77.1.50/32" in pair.here.ip("address", "show", "dev", "pub0")


async def test_an_address_of_ours_and_the_node_s_own_do_not_depend_on_each_other(
    pair: Pair,
) -> None:
    """The kernel removes a subnet's other addresses with its first, and gives only that a route."""
    with addresses() as made:
        await made.add(service(V4, V6), timeout_s=PATIENCE_S)
        for own in ("10.77.1.1/24", "fd77:1::1/64"):
            pair.here.ip("address", "del", own, "dev", "pub0")
        assert await present(made, service(V4, V6)) is True
        assert "own address 10.77.1.1 on network public" in await trouble(made, service(V4, V6))
        assert "own address fd77:1::1 on network six" in await trouble(made, service(V4, V6))
        for own in ("10.77.1.1/24", "fd77:1::1/64"):
            pair.here.ip("address", "add", own, "dev", "pub0")
        assert await trouble(made, service(V4, V6)) == ""
        assert "10.77.1.0/24 dev pub0" in pair.here.ip("route", "show")
        assert isinstance(await made.remove(service(V4, V6), timeout_s=PATIENCE_S), Done)
    listing = pair.here.ip("address", "show", "dev", "pub0")
    assert "10.77.1.1/24" in listing
    assert "fd77:1::1/64" in listing


async def test_who_removed_an_address_is_named_if_it_still_runs(pair: Pair) -> None:
    told = asyncio.Event()
    with addresses() as made:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        made.on_change(told.set)
        await _told_after(told, lambda: pair.here.ip("address", "flush", "dev", "pub0"))
        assert re.search(
            r"10\.77\.1\.50 is on no card \(removed by (ip \()?process \d+",
            await trouble(made, service(V4)),
        )
        pair.here.ip("address", "add", "10.77.1.1/24", "dev", "pub0")
        await made.add(service(V4), timeout_s=PATIENCE_S)
        assert await trouble(made, service(V4)) == ""
        await _told_after(told, lambda: pair.here.ip("link", "delete", "pub0"))
        assert await trouble(made, service(V4)) == "10.77.1.50 is on no card", "the kernel did"


REMOVES: Final = """
import sys, time
from hapair.adapters.network import netlink
held = netlink.Tables.of(netlink.read_tables()).held
netlink.remove_addresses([one for one in held if one.packed[-1] == 50])
time.sleep(60)
"""


@pytest.mark.usefixtures("pair")
async def test_who_removed_an_address_has_any_name(tmp_path: Path) -> None:
    program = tmp_path / "\x1b[2Jevil\n"
    program.symlink_to(sys.executable)
    told = asyncio.Event()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with addresses() as made, contextlib.ExitStack() as stack:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        made.on_change(told.set)
        start = partial(subprocess.Popen, (program, "-c", REMOVES), env=environment)
        await _told_after(told, lambda: stack.callback(stack.enter_context(start()).kill))
        named = await trouble(made, service(V4))
    assert "(removed by \N{REPLACEMENT CHARACTER}[2Jevil (process " in named


async def test_a_card_that_was_down_has_lost_its_addresses_of_ipv6(pair: Pair) -> None:
    told = asyncio.Event()
    with addresses() as made:
        await made.add(service(V4, V6), timeout_s=PATIENCE_S)
        made.on_change(told.set)
        await _told_after(told, lambda: pair.here.ip("link", "set", "pub0", "down"))
        assert await present(made, service(V4, V6)) is None
        assert "fd77:1::50 is on no card" in await trouble(made, service(V4, V6))
        pair.here.ip("link", "set", "pub0", "up")
        assert isinstance(await made.add(service(V4, V6), timeout_s=PATIENCE_S), Done)
        assert await present(made, service(V4, V6)) is True


async def test_a_daemon_that_starts_and_a_card_that_is_new_have_each_card_answer_for_itself(
    pair: Pair,
) -> None:
    """The kernel forgets it at a boot, and with a card."""
    told = asyncio.Event()
    with addresses() as made:
        assert _own_only("pub0") == ("1", "2")
        made.on_change(told.set)
        await _told_after(told, lambda: cable(pair.here, "pub1", pair.there, "pub1"))
        assert _own_only("pub1") == ("1", "2")


def _own_only(card: str) -> tuple[str, ...]:
    folder = SETTINGS / card
    return tuple((folder / name).read_text().strip() for name in ("arp_ignore", "arp_announce"))


async def test_an_address_on_the_wrong_card_is_neither_here_nor_gone(pair: Pair) -> None:
    with addresses() as made:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        pair.here.ip("address", "del", "10.77.1.50/32", "dev", "pub0")
        pair.here.ip("address", "add", "10.77.1.50/24", "dev", "lo")
        assert await present(made, service(V4)) is None
        assert "another card" in await trouble(made, service(V4))
        pair.here.ip("address", "del", "10.77.1.1/24", "dev", "pub0")
        assert await present(made, service(V4)) is True, "nobody knows a better one"


@pytest.mark.usefixtures("pair")
async def test_many_missing_addresses_are_counted() -> None:
    with addresses() as made:
        text = await trouble(made, service(*(f"10.77.1.{n}/24" for n in range(50, 60))))
    assert "10.77.1.52 is on no card, and 7 more" in text
    assert "10.77.1.53" not in text


async def test_a_flood_of_changes_is_told_although_the_kernel_drops_some(pair: Pair) -> None:
    """The buffer of the listener overflows while it does not read."""
    told: list[float] = []
    with addresses() as made:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        made.on_change(lambda: told.append(time.monotonic()))
        wanted = service(*(f"10.77.2.{n}/24" for n in range(1, 255)))
        for _ in range(10):
            netlink.add_addresses([(_index(pair), one.address) for one in wanted])
            netlink.remove_addresses(
                [netlink.Held(_index(pair), one.address.ip.packed, 32) for one in wanted]
            )
        await _until(lambda: bool(told))
        await asyncio.sleep(0.5)
        assert len(told) < 10, "once for a burst"
        flooded_s = time.monotonic()
        pair.here.ip("address", "flush", "dev", "pub0")
        await _until(lambda: told[-1] > flooded_s)  # It goes on listening.


async def _told_after(told: asyncio.Event, deed: Callable[[], object]) -> None:
    told.clear()
    deed()
    async with asyncio.timeout(PATIENCE_S):
        await told.wait()


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def _index(pair: Pair) -> int:
    with pair.here.entered():
        return socket.if_nametoindex("pub0")


async def test_the_neighbour_learns_the_new_card_at_once(pair: Pair) -> None:
    """A neighbour that remembers the dead node's card must not wait for its own time-out."""
    for address in ("10.77.1.50", "fd77:1::50"):
        pair.there.ip(
            *("neighbour", "replace", address, "lladdr", "02:00:00:00:00:99", "dev", "pub0"),
            *("nud", "reachable"),
        )
    mac = pair.here.ip("link", "show", "pub0").split("link/ether ")[1].split()[0]
    with addresses() as made:
        await made.add(service(V4, V6), timeout_s=PATIENCE_S)
        # Its kernel hears it a moment later on a busy host, and not from anybody who asks it.
        await _until(lambda: "02:00:00:00:00:99" not in pair.there.ip("neighbour", "show"))
    for line in pair.there.ip("neighbour", "show").splitlines():
        if line.startswith(("10.77.1.50 ", "fd77:1::50 ")):
            assert mac in line


@pytest.mark.usefixtures("pair")
async def test_a_thousand_addresses_come_and_go() -> None:
    wanted = service(*(f"10.77.{net}.{n}/24" for n in range(10, 210) for net in (1, 2, 3)))
    wanted += service(*(f"fd77:1::{n:x}/64" for n in range(0x100, 0x100 + 400)))
    assert len(wanted) == 1000
    took_s: list[float] = []
    for some in (wanted[::10], wanted):
        with addresses() as made:
            begun_s = time.process_time()  # Not what others take from this machine meanwhile.
            assert isinstance(await made.add(some, timeout_s=PATIENCE_S), Done)
            took_s.append(time.process_time() - begun_s)
            assert await present(made, some) is True
            assert isinstance(await made.remove(some, timeout_s=PATIENCE_S), Done)
            assert await present(made, some) is False
    of_a_hundred_s, of_a_thousand_s = took_s
    assert of_a_thousand_s < 40 * of_a_hundred_s, "ten times as many, not a hundred times the work"


async def test_announcements_are_repeated_until_the_address_goes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pair.there.entered():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        tap.bind(("pub0", 0x0806))
    announced = 0

    def heard() -> int:
        nonlocal announced
        with contextlib.suppress(BlockingIOError):
            while True:
                sender = tap.recv(2048)[28:32]
                announced += sender == socket.inet_aton("10.77.1.50")
        return announced

    made = ServiceAddresses(cluster(), "node1", announce_again_after_s=(0.05, 0.05, LATER_S))
    try:
        await made.add(service(V4), timeout_s=PATIENCE_S)
        await _until(lambda: heard() == 3)
        removing = asyncio.create_task(made.remove(service(V4), timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        await present(made, service(V4))  # It may have been read before the removal.
        await removing
        loop = asyncio.get_running_loop()
        later = partial(lambda time_s: time_s() + LATER_S, loop.time)
        monkeypatch.setattr(loop, "time", later)
        await asyncio.sleep(0.1)
        assert heard() == 3
    finally:
        made.close()
        tap.close()


async def test_the_reference_answers_only_through_its_own_network(pair: Pair) -> None:
    paths = NetworkPaths(cluster(), "node1")
    assert await paths.reference_answers("public", timeout_s=PATIENCE_S)
    assert await paths.reference_answers("six", timeout_s=PATIENCE_S)
    pair.there.ip("address", "flush", "dev", "pub0")
    assert not await paths.reference_answers("public", timeout_s=0.3)
    assert not await paths.reference_answers("six", timeout_s=0.3)
    assert not await paths.reference_answers("unheard-of", timeout_s=0.3)


async def test_a_pulled_cable_is_told_at_once(pair: Pair) -> None:
    told: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
    paths = NetworkPaths(cluster(), "node1")
    assert paths.link_up("public")
    paths.on_link_change(lambda network, up: told.put_nowait((network, up)))
    try:
        pair.there.ip("link", "set", "pub0", "down")
        async with asyncio.timeout(PATIENCE_S):
            assert {await told.get(), await told.get()} == {("public", False), ("six", False)}
        pair.there.ip("link", "set", "pub0", "up")
        async with asyncio.timeout(PATIENCE_S):
            assert ("public", True) in {await told.get(), await told.get()}
        assert paths.link_up("public")
    finally:
        paths.close()


async def test_a_machine_without_the_cards_has_no_link() -> None:
    with new_network() as empty, empty.entered():
        paths = NetworkPaths(cluster(), "node1")
        assert not paths.link_up("public")
        assert not await paths.reference_answers("public", timeout_s=0.1)


@pytest.mark.usefixtures("pair")
async def test_probing_takes_a_tenth_of_a_second() -> None:
    took_s: list[float] = []
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:  # The machine may be busy, but hardly each time.
        with addresses() as made:
            begun_s = time.monotonic()
            await made.add(service(V4, V6), timeout_s=PATIENCE_S)
            took_s.append(time.monotonic() - begun_s)
            await made.remove(service(V4, V6), timeout_s=PATIENCE_S)
        if took_s[-1] < 0.3:
            return
    pytest.fail(f"never in less than 0.3 s: {took_s}")
