"""What is said and kept, in its real form and within its real limits."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from hapair.adapters.heartbeat.datagrams import Sealer
from hapair.adapters.peerlink import MESSAGE_BYTES_MAX
from hapair.adapters.witness.clwitness import REPLY_BYTES_MAX, ClwitnessClient
from hapair.adapters.witness.words import Asker, JsonObject, object_of
from hapair.config import built_json
from hapair.core.words.effects import Reply
from hapair.core.words.events import PeerState
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.model.witness import WitnessAnswer
from hapair.rpc import messages as rpc
from hapair.runtime.codec import decode, encode
from hapair.runtime.node.state_file import dump_state, load_state
from hapair.witness.wire import LINE_BYTES_MAX, Request, parse
from hapair.witness.wire import Reply as WitnessReply
from hapair.witness.wire import encode as written
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
def as_received(state: PeerState, say: Callable[[PeerState], object] = encode) -> PeerState:
    """Return what the peer reads when it is sent this, in the words of the sender's version."""
    message = json.dumps({"kind": "state", "state": say(state)}).encode()
    if len(message) > MESSAGE_BYTES_MAX:
        raise BrokenRuleError(f"R8: a state of {len(message)} bytes is heard by nobody")
    return decode(PeerState, json.loads(message)["state"])


@lru_cache(maxsize=32)
def as_kept(stored: Stored) -> Stored:
    """Return what a daemon that starts reads in the file of its state."""
    read = load_state(dump_state(stored))
    if read != stored:
        raise BrokenRuleError(f"R5: {read} was read where {stored} was stored")
    return read


@lru_cache(maxsize=32)
def as_installed(built: Built) -> Built:
    """Return what a node reads in the built.json that it is given."""
    read = built_json.loads(built_json.dumps(built))
    if read != built:
        raise BrokenRuleError(f"R5: {read} was read where {built} was installed")
    return read


def as_answered(reply: Reply) -> Reply:
    """Return what whoever typed the command is told."""
    answer: rpc.Answer = rpc.Result({"text": reply.text})
    if not reply.accepted:
        answer = rpc.RpcError(reply.text, "")
    line = rpc.dump_answer(answer)
    if len(line) > rpc.LINE_BYTES_MAX:
        raise BrokenRuleError(f"R5: an answer of {len(line)} bytes is read by nobody")
    match rpc.parse_answer(line):
        case rpc.Result(result):
            return replace(reply, accepted=True, text=str(result["text"]))
        case rpc.RpcError() as refused:
            return replace(reply, accepted=False, text=refused.error)
        case progress:
            raise AssertionError(f"{progress} ends no command")


class Conversation(ClwitnessClient):
    """The node's side of a talk with the witness; each line goes through both sides' real code."""

    def __init__(self, answers: Callable[[Request], WitnessReply]) -> None:
        self._answers = answers

    async def _exchange(self, request: JsonObject, timeout_s: float) -> JsonObject:  # noqa: ARG002 - as there
        line = json.dumps(request).encode() + b"\n"
        reply = written(self._answers(parse(line)))
        if len(line) > LINE_BYTES_MAX or len(reply) > REPLY_BYTES_MAX:
            raise BrokenRuleError(f"R8: a line of {max(len(line), len(reply))} bytes is not read")
        return object_of(reply, "its reply")


def talked(
    cluster: str, node: str, epoch: int, answers: Callable[[Request], WitnessReply]
) -> WitnessAnswer:
    """Return what the node understands when it asks for an epoch, or looks (0)."""
    talk, asker = Conversation(answers), Asker(cluster, node)
    asks = talk.grant(asker, epoch, timeout_s=1.0) if epoch else talk.look(asker, timeout_s=1.0)
    try:
        asks.send(None)
    except StopIteration as ended:
        answer: WitnessAnswer = ended.value
        return answer
    raise AssertionError("a talk in memory waits for nothing")
