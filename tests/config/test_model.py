"""What the words of the configuration know about themselves."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from hapair.model.cluster import PortRange
from tests.config.reference import BUILT, CLUSTER, FILES


def test_each_node_has_one_peer() -> None:
    assert CLUSTER.peer_of("node1") == "node2"
    assert CLUSTER.peer_of("node2") == "node1"


def test_what_does_not_exist_is_a_key_error() -> None:
    for ask in (CLUSTER.peer_of, CLUSTER.network, CLUSTER.networks[0].attachment):
        with pytest.raises(KeyError):
            ask("stranger")
    with pytest.raises(KeyError):
        BUILT.application("stranger")


def test_the_first_port_is_the_nodes_own() -> None:
    ports = PortRange(7700, 7799)
    assert ports.peer == 7700
    assert [ports.replication(minor, 100) for minor in (100, 101)] == [7701, 7702]


def test_an_address_belongs_to_one_subnet_of_a_network_or_to_none() -> None:
    public = CLUSTER.network("public")
    assert public.subnet_of(IPv4Address("10.77.1.50")) == IPv4Network("10.77.1.0/24")
    assert public.subnet_of(IPv4Address("10.77.2.50")) is None


def test_a_volume_is_found_by_its_paths() -> None:
    built = BUILT.application("files")
    assert built.application == FILES
    (volume,) = built.volumes
    assert volume.device == "/dev/drbd100"
    assert volume.backing_device == "/dev/vg_files/lv0"
    assert volume.meta_device == "/dev/vg_files/lv0_meta"
