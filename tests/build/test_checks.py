"""One row per way to be wrong. A check that is taken out of the table fails its rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from hapair.adapters.heartbeat import process as heart
from hapair.core.plan.cluster_checks import CHECKS, problems_of, run_checks
from hapair.core.plan.situation import Situation
from hapair.core.plan.storage_checks import rejects_drbd
from hapair.model.cluster import Cluster, PortRange
from hapair.model.node_facts import (
    BusyPort,
    Card,
    Drbd,
    Kernel,
    Link,
)
from tests.build.arbitration_rows import (
    ARBITRATION_ROWS,
    FINE_CLUSTERS,
    IN_THE_OPEN,
    INSTALLED,
    held_by,
    readable,
    secret,
)
from tests.build.hurts import (
    Row,
    both,
    card,
    crossover,
    drbd,
    fact,
    groups,
    lvm,
    moved,
    without_card,
    without_tool,
)
from tests.build.machine_rows import MACHINE_ROWS
from tests.build.material import (
    CLUSTER,
    EMPTY,
    WITH_ORDERS,
    formed,
    group,
    healthy,
    logins,
    situation,
    unhurt,
)
from tests.build.network_rows import NETWORK_ROWS
from tests.build.storage_rows import STORAGE_ROWS

ROWS: Final = MACHINE_ROWS | STORAGE_ROWS | NETWORK_ROWS | ARBITRATION_ROWS


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_wrong_is_said_with_its_place_and_its_mend(row: Row) -> None:
    problems = problems_of(run_checks(row.situation()))
    found = [each for each in problems if row.words in each.what and row.mend in each.mend]
    assert [(each.where, each.warning) for each in found[:1]] == [(row.where, row.warning)], (
        problems
    )


FINE: Final[dict[str, Callable[[], Situation]]] = {
    "two healthy nodes": situation,
    "a built cluster": lambda: situation(built=WITH_ORDERS),
    "no module is said once": lambda: situation(drbd(protocols=()), unhurt),
    "the running kernel is no other kernel": lambda: situation(
        fact(kernels=(Kernel("6.1.0-37-amd64", has_drbd=False),))
    ),
    "crossover cards need not report": lambda: situation(
        both(card("priv0", reports_link=False), card("priv0", link=Link.DOWN)),
        cluster=crossover("private"),
    ),
    "our own sockets": lambda: situation(
        fact(
            busy_ports=(
                BusyPort("tcp", 7700, "hapaird"),
                BusyPort("udp", 7700, heart.NAME.decode()),
                BusyPort("tcp", 7701),
            )
        ),
        built=EMPTY,
    ),
    "ports that are not needed": lambda: situation(
        fact(busy_ports=(BusyPort("tcp", 7717, "nginx"), BusyPort("udp", 7701, "nginx")))
    ),
    "reserved ports": lambda: situation(
        fact(ephemeral_first=1024, reserved_ports="5000,7700-7799")
    ),
    "clocks within the bound": lambda: situation(unhurt, fact(wall_ms=9_000)),
    "a live stand-by card": lambda: situation(
        both(moved("10.77.1.1/24", "pub1"), formed), cluster=CLUSTER
    ),
    "a filter of the administrator": lambda: situation(
        lvm(global_filter=("r|/dev/drbd.*|", "a|.*|"))
    ),
    "a filter that a devices file makes void": lambda: situation(
        lvm(global_filter=("a|.*|",), devices=("/dev/vdb",))
    ),
    "groups of other machines that nobody uses": lambda: situation(
        groups(
            group("vg_orders", "node1"),
            group("vg_theirs", "node1", system_id="old", lock_type="dlm", exported=True),
        ),
        built=WITH_ORDERS,
    ),
    "a group that is this machine's own": lambda: situation(
        lvm(system_id="a", groups=(group("vg_orders", "node1", system_id="a", lock_type="none"),)),
        built=WITH_ORDERS,
    ),
    "volume lists that have ours": lambda: situation(
        lvm(volume_list=("vg_root", "vg_orders"), read_only_volume_list=("vg_root",)),
        lvm(volume_list=("vg_orders/data0", "vg_orders/data0_meta")),
        built=WITH_ORDERS,
    ),
    "a volume list with tags": lambda: situation(lvm(volume_list=("@*",)), built=WITH_ORDERS),
    "a common section that only tunes": lambda: situation(drbd(common_disk=("al-extents",))),
}


@pytest.mark.parametrize("make", FINE.values(), ids=FINE)
def test_what_is_right_is_not_called_an_error(make: Callable[[], Situation]) -> None:
    assert not [each for each in problems_of(run_checks(make())) if not each.warning]


def test_two_healthy_nodes_get_no_warning_either() -> None:
    assert problems_of(run_checks(situation())) == ()


@pytest.mark.parametrize("cluster", FINE_CLUSTERS.values(), ids=FINE_CLUSTERS)
def test_arbitration_that_is_right_is_not_warned_about(cluster: Cluster) -> None:
    both_installed = secret(exists=True, private=True)
    assert problems_of(run_checks(situation(both_installed, both_installed, cluster=cluster))) == ()


def test_our_own_daemon_may_hold_the_watchdog() -> None:
    held = held_by("hapaird")
    assert problems_of(run_checks(situation(held, held))) == ()


def test_a_file_that_clbuild_replaces_is_not_complained_about() -> None:
    """The other node has another clconf.xml; it gets the present one, for root only."""
    (problem,) = problems_of(run_checks(situation(readable, readable, cluster=IN_THE_OPEN)))
    assert problem.where == "node1"


def test_no_problem_shows_a_password() -> None:
    found = problems_of(run_checks(situation(readable, INSTALLED, cluster=IN_THE_OPEN)))
    assert found
    assert not [each for each in found if "geheim" in str(each)]


def test_every_check_is_exercised_by_a_row() -> None:
    """The table of rows and the table of checks cannot drift apart."""
    failing: set[str] = set()
    for row in ROWS.values():
        failing |= {each.title for each in run_checks(row.situation()) if each.problems}
    assert {check.title for check in CHECKS} == failing


def test_everything_is_reported_at_once_and_sorted_by_node() -> None:
    hurt = both(without_tool("drbdmeta"), fact(firewall="ufw"), without_card("priv0"))
    problems = problems_of(run_checks(situation(hurt, hurt)))
    places = [each.where for each in problems]
    assert places == sorted(places)
    assert {"node1", "node2"} == set(places)
    own = [each for each in problems if each.where == "node1"]
    assert [each.warning for each in own] == sorted(each.warning for each in own)


def test_a_failed_check_is_told_from_one_that_warns() -> None:
    warned = run_checks(situation(fact(firewall="ufw")))
    assert [each.title for each in warned if each.problems] == ["firewall"]
    assert not any(each.failed for each in warned)
    assert [each.title for each in run_checks(situation(without_tool("ip"))) if each.failed] == [
        "tools"
    ]


def test_two_ends_of_a_virtual_cable_end_the_search() -> None:
    ends = both(card("pub0", carrier="pub1"), card("pub1", carrier="pub0"))
    assert not problems_of(run_checks(situation(ends)))


@pytest.mark.parametrize(
    ("patterns", "rejected"),
    [
        (("r|^/dev/drbd|",), True),
        (("r|/dev/drbd.*|", "a|.*|"), True),
        (("a|/dev/vd.*|", "r|.*|"), True),
        (("a|.*|",), False),
        (("a|/dev/vd.*|",), False),
        (("a|/dev/drbd5|", "r|.*|"), False),
        (("r|/dev/zd.*|", "r|/dev/rbd.*|", "r|/dev/mapper/pve-.*|"), False),
        (("r|/dev/nbd.*|", "a|.*|"), False),
        (("a|/dev/.*|", "r|.*|"), False),
        (("a|^/dev/sd[a-z]|", "r|/dev/|"), True),
        (("r|^/dev/drbd[0-9]+$|",), True),
        (("r|^/dev/drbd[0-9]+$|", "a|by-res|"), False),
        (("r/^.dev.drbd/", "a/.*/"), True),
        (("r{/dev/(drbd|nbd)}",), True),
        (("r|/dev/drbd(|",), False),
        ((), False),
    ],
)
def test_a_filter_of_lvm_is_read(patterns: tuple[str, ...], *, rejected: bool) -> None:
    assert rejects_drbd(patterns) is rejected


def test_a_card_is_found_by_name() -> None:
    facts = healthy("node1")
    assert facts.card("pub1") == Card("pub1", enabled=True, link=Link.UP, reports_link=True)
    assert facts.card("eth7") is None


def test_ports_beyond_the_devices_are_free_for_others() -> None:
    narrow = replace(CLUSTER, ports=PortRange(7700, 7710), devices=4)
    busy = fact(busy_ports=(BusyPort("tcp", 7705, "nginx"),))
    assert not problems_of(run_checks(situation(busy, cluster=narrow)))


def test_logins_of_healthy_nodes_cover_all_pairs() -> None:
    assert len(logins()) == len(CLUSTER.nodes) * len(CLUSTER.networks)


def test_drbd_facts_without_a_version_mean_no_module() -> None:
    assert not Drbd().version
