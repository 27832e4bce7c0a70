"""A stand-by card must not attract traffic that the live card is to carry."""

import re
import subprocess
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.network.neighbours import OWN_ONLY, answer_for_own_only
from hapair.model.cluster import ArbitrationKind, Attachment, Cluster, Network, PortRange


def network(name: str, *cards: str) -> Network:
    attachments = tuple(
        Attachment(f"node{n}", ip_interface(f"10.0.0.{n}/24"), cards) for n in (1, 2)
    )
    return Network(name, attachments)


CLUSTER: Final = Cluster(
    "shop",
    ("node1", "node2"),
    PortRange(7700, 7799),
    1,
    (
        network("public", "pub0", "pub1"),
        replace(network("private", "priv0"), replication=True),
    ),
    ArbitrationKind.OPERATOR,
)
PRERM: Final = Path(__file__).parents[2] / "packaging/scripts/prerm"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Return what the kernel has for its cards; pub1 is missing, as after a change of hardware."""
    for card in ("pub0", "priv0"):
        new_card(tmp_path / "conf", card)
    return tmp_path / "conf"


def new_card(settings: Path, card: str) -> None:
    (settings / card).mkdir(parents=True)
    for name in OWN_ONLY:
        (settings / card / name).write_text("0\n")


def of_card(settings: Path, card: str) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in (settings / card).iterdir()}


def test_cards_of_networks_with_a_standby_answer_only_for_their_own(settings: Path) -> None:
    answer_for_own_only(CLUSTER, "node1", None, settings)
    assert of_card(settings, "pub0") == OWN_ONLY
    assert of_card(settings, "priv0") == dict.fromkeys(OWN_ONLY, "0")
    assert not (settings / "pub1").exists()


def test_a_removal_of_the_package_puts_back_what_was_before(settings: Path, tmp_path: Path) -> None:
    """The function of the package's script is run on a copy of its note."""
    former = tmp_path / "cards before"
    (settings / "pub0/arp_announce").write_text("1\n")
    answer_for_own_only(CLUSTER, "node1", former, settings)
    (settings / "pub0/arp_ignore").write_text("8\n")  # Somebody else's word is not taken for ours.
    new_card(settings, "pub1")
    answer_for_own_only(CLUSTER, "node1", former, settings)
    assert of_card(settings, "pub0") == of_card(settings, "pub1") == OWN_ONLY

    function = re.search(
        r"^give_cards_back\(\) \{.*?^\}", PRERM.read_text(), re.MULTILINE | re.DOTALL
    )
    assert function is not None
    script = function[0].replace("/run/hapair/cards-before", f'"{former}"')
    for _ in range(2):  # The second one finds nothing to do.
        subprocess.run(("sh", "-e", "-c", f"{script}\ngive_cards_back"), check=True)
    assert of_card(settings, "pub0") == {"arp_ignore": "0", "arp_announce": "1"}
    assert of_card(settings, "pub1") == dict.fromkeys(OWN_ONLY, "0")
    assert not former.exists()
