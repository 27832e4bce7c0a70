"""In which network an address lies, as far as files tell it."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface
from typing import Final

from hapair.migrate.words import FoundAddress, FoundNetwork

# Where no prefix length is known: subnets of this length are taken for the same one.
LIKELY_PREFIX: Final = {4: 24, 6: 64}


def likely_subnet(address: str, prefix: str = "") -> IPv4Network | IPv6Network | None:
    """Return the subnet of an address; None: it is no address, or has an impossible prefix."""
    plain, _, own = address.partition("/")
    try:
        length = own or prefix or str(LIKELY_PREFIX[ip_address(plain).version])
        return ip_interface(f"{plain}/{length}").network
    except ValueError:
        return None


class Subnets:
    """The networks by the nodes' own addresses, the cards, and the addresses that lie there."""

    def __init__(
        self, networks: tuple[FoundNetwork, ...], addresses: tuple[FoundAddress, ...]
    ) -> None:
        self._names: dict[IPv4Network | IPv6Network, str] = {}
        for network in networks:
            for _, own in network.addresses:
                self._add(own, "", network.name)
        bare = {card: e.name for e in networks if not e.addresses for _, card in e.cards}
        for each in addresses:
            if name := self.name_of(each.address, each.prefix) or bare.get(each.card, ""):
                self._add(each.address, each.prefix, name)

    def _add(self, address: str, prefix: str, name: str) -> None:
        if (subnet := likely_subnet(address, prefix)) is not None:
            self._names.setdefault(subnet, name)

    def name_of(self, address: str, prefix: str = "") -> str:
        """Return the name of its network; empty when none is known."""
        lengths = (prefix, *dict.fromkeys(str(each.prefixlen) for each in self._names))
        subnets = (likely_subnet(address, each) for each in lengths)
        return next((self._names[each] for each in subnets if each in self._names), "")
