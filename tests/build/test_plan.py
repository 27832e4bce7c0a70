"""What a build would change, and why it may not."""

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from hapair.config.fingerprint import fingerprint
from hapair.core.plan.cluster import Change, Plan, described, plan
from hapair.core.plan.situation import Situation, identify, scan_request
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    FenceMethod,
    PortRange,
    Resync,
    Timing,
    Watchdog,
    Witness,
    WitnessKind,
)
from hapair.model.node_facts import Configuration, Keys, NodeFacts, TextFile
from tests.build.hurts import both, drbd, lvm
from tests.build.material import (
    ADDRESSES,
    CLUSTER,
    EMPTY,
    ORDERS,
    PRIVATE,
    PUBLIC,
    WITH_ORDERS,
    Hurt,
    built_with,
    complete,
    formed,
    healthy,
    situation,
    unhurt,
    volume,
)


def settled(
    cluster: Cluster = CLUSTER,
    *,
    built: Built = EMPTY,
    hurt: Hurt = unhurt,
    force: bool = False,
) -> Situation:
    """Both nodes complete with ``built``; wanted is ``cluster``; both may be hurt."""
    first, second = both(complete("node1"), hurt), both(complete("node2"), hurt)
    return situation(first, second, cluster=cluster, built=built, force=force)


def side_changed(state: Situation, number: int, **changes: object) -> Situation:
    sides = list(state.sides)
    sides[number] = replace(sides[number], **changes)  # type: ignore[arg-type]
    return replace(state, sides=(sides[0], sides[1]))


def facts_changed(state: Situation, number: int, hurt: Hurt) -> Situation:
    return side_changed(state, number, facts=hurt(state.sides[number].facts))


def keys_changed(**changes: object) -> Hurt:
    def hurt(facts: NodeFacts) -> NodeFacts:
        keys = replace(facts.configuration.keys, **changes)  # type: ignore[arg-type]
        return replace(facts, configuration=replace(facts.configuration, keys=keys))

    return hurt


def said(decided: Plan) -> str:
    return "\n".join(str(problem) for problem in decided.problems)


def lines(changes: tuple[Change, ...]) -> list[str]:
    return [str(change) for change in changes]


# --- What changes --------------------------------------------------------------------------------


def test_an_unchanged_configuration_changes_nothing() -> None:
    decided = plan(settled())
    assert (decided.changes, decided.services, decided.problems) == ((), (), ())
    assert decided.built == EMPTY


def test_the_first_build_makes_everything_on_both_nodes() -> None:
    decided = plan(situation())
    assert not decided.refused
    assert decided.built.generation == 1
    assert decided.cluster_key_from == ""
    assert [work.new_key_pair for work in decided.work] == [True, True]
    assert [work.lvm_filter for work in decided.work] == [True, True]
    text = "\n".join(lines(decided.changes))
    assert "cluster: network public: reference 10.77.1.254" in text
    assert "cluster: network private on node2: 10.77.2.2/24 on priv0" in text
    assert "node2: clconf.xml: as on node1" in text
    assert "node1: clconf.xml" not in text
    assert "node1: cluster.key: a new one" in text
    assert "hapaird: started" in "\n".join(lines(decided.services))


def test_changes_come_in_the_order_of_the_places() -> None:
    places = [change.where for change in plan(situation()).changes]
    assert list(dict.fromkeys(places)) == ["cluster", "node1", "node2"]


def test_a_change_is_the_next_generation_and_keeps_the_applications() -> None:
    decided = plan(settled(replace(CLUSTER, timing=Timing(4.0, 0.8)), built=WITH_ORDERS))
    assert decided.built.generation == WITH_ORDERS.generation + 1
    assert decided.built.applications == WITH_ORDERS.applications
    assert "cluster: detection: 2 s -> 4 s" in lines(decided.changes)
    assert not decided.refused


def test_a_network_that_goes_is_shown_as_gone() -> None:
    decided = plan(settled(replace(CLUSTER, networks=(replace(PRIVATE, name="private"),))))
    assert "cluster: network public: no longer reference 10.77.1.254" in lines(decided.changes)


