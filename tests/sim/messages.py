"""What the nodes say to each other, in its real form and within its real limits."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from hapair.adapters.heartbeat import Sealer
from hapair.adapters.peerlink import MESSAGE_BYTES_MAX
from hapair.core.words.events import PeerState
from hapair.runtime.codec import decode, encode
from tests.checkers.rules import BrokenRuleError
from tests.sim.settings import NODES, other

KEY: Final = b"k" * 32
SEALERS: Final = {node: Sealer("simulated", KEY, index) for index, node in enumerate(NODES)}
# Late and doubled datagrams arrive here although a receiver drops them: so no sequence counts.
SEQUENCE: Final = 0

Post = Callable[[str, str, int, bytes], bytes]  # Sender, network, incarnation and body: a datagram.


def sealed(sender: str, network: str, incarnation: int, body: bytes) -> bytes:
    return SEALERS[sender].seal(network, incarnation, SEQUENCE, body)


@lru_cache(maxsize=256)
def opened(sender: str, network: str, datagram: bytes) -> bytes | None:
    """Return the body, as the other node takes it in; None for what it drops."""
    heard = SEALERS[other(sender)].unseal(network, datagram)
    return None if heard is None else heard[2]


@lru_cache(maxsize=32)
def as_received(state: PeerState) -> PeerState:
    """Return what the peer reads when it is sent this."""
    message = json.dumps({"kind": "state", "state": encode(state)}).encode()
    if len(message) > MESSAGE_BYTES_MAX:
        raise BrokenRuleError(f"R8: a state of {len(message)} bytes is heard by nobody")
    return decode(PeerState, json.loads(message)["state"])
