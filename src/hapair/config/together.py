"""Checks that need clconf.xml and the applications at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from typing import Final

from hapair.config.addresses import reserved_in
from hapair.config.appconf import (
    DEMANDS,
    PREFERRED,
    address_key,
    demand_key,
    network_key,
    volume_group_key,
)
from hapair.config.complaints import did_you_mean, meant
from hapair.config.document import shown
from hapair.model.application import Application, ServiceAddress, Unit
from hapair.model.cluster import Address, Cluster, Network
from hapair.model.problem import Problem

# Per application what Reading.places says; applications without one are named by their file.
Places = Mapping[str, Mapping[str, str]]
ADDRESS: Final = "<address>"


def check_together(
    cluster: Cluster, applications: tuple[Application, ...], *, places: Places | None = None
) -> tuple[Problem, ...]:
    """Return what contradicts between the cluster and its applications, and among these."""
    check = _Together(cluster, places or {})
    for application in applications:
        check.application(application)
    return tuple(check.problems)


def check_built(
    cluster: Cluster, applications: tuple[Application, ...], place: str
) -> tuple[Problem, ...]:
    """Return for which addresses of built applications this cluster has no place.

    ``place`` is where the cluster is written. An address whose network is gone is not told here.
    """
    mend = "keep what was, or change the application's appconf.xml first (clbuildapp)"
    return tuple(
        Problem(place, f"{ADDRESS} of {found.where}", found.what, mend)
        for found in check_together(cluster, applications)
        if found.field == ADDRESS
    )


def check_order(cluster: Cluster, known: tuple[str, ...], place: str) -> tuple[Problem, ...]:
    """Return what is wrong with the names in the order of resyncs.

    ``known`` are the applications that are built or have an appconf.xml; ``place`` is where the
    order is written.
    """
    return tuple(
        Problem(
            place,
            "<resync> order",
            f"there is no application {shown(name)}",
            _mend_name(name, known),
        )
        for name in cluster.resync.order
        if name not in known
    )


def _mend_name(name: str, known: tuple[str, ...]) -> str:
    if question := meant(name, known):
        return question
    return f"write /etc/cluster/{name}/appconf.xml first, or remove the name"


def check_demands(
    application: Application,
    built: tuple[str, ...],
    written: tuple[str, ...],
    places: Mapping[str, str],
) -> tuple[Problem, ...]:
    """Warn of names of others that are not built: until they are, nothing is demanded of them.

    ``written`` are the applications that have an appconf.xml; ``places`` is Reading.places.
    """
    each = (application.after, application.with_, application.apart_from)
    return tuple(
        Problem(
            places.get(demand_key(demand, name), f"{application.name}/appconf.xml"),
            f"<{demand}>",
            f"no application {shown(name)} is built: until it is, this demands nothing",
            _mend_demand(application.name, name, built, written),
            warning=True,
        )
        for demand, names in zip(DEMANDS, each, strict=True)
        for name in names
        if name not in (*built, application.name)
    )


def _mend_demand(me: str, name: str, built: tuple[str, ...], written: tuple[str, ...]) -> str:
    if name in written:
        return f"build it as well: clbuildapp {name}"
    others = tuple(each for each in dict.fromkeys((*built, *written)) if each != me)
    if question := meant(name, others):
        return question
    return f"write its name as in its appconf.xml (known: {', '.join(others) or 'none'})"


def in_subnets(cluster: Cluster, application: Application) -> Application:
    """Return the application with the prefix lengths of its networks' subnets.

    Call it only after check_together() found no error; KeyError or ValueError otherwise.
    """
    addresses = tuple(_in_subnet(cluster, service) for service in application.addresses)
    return replace(application, addresses=addresses)


def _in_subnet(cluster: Cluster, service: ServiceAddress) -> ServiceAddress:
    subnet = cluster.network(service.network).subnet_of(service.address.ip)
    if subnet is None:
        raise ValueError(f"{service.address.ip} is in no subnet of network {service.network}")
    return replace(service, address=ip_interface(f"{service.address.ip}/{subnet.prefixlen}"))


class _Together:
    def __init__(self, cluster: Cluster, places: Places) -> None:
        self.problems: list[Problem] = []
        self._cluster = cluster
        self._places = places
        self._names: set[str] = set()
        self._volume_groups: dict[str, str] = {}
        self._units: dict[str, str] = {}
        self._networks = {network.name: network for network in cluster.networks}
        self._taken: dict[Address, str] = {}  # Address to the words for its owner.
        for network in cluster.networks:
            for attachment in network.attachments:
                for interface in attachment.addresses:
                    self._taken[interface.ip] = f"the address of {attachment.node}"
            if network.reference is not None:
                reference = ip_interface(network.reference).ip
                self._taken[reference] = f'the reference address of network "{network.name}"'

    def _error(
        self, application: Application, key: str, field: str, words: tuple[str, str]
    ) -> None:
        known = self._places.get(application.name, {})
        where = known.get(key, f"{application.name}/appconf.xml")
        self.problems.append(Problem(where, field, *words))

    def application(self, application: Application) -> None:
        nodes = self._cluster.nodes
        if application.name in self._names:
            words = (f"{shown(application.name)} exists already", "choose another name")
            self._error(application, "", "<application> name", words)
        self._names.add(application.name)
        if application.preferred not in nodes:
            what = f"{shown(application.preferred)} is not one of the cluster's nodes"
            words = (what, did_you_mean(application.preferred, nodes))
            self._error(application, PREFERRED, "<application> preferred", words)
        for group in application.volume_groups:
            owner = self._volume_groups.setdefault(group, application.name)
            if owner != application.name:
                what = f'{shown(group)} belongs to application "{owner}"'
                words = (what, "give each application volume groups of its own")
                self._error(application, volume_group_key(group), "<volumegroup> name", words)
        if isinstance(application.program, Unit):
            name = application.program.name
            owner = self._units.setdefault(name, application.name)
            if owner != application.name:
                what = f'{shown(name)} is the program of application "{owner}"'
                words = (what, "give each application a unit of its own")
                self._error(application, "", "<unit> name", words)
        self._check_networks(application)
        self._check_addresses(application)

    def _check_networks(self, application: Application) -> None:
        for name in dict.fromkeys(service.network for service in application.addresses):
            network = self._networks.get(name)
            if network is None:
                what = f"clconf.xml has no network {shown(name)}"
                words = (what, did_you_mean(name, tuple(self._networks)))
                self._error(application, network_key(name), "<network> name", words)
            elif network.crossover:
                known = self._places.get(application.name, {})
                where = known.get(network_key(name), f"{application.name}/appconf.xml")
                what = f"{shown(name)} is a crossover network: only the two nodes reach it"
                mend = "put addresses for clients on another network"
                self.problems.append(Problem(where, "<network> name", what, mend, warning=True))

    def _check_addresses(self, application: Application) -> None:
        """Tell once what is wrong with a range: neighbours on one line with the same trouble."""
        runs: list[_Run] = []
        for service in application.addresses:
            words = self._trouble(application, service)
            if words is None:
                continue
            known = self._places.get(application.name, {}).get(address_key(service), "")
            if runs and runs[-1].goes_on(service, known, words):
                runs[-1].last = service.address.ip
            else:
                runs.append(_Run(service, known, words, service.address.ip))
        for run in runs:
            first = run.service.address.ip
            span = str(first) if first == run.last else f"{first}-{run.last}"
            what, mend = run.words
            key = address_key(run.service)
            self._error(application, key, ADDRESS, (f"{span} {what}", mend))

    def _trouble(self, application: Application, service: ServiceAddress) -> tuple[str, str] | None:
        """Say what is wrong with an address, without naming it, and the mend."""
        network = self._networks.get(service.network)
        address = service.address.ip
        if network is None:
            return None
        mine = f'an address of application "{application.name}"'
        owner = self._taken.setdefault(address, mine)
        if owner != mine:
            return (f"is {owner}", "write an address that nobody else has")
        return _outside(address, network)


@dataclass(slots=True)
class _Run:
    """Addresses in a row that have the same trouble."""

    service: ServiceAddress  # The first one.
    line: str
    words: tuple[str, str]
    last: Address

    def goes_on(self, service: ServiceAddress, line: str, words: tuple[str, str]) -> bool:
        follows = int(service.address.ip) == int(self.last) + 1
        return follows and (line, words) == (self.line, self.words)


def _outside(address: Address, network: Network) -> tuple[str, str] | None:
    subnet = network.subnet_of(address)
    if subnet is not None:
        reason = reserved_in(address, subnet)
        return (reason, "write another address") if reason else None
    subnets = " ".join(str(one) for one in network.subnets)
    mend = "write an address of that subnet"
    if address.version not in {one.version for one in network.subnets}:
        mend = f"give both nodes an IPv{address.version} address on that network in clconf.xml"
    return (f'is not in {subnets} of network "{network.name}"', mend)