def test_traits_of_networks_are_described() -> None:
    plain = replace(PUBLIC, reference=None)
    cluster = replace(CLUSTER, networks=(plain, replace(PRIVATE, crossover=True)))
    text = described(replace(EMPTY, cluster=cluster))
    assert text["network public"] == "clients"
    assert text["network private"] == "replication, crossover"
    assert "pub1 (each answers ARP for its own addresses only)" in text["network public on node1"]


def test_a_bare_node_gets_what_the_other_one_has() -> None:
    """A replaced machine: the survivor's cluster.key, configuration and applications are kept."""
    state = settled(built=WITH_ORDERS)
    appconf = TextFile("orders", "<application/>")
    state = facts_changed(
        state,
        0,
        lambda facts: replace(
            facts, configuration=replace(facts.configuration, applications=(appconf,))
        ),
    )
    state = side_changed(state, 1, facts=healthy("node2"), built=None, fingerprint="")
    decided = plan(state)
    assert not decided.refused
    assert decided.built == WITH_ORDERS
    assert decided.cluster_key_from == "node1"
    assert [work.new_key_pair for work in decided.work] == [False, True]
    assert decided.work[1].applications == (appconf,)
    assert decided.work[0].applications == ()
    assert lines(decided.changes) == [
        "node1: certificate of the peer: another one -> the peer's present one",
        "node2: clconf.xml: as on node1",
        "node2: built.json: generation 3",
        "node2: orders/appconf.xml: as on the peer",
        "node2: node.key and node.crt: a new pair",
        "node2: /etc/lvm/lvmlocal.conf: LVM leaves /dev/drbd* alone",
        "node2: cluster.key: as on node1",
        "node2: certificate of the peer: the peer's present one",
    ]


def test_a_bare_node_may_run_the_build_itself() -> None:
    state = side_changed(settled(), 0, facts=healthy("node1"), built=None)
    decided = plan(state)
    assert not decided.refused
    assert decided.cluster_key_from == "node2"


def test_a_key_that_others_could_read_is_replaced() -> None:
    decided = plan(facts_changed(settled(), 0, keys_changed(private=False)))
    assert decided.cluster_key_from == "node2"
    assert [work.new_key_pair for work in decided.work] == [True, False]


def test_different_cluster_keys_become_one() -> None:
    decided = plan(facts_changed(settled(), 1, keys_changed(cluster_key_digest="other")))
    assert lines(decided.changes) == ["node2: cluster.key: another one -> as on node1"]


def test_a_key_that_does_not_fit_its_certificate_is_replaced() -> None:
    decided = plan(facts_changed(settled(), 1, keys_changed(pair_matches=False)))
    assert [work.new_key_pair for work in decided.work] == [False, True]


def test_a_filter_of_the_administrator_is_left_alone() -> None:
    def filtering(facts: NodeFacts) -> NodeFacts:
        return replace(facts, lvm=replace(facts.lvm, global_filter=("a|.*|",)))

    assert not any(work.lvm_filter for work in plan(settled(hurt=filtering)).work)


def test_where_lvm_would_ignore_a_filter_none_is_written() -> None:
    """FAIL: each command of LVM warns of our line for ever, and clbuild is never done."""
    listing = lvm(global_filter=(), devices=("/dev/vdb",))
    assert not any(work.lvm_filter for work in plan(settled(hurt=listing)).work)


def test_only_services_may_be_missing() -> None:
    def stopped(facts: NodeFacts) -> NodeFacts:
        daemon = replace(facts.daemon, running=False, enabled=False)
        return replace(facts, daemon=daemon)

    decided = plan(settled(hurt=stopped))
    assert decided.changes == ()
    assert lines(decided.services)[:2] == [
        "node1: services: enabled, so that they start at boot",
        "node1: hapaird: started",
    ]


# --- Devices -------------------------------------------------------------------------------------


