"""A kernel that does not answer at once holds up nobody who asks for the links."""

import asyncio
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from hapair.adapters.network import netlink
from hapair.adapters.network.paths import NetworkPaths
from hapair.adapters.shared.netlink import Message, attribute
from tests.adapters.clusters import cluster
from tests.processes import PATIENCE_S

CARD = 7
SHORT_S = 0.05
_UP = 0x1


def table(*, carrier: bool) -> Sequence[Message]:
    own = ip_address("10.77.1.1").packed
    link = struct.pack("=BxHiII", 0, 1, CARD, _UP, 0)
    link += attribute(3, b"pub0\0") + attribute(33, bytes([carrier]))
    held = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, CARD) + attribute(2, own)
    return (Message(netlink.NEW_LINK, link), Message(netlink.NEW_ADDRESS, held))


@dataclass
class Kernel:
    """While the gate is closed it does not answer."""

    carrier: bool = True
    error: OSError | None = None
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def read(self) -> Sequence[Message]:
        assert self.gate.wait(PATIENCE_S), "the event loop waits for it"
        if self.error is not None:
            raise self.error
        return table(carrier=self.carrier)

    def paths(self) -> NetworkPaths:
        return NetworkPaths(cluster(), "node1", read=self.read, limit_s=SHORT_S)


async def told(paths: NetworkPaths, *, up: bool) -> None:
    """Wait until the link of the network is told to be so."""
    heard: asyncio.Queue[bool] = asyncio.Queue()
    paths.on_link_change(lambda name, is_up: heard.put_nowait(is_up) if name == "public" else None)
    async with asyncio.timeout(PATIENCE_S):
        assert await heard.get() is up
    assert paths.link_up("public") is up


async def test_a_kernel_that_hangs_is_a_link_that_nobody_sees_until_it_answers() -> None:
    kernel = Kernel()
    paths = kernel.paths()
    assert paths.link_up("public")
    kernel.gate.clear()
    await told(paths, up=False)
    assert not await paths.reference_answers("public", timeout_s=SHORT_S)
    paths.use(cluster())
    assert not paths.link_up("public")
    kernel.gate.set()
    await told(paths, up=True)
    paths.close()


async def test_a_kernel_that_refuses_is_asked_again() -> None:
    kernel = Kernel(error=OSError(24, "Too many open files"))
    paths = kernel.paths()
    assert not paths.link_up("public")
    assert not await paths.reference_answers("public", timeout_s=SHORT_S)
    kernel.error = None
    await told(paths, up=True)
    paths.close()


async def test_with_a_new_configuration_all_is_looked_at_again() -> None:
    kernel = Kernel()
    paths = kernel.paths()
    kernel.carrier = False
    await told(paths, up=False)
    kernel.carrier = True
    paths.use(cluster())
    await told(paths, up=True)
    paths.close()
