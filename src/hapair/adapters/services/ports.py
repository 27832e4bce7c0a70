"""Ports that processes listen at, and the addresses at which clients reach them."""

import contextlib
import http.client
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

from hapair.adapters.shared.spaces import PROC
from hapair.model.service import SeenPort, SeenProcess

PORTS_MAX: Final = 64
SOCKETS_MAX: Final = 200_000  # Of one list of the kernel.
ASKED_MAX: Final = 16
ANSWER_S: Final = 1.0
LISTENING: Final = "0A"
ESTABLISHED: Final = "01"
UNCONNECTED: Final = "07"
_FIELDS: Final = 10
_WORD: Final = 8  # Hexadecimal digits of four bytes.
# They speak something else, and a question by HTTP would stand in their logs.
NO_WEB: Final = frozenset(
    {"postgres", "mysqld", "mariadbd", "redis-server", "valkey-server", "memcached", "sshd",
     "master", "smtpd", "dovecot", "imap-login", "pop3-login", "smbd", "nmbd", "named", "slapd",
     "rpcbind", "rpc.mountd", "rpc.statd", "vsftpd", "proftpd", "chronyd"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Socket:
    protocol: str
    address: str
    port: int
    state: str
    inode: str


def ports_of(processes: Iterable[SeenProcess]) -> tuple[tuple[SeenPort, ...], tuple[str, ...]]:
    """Return the ports, and the local addresses of the connections that came in at them."""
    owners: dict[str, str] = {}
    spaces: dict[str, int] = {}
    for each in processes:
        with contextlib.suppress(OSError):
            spaces.setdefault(str((PROC / str(each.pid) / "ns/net").readlink()), each.pid)
        for inode in _sockets_of(each.pid):
            owners.setdefault(inode, each.name)
    ports: dict[tuple[str, str, int], SeenPort] = {}
    reached: dict[str, None] = {}
    for pid in spaces.values():
        every = list(_listed(pid))
        for found in every:
            listens = found.state == (LISTENING if found.protocol == "tcp" else UNCONNECTED)
            if listens and found.inode in owners and found.port:
                key = found.protocol, found.address, found.port
                ports.setdefault(key, SeenPort(*key, owners[found.inode]))
        wanted = {port for protocol, _, port in ports if protocol == "tcp"}
        for found in every:
            # Connections that nobody has accepted yet have no owner.
            if found.state == ESTABLISHED and found.port in wanted:
                reached.setdefault(found.address)
    ordered = sorted(ports.values(), key=lambda each: (each.protocol, each.port, each.address))
    return tuple(ordered[:PORTS_MAX]), tuple(reached)


def asked_for_web(ports: tuple[SeenPort, ...]) -> tuple[SeenPort, ...]:
    """Ask each TCP port once whether it speaks HTTP, but not those of programs that do not."""
    return tuple(
        replace(each, http_status=_status(each))
        if each.protocol == "tcp" and each.program not in NO_WEB and number < ASKED_MAX
        else each
        for number, each in enumerate(ports)
    )


def local_form(address: str) -> str:
    """Return the address at which this machine itself reaches what listens at ``address``."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound
    return own.get(address, address)


def _status(port: SeenPort) -> int:
    """Return the status of its answer; 0 when it does not speak HTTP within ANSWER_S."""
    connection = http.client.HTTPConnection(local_form(port.address), port.port, timeout=ANSWER_S)
    try:
        connection.request("HEAD", "/", headers={"User-Agent": "clnewapp"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError):
        return 0
    finally:
        connection.close()


def _sockets_of(pid: int) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in os.scandir(PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                target = str(Path(entry.path).readlink())
                if target.startswith("socket:["):
                    yield target[8:-1]


def _listed(pid: int) -> Iterator[_Socket]:
    """Yield the sockets of the process's network name space."""
    for protocol, table in (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")):
        listing = PROC / str(pid) / "net" / table
        with contextlib.suppress(OSError), listing.open(encoding="ascii") as lines:
            for number, line in enumerate(lines):
                fields = line.split()
                if 0 < number <= SOCKETS_MAX and len(fields) >= _FIELDS:
                    address, _, port = fields[1].partition(":")
                    where = address_of(address), int(port, 16)
                    yield _Socket(protocol, *where, fields[3], fields[9])


def address_of(digits: str) -> str:
    """Read an address as the kernel lists it: words of four bytes in the machine's order."""
    words = (digits[begin : begin + _WORD] for begin in range(0, len(digits), _WORD))
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    address: IPv4Address | IPv6Address = ip_address(packed)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