def test_minors_of_others_are_left_out() -> None:
    decided = plan(situation(drbd(minors=(0, 1)), drbd(minors=(5, 40))))
    assert decided.built.minors_first == 6
    assert not decided.refused


def test_minors_that_are_in_use_stay() -> None:
    decided = plan(settled(built=WITH_ORDERS, hurt=drbd(minors=(2,))))
    assert decided.built.minors_first == 0
    assert "/dev/drbd2" in said(decided)
    assert decided.refused


def test_too_few_devices_are_refused_also_while_halted() -> None:
    built = built_with(BuiltApplication(ORDERS, (volume(0), volume(3)), "a"))
    decided = plan(settled(replace(CLUSTER, devices=3), built=built))
    assert 'write devices="4" or more' in said(decided)
    assert decided.refused


def test_fewer_devices_are_fine_when_enough_remain() -> None:
    decided = plan(settled(replace(CLUSTER, devices=1), built=WITH_ORDERS, hurt=formed, force=True))
    assert not decided.refused


def test_more_devices_than_drbd_has() -> None:
    cluster = replace(CLUSTER, devices=(1 << 20) - 2, ports=PortRange(1, 65535))
    assert "DRBD has no room" in said(plan(situation(drbd(minors=(5,)), cluster=cluster)))


def test_devices_move_with_the_ports_of_the_cluster() -> None:
    decided = plan(settled(replace(CLUSTER, ports=PortRange(7800, 7899)), built=WITH_ORDERS))
    assert not decided.refused
    (orders,) = decided.built.applications
    assert [each.port for each in orders.volumes] == [7801]


# --- A formed cluster ----------------------------------------------------------------------------

FASTER = replace(CLUSTER, timing=Timing(1.0, 0.2))


def test_a_formed_cluster_is_changed_only_by_force() -> None:
    refused = plan(settled(FASTER, hurt=formed))
    assert refused.refused
    assert "clbuild --force" in said(refused)
    assert not plan(settled(FASTER, hurt=formed, force=True)).refused


def test_an_unchanged_formed_cluster_needs_no_force() -> None:
    assert plan(settled(hurt=formed)).problems == ()


def test_one_formed_node_is_enough() -> None:
    state = facts_changed(settled(FASTER), 1, formed)
    assert plan(state).refused


def test_data_that_is_up_means_formed_when_no_daemon_answers() -> None:
    def orphaned(facts: NodeFacts) -> NodeFacts:
        daemon = replace(facts.daemon, standing="", running=False)
        return replace(facts, daemon=daemon, drbd=replace(facts.drbd, ours_up=True))

    assert "clbuild --force" in said(plan(settled(FASTER, hurt=orphaned)))


def moved_private(last: int) -> Cluster:
    attachments = tuple(
        Attachment(node, ip_interface(f"10.77.3.{number + last}/24"), ("priv0",))
        for number, node in enumerate(CLUSTER.nodes, start=1)
    )
    return replace(CLUSTER, networks=(PUBLIC, replace(PRIVATE, attachments=attachments)))


SWAPPED = replace(
    CLUSTER,
    networks=(replace(PUBLIC, replication=True), replace(PRIVATE, replication=False)),
)


@pytest.mark.parametrize(
    ("cluster", "what"),
    [
        (replace(CLUSTER, name="other"), "name"),
        (replace(CLUSTER, ports=PortRange(7800, 7899)), "first port"),
        (moved_private(0), "replication network"),
        (SWAPPED, "replication network"),
    ],
    ids=["name", "ports", "address", "network"],
)
def test_what_cannot_change_while_formed_is_refused_even_by_force(
    cluster: Cluster, what: str
) -> None:
    decided = plan(settled(cluster, hurt=formed, force=True))
    assert [problem.field for problem in decided.problems] == [what]
    assert "clhalt, then clbuild, then clform" in said(decided)
    assert not plan(settled(cluster)).refused


