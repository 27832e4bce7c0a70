"""appconf.xml for a service that runs on this node already."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from hapair.config import kinds
from hapair.core.plan.unit_checks import objections
from hapair.migrate import times
from hapair.migrate.drafts import Draft
from hapair.migrate.words import simple_name
from hapair.migrate.xml_text import Tag, document, left_open, opened_in, settled
from hapair.model.cluster import Cluster
from hapair.model.service import SeenMount, SeenPort, SeenProcess, SeenService
from hapair.model.unit import ProgramUnit

START_LEAST_S: Final = 60.0
START_FACTOR: Final = 10.0  # After a crash a start takes longer than the one that was seen.
LIMIT_MOST_S: Final = 3600.0
TCP_MAX: Final = 32
SHOWN_MAX: Final = 12
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound
WEB: Final = "http"
DATABASES: Final = {"postgres": "psql", "mysqld": "mysql", "mariadbd": "mysql"}
ACCEPTED: Final = ("ext4", "xfs")
SHARED_GROUP: Final = ("/", "/usr", "/var", "/home", "/boot", "/var/log")


@dataclass(frozen=True, slots=True)
class Around:
    """What is known besides of the node where the service runs."""

    cluster: Cluster | None = None  # What clconf.xml of this node says, if there is one.
    starters: ProgramUnit | None = None
    name: str = ""


def draft_of_service(seen: SeenService, around: Around) -> Draft:
    """Return the draft, with the reason of each line and what has to be done before."""
    name = around.name or _name_of(seen)
    before = [*_before_program(around), *_before_data(seen)]
    made = (
        f"A draft, made on {seen.node} from {seen.asked} as it runs there. Read each line, and"
        " write what stands behind CHANGE. Nothing was changed on the node."
    )
    head = (
        made,
        *(f"Before clbuildapp: {each}" for each in before),
        *_seen_processes(seen),
    )
    children = (*_groups(seen), *_networks(seen, around), _run(seen), *_limits(seen))
    node = ("preferred", settled(kinds.NODE_NAME, seen.node, "the node that it usually runs on"))
    title = ("name", settled(kinds.SIMPLE_NAME, name, "a name for the application"))
    tag = Tag("application", (title, node), (*children, _monitors(seen)))
    return Draft(f"{name}/appconf.xml", document(tag, "appconf", head), opened_in(tag))


def _name_of(seen: SeenService) -> str:
    last = seen.asked.rpartition(":")[2]
    return simple_name(re.sub(r"\.(service|target)$", "", last).partition("@")[0])


def _before_program(around: Around) -> Iterator[str]:
    unit = around.starters
    if unit is None:
        return
    for what, mend in objections(unit.name, unit, runs_here=True):
        # A comment of XML holds no two dashes.
        plain = re.sub(r"disable --now (\S+)", r"disable \1; systemctl stop \1", mend)
        yield f"{what}. On both nodes: {plain}."
    yield (
        f"{unit.name} runs now: stop it before clrunapp, and before clbuildapp if it holds its file"
        f" systems: systemctl stop {unit.name}."
    )


def _before_data(seen: SeenService) -> Iterator[str]:
    for folder in seen.folders:
        mount = folder.mount
        if mount is None:
            yield f"find out on which file system {folder.path} lies."
        elif mount.drbd:
            yield f"{folder.path} lies on DRBD already ({mount.device}): see moving-in.md."
        elif not mount.volume_group or mount.mount_point == "/":
            yield (
                f"{folder.path} lies on {mount.mount_point} ({mount.device}), on no volume of its"
                f" own. Move it: vgcreate a group of its own over a free disk, lvcreate in it,"
                " mkfs.xfs; stop the program; mount the volume elsewhere,"
                f" cp -a {folder.path}/. there; mount it at {folder.path}, and start the program."
            )
        elif mount.file_system not in ACCEPTED:
            yield f"{mount.mount_point} is {mount.file_system}: hapair takes ext4 and XFS."
    for mount in seen.in_groups:
        if mount.mount_point in SHARED_GROUP:
            yield (
                f"{mount.mount_point} of the system lies in the volume group {mount.volume_group}"
                " too. A group belongs to one application alone: vgsplit, or a new group."
            )


def _seen_processes(seen: SeenService) -> Iterator[str]:
    yield f"Seen: {len(seen.processes)} processes."
    for each in seen.processes[:SHOWN_MAX]:
        # What stands behind the program's path may be a password.
        yield f"{each.pid} {each.name}, account {each.account}: {each.command.partition(' ')[0]}"
    for port in seen.ports:
        yield f"It listens at {port.protocol} {port.address} port {port.port} ({port.program})."


def _groups(seen: SeenService) -> Iterator[Tag]:
    by_group: dict[str, list[str]] = {}
    for folder in seen.folders:
        mount = folder.mount
        usable = mount is not None and not mount.drbd and mount.mount_point != "/"
        group = mount.volume_group if mount is not None and usable else ""
        where = f" ({_place(mount)})" if mount is not None else ""
        by_group.setdefault(group, []).append(f"{folder.path}{where}: {folder.why}.")
    for group, why in by_group.items():
        others = [
            f"{each.mount_point} is mounted from it too, and will be replicated as well."
            for each in seen.in_groups
            if each.volume_group == group and not any(each.mount_point in text for text in why)
        ]
        question = "the volume group that its data is moved to"
        yield Tag(
            "volumegroup",
            (("name", settled(kinds.VOLUME_GROUP, group, question)),),
            why=(*why[:SHOWN_MAX], *others[:SHOWN_MAX]),
        )


def _place(mount: SeenMount) -> str:
    volume = f"{mount.volume_group}/{mount.volume}" if mount.volume_group else mount.device
    return f"{mount.mount_point}, {mount.file_system} on {volume}"


def _networks(seen: SeenService, around: Around) -> Iterator[Tag]:
    """Yield the addresses by network; the node's own ones are no addresses of an application."""
    own = _own_addresses(around.cluster)
    by_network: dict[str, list[Tag]] = {}
    fixed = []
    for each in seen.addresses:
        if each.address in own or (around.cluster is None and each.first):
            fixed.append(each.address)
            continue
        network = _network_of(each.address, around.cluster)
        why = (
            f"{each.why}; it is on {each.card} now: take it away there, and out of the network's"
            " configuration: the cluster adds it."
        )
        by_network.setdefault(network, []).append(Tag("address", text=each.address, why=(why,)))
    for name, tags in by_network.items():
        yield Tag("network", (("name", name),), tuple(tags))
    if by_network or not any(each.protocol in {"tcp", "udp"} for each in seen.ports):
        return
    told = f" Clients use {', '.join(fixed)}, the node's own: it stays." if fixed else ""
    none = (f"No address was seen that could follow the service.{told}",)
    question = left_open("an address that follows the application")
    network = left_open("a network of clconf.xml")
    names = [each.name for each in around.cluster.networks] if around.cluster else []
    attributes = (("name", names[0] if len(names) == 1 else network),)
    yield Tag("network", attributes, (Tag("address", text=question),), why=none)


