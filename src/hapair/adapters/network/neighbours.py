"""Let each card answer only for the addresses that it holds itself.

Linux answers ARP requests for any of its addresses on any card. With a stand-by card on the same
segment, neighbours then learn the stand-by card's hardware address, and pulling the cable of a
card that holds no address would cut the service.
"""

import contextlib
from pathlib import Path
from typing import Final

from hapair.model.cluster import Cluster

SETTINGS: Final = Path("/proc/sys/net/ipv4/conf")
# Answer only for an address of the card that was asked; ask with an address of the card that asks.
OWN_ONLY: Final = {"arp_ignore": "1", "arp_announce": "2"}


def answer_for_own_only(
    cluster: Cluster, me: str, former: Path | None, settings: Path = SETTINGS
) -> None:
    """Have it so for all cards of networks with a stand-by card; a missing card is left out.

    The kernel forgets it at a boot and with the card. The file ``former`` gets a line "place value"
    for each setting that was another one: a removal of the package puts these back.
    """
    for network in cluster.networks:
        cards = network.attachment(me).cards
        if len(cards) < 2:  # noqa: PLR2004 - no stand-by card
            continue
        for card in cards:
            for name, value in OWN_ONLY.items():
                with contextlib.suppress(OSError):
                    _set(settings / card / name, value, former)


def _set(setting: Path, value: str, former: Path | None) -> None:
    before = setting.read_text().strip()
    if before == value:
        return
    if former is not None:
        noted = former.read_text() if former.exists() else ""
        if f"{setting} " not in noted:
            former.write_text(f"{noted}{setting} {before}\n")
    setting.write_text(value)