def test_nodes_cannot_be_renamed_while_formed() -> None:
    names = ("node1", "node9")
    networks = tuple(
        replace(
            network,
            attachments=(network.attachments[0], replace(network.attachments[1], node="node9")),
        )
        for network in CLUSTER.networks
    )
    cluster = replace(CLUSTER, nodes=names, networks=networks)
    state = settled(hurt=formed, force=True)
    second = replace(state.sides[1], node="node9")
    state = replace(state, cluster=cluster, sides=(state.sides[0], second), fingerprint="new")
    assert "it cannot change from node1, node2 to node1, node9" in said(plan(state))


def test_more_ports_at_the_end_may_come_while_formed() -> None:
    cluster = replace(CLUSTER, ports=PortRange(7700, 7850))
    assert not plan(settled(cluster, hurt=formed, force=True)).refused


def test_a_formed_cluster_that_nobody_built_has_nothing_to_compare() -> None:
    """After a loss of /etc/cluster on both nodes; force is asked for, nothing else."""
    decided = plan(situation(formed, formed))
    assert [problem.field for problem in decided.problems] == ["formed cluster"]


# --- Applications --------------------------------------------------------------------------------


def test_an_application_keeps_its_network() -> None:
    decided = plan(
        settled(replace(CLUSTER, networks=(replace(PRIVATE, name="private"),)), built=WITH_ORDERS)
    )
    assert "application orders has addresses on it" in said(decided)


def test_an_application_keeps_its_preferred_node() -> None:
    lost = replace(ORDERS, preferred="node7")
    decided = plan(settled(built=built_with(BuiltApplication(lost, (), "a"))))
    assert "application orders prefers node7" in said(decided)


# --- Two nodes that do not agree -----------------------------------------------------------------


def test_a_newer_configuration_of_the_peer_is_not_overwritten() -> None:
    newer = replace(EMPTY, generation=7, cluster=FASTER, fingerprint=fingerprint(FASTER))
    state = side_changed(settled(), 1, built=newer, fingerprint=newer.fingerprint)
    decided = plan(state)
    assert "node2 has committed a newer configuration (generation 7, here 3)" in said(decided)
    assert "run clbuild on node2" in said(decided)


def test_a_newer_configuration_of_the_peer_is_taken_over_when_it_is_wanted_here() -> None:
    newer = replace(WITH_ORDERS, generation=7)
    decided = plan(side_changed(settled(), 1, built=newer))
    assert not decided.refused
    assert decided.built == newer
    assert lines(decided.changes) == ["node1: built.json: generation 3 -> generation 7"]


def test_two_builds_of_one_number_need_a_decision() -> None:
    other = replace(EMPTY, cluster=FASTER, fingerprint=fingerprint(FASTER))
    state = side_changed(settled(), 1, built=other, fingerprint=other.fingerprint)
    refused = plan(state)
    assert "generation 3 was built differently" in said(refused)
    by_force = plan(replace(state, force=True))
    assert not [each for each in by_force.problems if each.field == "built.json"]
    assert by_force.built.generation == 4


def test_an_edit_on_the_peer_is_not_overwritten() -> None:
    decided = plan(side_changed(settled(), 1, fingerprint="edited"))
    assert "node2: error: clconf.xml: it was edited there too" in said(decided)


def test_the_same_edit_on_both_nodes_is_fine() -> None:
    state = settled(FASTER)
    state = side_changed(state, 1, fingerprint=state.fingerprint)
    assert not plan(state).refused


def test_another_clconf_on_the_peer_of_a_first_build_is_not_overwritten() -> None:
    assert plan(side_changed(situation(), 1, fingerprint="other")).refused


def test_a_damaged_record_is_replaced_by_the_peers() -> None:
    decided = plan(side_changed(settled(), 0, built=None, damage="no JSON"))
    assert [problem.warning for problem in decided.problems] == [True]
    assert decided.built == EMPTY


def test_a_damaged_record_without_another_one_is_not_forgotten() -> None:
    state = side_changed(settled(), 0, built=None, damage="no JSON")
    decided = plan(side_changed(state, 1, built=None, damage="no JSON"))
    assert decided.refused
    assert "clrestore --list" in said(decided)