def _own_addresses(cluster: Cluster | None) -> frozenset[str]:
    if cluster is None:
        return frozenset()
    return frozenset(
        str(interface.ip)
        for network in cluster.networks
        for attachment in network.attachments
        for interface in attachment.addresses
    )


def _network_of(address: str, cluster: Cluster | None) -> str:
    for network in cluster.networks if cluster is not None else ():
        for attachment in network.attachments:
            if any(ip_address(address) in each.network for each in attachment.addresses):
                return network.name
    return left_open(f"the network of clconf.xml that {address} lies in")


def _run(seen: SeenService) -> Tag:
    if seen.unit is not None:
        unit = Tag("unit", (("name", seen.unit.name),))
        return Tag("run", (), (unit,), why=(f"The unit, unchanged (Type={seen.unit.kind}).",))
    why = ("The agent, unchanged. What it needs says: crm ra info, or the agent with meta-data.",)
    parameters = tuple(
        Tag("parameter", (("name", name), ("value", left_open(f"the value of {name}"))))
        for name in seen.required
    )
    return Tag("run", (), (Tag("ocf", (("agent", seen.asked),), parameters),), why=why)


def _limits(seen: SeenService) -> Iterator[Tag]:
    unit = seen.unit
    if unit is None:
        return
    start_s = max(unit.start_limit_s, unit.start_s * START_FACTOR, START_LEAST_S)
    attributes = [("start", times.written(round(start_s), 1, LIMIT_MOST_S))]
    said = f"Its last start took {unit.start_s:.1f} s"
    if unit.start_limit_s:
        said += f"; the unit allows {unit.start_limit_s:g} s"
    if unit.stop_limit_s:
        attributes.append(("stop", times.written(round(unit.stop_limit_s), 1, LIMIT_MOST_S)))
        said += f", and {unit.stop_limit_s:g} s for a stop"
    yield Tag("limits", tuple(attributes), why=(f"{said}. After a crash it takes longer.",))


