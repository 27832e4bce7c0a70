"""Small clusters for the tests of adapters."""

from ipaddress import ip_interface

from hapair.model.application import ServiceAddress
from hapair.model.cluster import (
    ArbitrationKind,
    Attachment,
    Cluster,
    Network,
    PortRange,
)
from hapair.model.presence import Presence
from hapair.ports.network import Addresses


def cluster(*, reference: str | None = "10.77.1.2") -> Cluster:
    """Two nodes; network public on card pub0, network six (IPv6) on the same card."""
    return Cluster(
        name="shop",
        nodes=("node1", "node2"),
        ports=PortRange(7700, 7799),
        devices=16,
        networks=(
            Network(
                "public",
                (
                    Attachment("node1", ip_interface("10.77.1.1/24"), ("pub0", "pub1")),
                    Attachment("node2", ip_interface("10.77.1.2/24"), ("pub0", "pub1")),
                ),
                reference=reference,
                replication=True,
            ),
            Network(
                "six",
                (
                    Attachment("node1", ip_interface("fd77:1::1/64"), ("pub0", "pub1")),
                    Attachment("node2", ip_interface("fd77:1::2/64"), ("pub0", "pub1")),
                ),
                reference="fd77:1::2",
            ),
        ),
        arbitration=ArbitrationKind.OPERATOR,
    )


async def presence(made: Addresses, wanted: tuple[ServiceAddress, ...]) -> Presence:
    (found,) = await made.present_each((wanted,))
    return found


async def present(made: Addresses, wanted: tuple[ServiceAddress, ...]) -> bool | None:
    return (await presence(made, wanted)).up


async def trouble(made: Addresses, wanted: tuple[ServiceAddress, ...]) -> str:
    return (await presence(made, wanted)).trouble


def service(*texts: str) -> tuple[ServiceAddress, ...]:
    addresses = (ip_interface(text) for text in texts)
    return tuple(ServiceAddress("public" if a.version == 4 else "six", a) for a in addresses)
