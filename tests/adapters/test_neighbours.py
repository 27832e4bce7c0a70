"""A stand-by card must not attract traffic that the live card is to carry."""

from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path

from hapair.adapters.network.neighbours import OWN_ONLY, answer_for_own_only
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange


def network(name: str, *cards: str) -> Network:
    attachments = tuple(
        Attachment(f"node{n}", ip_interface(f"10.0.0.{n}/24"), cards) for n in (1, 2)
    )
    return Network(name, attachments)


def test_cards_of_networks_with_a_standby_answer_only_for_their_own(tmp_path: Path) -> None:
    public, private = network("public", "pub0", "pub1"), network("private", "priv0")
    for card in ("pub0", "priv0"):  # pub1 is missing, as after a change of hardware.
        (tmp_path / card).mkdir()
    cluster = Cluster(
        "shop",
        ("node1", "node2"),
        PortRange(7700, 7799),
        1,
        (public, replace(private, replication=True)),
        ArbitrationKind.OPERATOR,
    )
    answer_for_own_only(cluster, "node1", tmp_path)
    written = {path.name: path.read_text() for path in (tmp_path / "pub0").iterdir()}
    assert written == OWN_ONLY
    assert list((tmp_path / "priv0").iterdir()) == []