def _monitors(seen: SeenService) -> Tag:
    found = [_program_monitor(seen), *_database_monitors(seen.processes, seen.ports)]
    taken = {"process", "ocf"}
    for port in [each for each in seen.ports if each.protocol == "tcp"][:TCP_MAX]:
        address = EVERYWHERE.get(port.address, port.address)
        if port.address == "::" and any(
            each.port == port.port and each.address in EVERYWHERE and each != port
            for each in seen.ports
        ):
            continue  # The same server, by IPv4 too.
        name = _apart(f"tcp-{port.port}", taken)
        where = "at all addresses" if port.address in EVERYWHERE else f"at {port.address}"
        attributes = (("name", name), ("address", address), ("port", str(port.port)))
        found.append(Tag("tcp", attributes, why=(f"{port.program} listens {where}.",)))
        if port.http_status:
            found.append(_web(port, address, _apart(f"http-{port.port}", taken)))
    why = ("File systems are always watched. Restarted here up to three times in ten minutes.",)
    return Tag("monitors", (("restarts", "3"), ("period", "10m")), tuple(found), why=why)


def _program_monitor(seen: SeenService) -> Tag:
    if seen.unit is None:
        return Tag("ocf", (), why=("The agent's own monitor.",))
    main = next((each for each in seen.processes if each.pid == seen.unit.main_pid), None)
    title = f"{main.name}, " if main else ""
    return Tag("process", (), why=(f"The unit's main process, {title}whose end is seen at once.",))


def _database_monitors(
    processes: tuple[SeenProcess, ...], ports: tuple[SeenPort, ...]
) -> Iterator[Tag]:
    for name, client in DATABASES.items():
        of_it = [each for each in processes if each.name == name]
        if not of_it:
            continue
        account = of_it[0].account if client == "psql" else "root"
        attributes = [("client", client), ("user", account)]
        listens = [each.port for each in ports if each.program == name and each.protocol == "tcp"]
        if client == "psql" and listens:
            attributes.append(("port", str(listens[0])))
        why = (f"{name}: its client asks SELECT 1 at the local socket as {account}.",)
        yield Tag("sql", tuple(attributes), why=why)
        return


def _web(port: SeenPort, address: str, name: str) -> Tag:
    host = f"[{address}]" if ":" in address else address
    attributes = [("name", name), ("url", f"{WEB}://{host}:{port.port}/")]
    if port.http_status != 200:  # noqa: PLR2004 - what is expected without a word
        attributes.append(("status", str(port.http_status)))
    why = (f"It answered HEAD / with {port.http_status}. A page of its own for health is better.",)
    return Tag(WEB, tuple(attributes), why=why)


def _apart(name: str, taken: set[str]) -> str:
    number, apart = 1, name
    while apart in taken:
        number += 1
        apart = f"{name}-{number}"
    taken.add(apart)
    return apart
