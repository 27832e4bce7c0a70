"""Cards, names, logins, ports."""

import array
import asyncio
import fcntl
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hapair.adapters.scan import parse
from hapair.adapters.scan.holders import holders
from hapair.adapters.scan.software import output, text_of
from hapair.model.node_facts import BusyPort, Card, Resolved, SshTry
from hapair.ports.programs import CommandRunner, Finished, TimedOut

LOGINS_AT_ONCE: Final = 4
LOGIN_TIMEOUT_S: Final = 60.0
CONNECT_TIMEOUT_S: Final = 30  # As in adapters/ssh.py.
SIOCETHTOOL: Final = 0x8946
ETHTOOL_GLINK: Final = 0x0000000A
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
NETWORK_TABLES: Final = (("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6"))


async def cards(run: CommandRunner) -> tuple[Card, ...]:
    listed = await output(run, "ip", "-json", "address", "show")
    names = [card.name for card in parse.cards(listed, ())]
    return parse.cards(listed, [name for name in names if _reports_link(name)])


def _reports_link(card: str) -> bool:
    """Ask the driver for the link as ``ethtool`` does; one that cannot tell refuses."""
    question = array.array("B", struct.pack("II", ETHTOOL_GLINK, 0))
    request = struct.pack("16sP", card.encode(), question.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            fcntl.ioctl(asker, SIOCETHTOOL, request)
        except OSError:
            return False
    return True


async def names(run: CommandRunner, wanted: Iterable[str]) -> tuple[Resolved, ...]:
    async def resolve(name: str) -> Resolved:
        return Resolved(name, parse.host_addresses(await output(run, "getent", "ahosts", name)))

    return tuple(await asyncio.gather(*(resolve(name) for name in wanted)))


async def logins(run: CommandRunner, addresses: Iterable[str]) -> tuple[SshTry, ...]:
    """Log in to each address as root; a few at once, because sshd refuses a crowd."""
    gate = asyncio.Semaphore(LOGINS_AT_ONCE)

    async def login(address: str) -> SshTry:
        async with gate:
            return await _login(run, address)

    return tuple(await asyncio.gather(*(login(address) for address in addresses)))


async def _login(run: CommandRunner, address: str) -> SshTry:
    argv = (
        "ssh", "-oBatchMode=yes", f"-oConnectTimeout={CONNECT_TIMEOUT_S}", "-oLogLevel=ERROR",
        "-oControlPath=none", "-T", "-x", f"root@{address}", "--", f"cat {BOOT_ID}",
    )  # fmt: skip
    match await run(argv, timeout_s=LOGIN_TIMEOUT_S):
        case Finished(exit_code=0, stdout=stdout):
            # A login may greet; the answer is the last line.
            words = stdout.split()
            return SshTry(address, words[-1]) if words else SshTry(address, error="no answer")
        case Finished(exit_code=exit_code, stderr=stderr):
            last = [line.strip() for line in stderr.splitlines() if line.strip()]
            return SshTry(address, error=last[-1] if last else f"exit code {exit_code}")
        case TimedOut(after_s):
            return SshTry(address, error=f"no answer within {after_s:.0f} s")


def busy_ports(root: Path, first: int, last: int) -> tuple[BusyPort, ...]:
    """Return the ports from ``first`` to ``last`` that something uses here, with its name."""
    used: dict[tuple[str, int], int] = {}
    for protocol, table in NETWORK_TABLES:
        for entry in parse.sockets(text_of(root / "proc/net" / table)):
            if first <= entry.port <= last:
                key = (protocol, entry.port)
                used[key] = max(used.get(key, 0), entry.inode)
    wanted = {f"socket:[{inode}]": inode for inode in set(used.values()) if inode}
    owners = holders(root, wanted)
    return tuple(
        BusyPort(protocol, port, owners.get(inode, ""))
        for (protocol, port), inode in sorted(used.items())
    )