def test_a_node_where_another_build_runs_is_left_alone() -> None:
    decided = plan(facts_changed(settled(), 1, lambda facts: replace(facts, building=True)))
    assert "another clbuild or clrestore works on this node" in said(decided)


# --- Who and what --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hostname", "addresses", "me"),
    [
        ("node2", (), "node2"),
        ("web7", ("192.0.2.1", "10.77.2.1"), "node1"),
        ("web7", ("192.0.2.1",), None),
        ("web7", ("10.77.2.1", "10.77.2.2"), None),
    ],
)
def test_a_machine_knows_which_node_it_is(
    hostname: str, addresses: tuple[str, ...], me: str | None
) -> None:
    assert identify(CLUSTER, hostname, addresses) == me


def test_a_scan_asks_for_all_addresses_of_both_nodes() -> None:
    request = scan_request(CLUSTER)
    assert set(request.login_addresses) == set(ADDRESSES)
    assert (request.port_first, request.port_last) == (7700, 7799)


def test_keys_are_asked_for_by_digest_only() -> None:
    """The type of the facts has no place for a secret."""
    assert Configuration().keys == Keys()
    assert not any("node_key" in name for name in Keys.__slots__)


# --- Arbitration ---------------------------------------------------------------------------------

WITNESSED = replace(
    CLUSTER,
    arbitration=ArbitrationKind.WITNESS,
    witnesses=(
        Witness(WitnessKind.CLWITNESS, "w:7790", pin="0123456789" * 6 + "abcd"),
        Witness(WitnessKind.FILE, "/mnt/witness"),
    ),
    fence_methods=(
        FenceMethod("node2", "fence_x", 30.0, (("ip", "10.0.0.5"), ("passwd", "geheim"))),
        FenceMethod("node2", "fence_y"),
    ),
    watchdog=Watchdog("/dev/watchdog1", 5.0),
    resync=Resync(snapshot=False, rate_bytes=1024**2),
)


def test_who_is_asked_is_described_without_secrets() -> None:
    lines = described(replace(EMPTY, cluster=WITNESSED))
    assert lines["window"] == "0.8 s"
    assert lines["witness 1"] == "clwitness at w:7790, 1 s, pin 01234567..."
    assert lines["witness 2"] == "file at /mnt/witness, 1 s"
    assert lines["fencing of node2, method 1"] == "fence_x (ip, passwd), 30 s"
    assert lines["fencing of node2, method 2"] == "fence_y (no parameters), 60 s"
    assert lines["watchdog"] == "/dev/watchdog1, 5 s"
    assert lines["resync"] == "without a snapshot, at most 1024 KiB each second"
    assert "geheim" not in str(lines)


def test_what_is_not_configured_has_no_line() -> None:
    plain = described(replace(EMPTY, cluster=replace(CLUSTER, watchdog=None)))
    assert not {"window", "watchdog", "resync"} & set(plain)
    fenced = replace(CLUSTER, arbitration=ArbitrationKind.FENCING, resync=Resync(snapshot=False))
    lines = described(replace(EMPTY, cluster=fenced))
    assert lines["resync"] == "without a snapshot, no limit"
    both = described(replace(EMPTY, cluster=replace(fenced, resync=Resync(rate_bytes=2**20))))
    assert both["resync"] == "with a snapshot, at most 1024 KiB each second"


def test_both_nodes_are_scanned_for_what_arbitration_needs() -> None:
    method = FenceMethod("node1", "fence_x", parameters=(("passwd", "file:/etc/secret"),))
    request = scan_request(replace(WITNESSED, fence_methods=(method, *WITNESSED.fence_methods)))
    assert request.fence_agents == ("fence_x", "fence_y")
    assert request.watchdog == "/dev/watchdog1"
    assert request.secret_files == ("/etc/secret",)
    assert scan_request(replace(CLUSTER, watchdog=None)).watchdog == ""
