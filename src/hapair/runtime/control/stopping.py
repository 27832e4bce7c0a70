"""What a planned stop looks at before it stops anything."""

import asyncio
from dataclasses import asdict
from functools import partial
from typing import Final

from hapair.core.right import hearing
from hapair.core.words.effects import Severity
from hapair.core.words.state import NodeState
from hapair.model.application import Volume
from hapair.model.built import BuiltApplication
from hapair.model.data import Role
from hapair.model.holders import Held
from hapair.model.problem import Problem
from hapair.model.status import Standing
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node

ALL: Final = ""
LOOK_S: Final = 5.0
PEER_TRIES_S: Final = 8.0  # Longer than it waits for its own disk.


async def refuse_held(node: Node, journal: Journal, name: str = ALL) -> None:
    """Raise RpcError when something would keep a device open that the stop is to give up."""
    if (refusal := await why_not(node, journal, name)) is not None:
        raise refusal


async def refuse_full(node: Node) -> None:
    """Raise RpcError when a disk takes nothing: what is stopped here would start nowhere.

    Who gives an application away stores that, and so does who gets it. Both disks are tried now: an
    idle node finds only within a minute that its disk takes nothing.
    """
    peer_unable = node.state.standing is Standing.TOGETHER and hearing.peer_unable(node.state)
    if peer_unable or not await _peer_takes(node):
        who = node.peer.name
    elif not await node.keeper.takes():
        who = node.identity.me
    else:
        return
    raise RpcError(
        f"{who} cannot store what it decides, so nothing can go from one node to the other",
        "look at: clstat; to stop it all the same: clhaltapp, or clhalt --force",
    )


async def _peer_takes(node: Node) -> bool:
    """Let the peer try its disk; one that cannot tell, or does not know the question, is believed.

    Its heartbeats say it as well, a little later.
    """
    if not node.peer.connected:
        return True
    try:
        answer = await node.peer.request("can-store", timeout_s=PEER_TRIES_S)
    except RpcError:
        return True
    return answer.get("can_store") is not False


async def why_not(node: Node, journal: Journal, name: str = ALL) -> RpcError | None:
    """Return what refuses a stop of the application, or of all, on this node; None: it may be.

    Stopped all the same, the application would be down here, and could not start on the peer. A
    look that gets no answer in time forbids nothing: it is noted, and the stop goes on.
    """
    built = [each for each in node.built.applications if name in (ALL, each.application.name)]
    look = partial(node.hands.file_systems.held, timeout_s=LOOK_S)
    looks = [(each, volume) for each in built for volume in _given_up(node.state, each)]
    seen = await asyncio.gather(*(look(volume, each) for each, volume in looks))
    me, held = node.identity.me, list[JsonObject]()
    for (each, volume), found in zip(looks, seen, strict=True):
        held += (_problem(me, volume, one) for one in found.found)
        if found.not_looked_at:
            text = f"nobody could tell in time what holds {volume.device}: {found.not_looked_at}"
            journal.add(
                "not-looked",
                text,
                application=each.application.name,
                severity=Severity.WARNING,
            )
    if not held:
        return None
    return RpcError(
        f"nothing was stopped on {me}, because it could not be stopped as a whole",
        "end what is listed; or, to have the stop end what it may: --force",
        problems=tuple(held),
    )


def _problem(node: str, volume: Volume, held: Held) -> JsonObject:
    return asdict(Problem(node, volume.resource, f"{held.what} holds {volume.device}", held.mend))


def _given_up(state: NodeState, built: BuiltApplication) -> list[Volume]:
    facts = ((volume, state.facts.get(volume.resource)) for volume in built.volumes)
    return [volume for volume, each in facts if each is not None and each.role is Role.PRIMARY]
