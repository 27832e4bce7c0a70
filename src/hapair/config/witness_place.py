"""Where a witness is, as an administrator writes it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Final

from hapair.config import kinds
from hapair.config.document import collapsed, shown
from hapair.config.kinds import Wrong
from hapair.model.cluster import WitnessKind

PORT_MAX: Final = 65535
LENGTH_MAX: Final = 1000
# Folders of one machine: nothing that both nodes share lies there.
OWN_FOLDERS: Final = (
    "/etc", "/var/lib/hapair", "/tmp", "/var/tmp", "/run", "/dev", "/proc", "/sys",  # noqa: S108
)  # fmt: skip
# As /etc/hosts of the usual systems names the machine itself.
OWN_NAMES: Final = frozenset(
    {"localhost", "localhost4", "localhost6", "localhost.localdomain", "localhost4.localdomain4",
     "localhost6.localdomain6", "ip6-localhost", "ip6-loopback"}
)  # fmt: skip
BROADCAST: Final = IPv4Address("255.255.255.255")
IPV6: Final = 6
# By its last part: resolvers read 0x7f000001 and 127.1 as addresses too.
_LOOKS_LIKE_A_NUMBER: Final = re.compile(r"(^|\.)([0-9]+|0[xX][0-9A-Fa-f]*)$", re.ASCII)
_HOST: Final = r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?)"
_HOST_AND_PORT: Final = re.compile(rf"{_HOST}:(?P<port>[0-9]{{1,5}})", re.ASCII)
_URL: Final = re.compile(rf"(?P<scheme>https?)://{_HOST}(:(?P<port>[0-9]{{1,5}}))?/?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    text: str  # As the cluster keeps it.
    ends: tuple[str, ...]  # What answers; two places that share one are the same witness.
    hosts: tuple[str, ...] = ()  # Names in lower case, or addresses in their usual form.
    plain: tuple[str, ...] = ()  # The hosts that are asked without TLS.


def place_of(kind: WitnessKind, written: str) -> Place | Wrong:
    """Read the attribute ``at`` of a witness of this kind."""
    at = collapsed(written)
    if not at:
        return Wrong("it is empty", _MENDS[kind])
    if len(at) > LENGTH_MAX:
        return Wrong(f"it is longer than {LENGTH_MAX} characters", _MENDS[kind])
    if "@" in at:
        # The text before the "@" may be a password: it is not shown.
        return Wrong('it holds a "@", as a user\'s name would', "write it without a user's name")
    return _READERS[kind](at)


def is_loopback(host: str) -> bool:
    """Tell whether each machine means itself by this host, in its usual form."""
    if host in OWN_NAMES or host.endswith(".localhost"):  # RFC 6761
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified  # The kernel connects both to itself.


def _clwitness(at: str) -> Place | Wrong:
    found = _HOST_AND_PORT.fullmatch(at)
    host = _host(found["host"]) if found else None
    if found is None or host is None or not _is_port(found["port"]):
        return Wrong(f"{shown(at)} is no host:port", _MENDS[WitnessKind.CLWITNESS])
    return Place(at, (f"{host} {int(found['port'])}",), (host,))


def _etcd(at: str) -> Place | Wrong:
    ends, hosts, plain = [], [], []
    for url in at.split(" "):
        found = _URL.fullmatch(url)
        host = _host(found["host"]) if found else None
        if found is None or host is None or not _is_port(found["port"] or "1"):
            return Wrong(f"{shown(url)} is no URL of etcd", _MENDS[WitnessKind.ETCD])
        ends.append(f"{host} {found['port'] or found['scheme']}")
        hosts.append(host)
        if found["scheme"] == "http":
            plain.append(host)
    return Place(at, tuple(ends), tuple(hosts), tuple(plain))


def _file(at: str) -> Place | Wrong:
    path = kinds.absolute_path().take(at)
    if isinstance(path, Wrong):
        return path
    for folder in OWN_FOLDERS:
        if f"{path}/".startswith(f"{folder}/"):
            what = f"{shown(path)} lies in {folder}, which each node has for itself"
            return Wrong(what, _MENDS[WitnessKind.FILE])
    return Place(path, (path,))


def _host(written: str) -> str | None:
    """Return a host in its usual form; None when it is an impossible address."""
    bare = written.strip("[]")
    if written == bare and not _LOOKS_LIKE_A_NUMBER.search(bare):
        return None if ".." in bare else bare.lower()
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    # An IPv6 address must be in brackets, and nothing else may be.
    if (":" in bare) != (written != bare):
        return None
    if address.version == IPV6:
        address = address.ipv4_mapped or address
    # No single machine answers at an address of many.
    return None if address.is_multicast or address == BROADCAST else str(address)


def _is_port(text: str) -> bool:
    return 0 < int(text) <= PORT_MAX


_READERS: Final[Mapping[WitnessKind, Callable[[str], Place | Wrong]]] = {
    WitnessKind.CLWITNESS: _clwitness,
    WitnessKind.ETCD: _etcd,
    WitnessKind.FILE: _file,
}
_MENDS: Final = {
    WitnessKind.CLWITNESS: 'write it like "witness.example.net:7790", IPv6 like "[fd77::9]:7790"',
    WitnessKind.ETCD: 'write it like "https://etcd1.example.net:2379 https://etcd2.example.net:2379"',
    WitnessKind.FILE: "write the full path of a folder on a mount that both nodes share",
}
