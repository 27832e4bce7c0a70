"""Two versions in one cluster: each start of a daemon may be that of another one.

A node of the next version says everything in that version's words, on the wire and on its disk; a
node of this version reads them as it does in reality. The decisions are those of today's core on
both sides.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final

from hapair.config.codec import encode
from hapair.core.words.events import Beat, Event, Heard, NotStated, NotUnderstood, PeerState
from hapair.core.words.stored import Stored
from hapair.ports.peer import HEARTBEAT_BYTES_MAX
from hapair.rpc.messages import Malformed
from hapair.runtime.node.beats import Listener
from hapair.runtime.node.state_file import StateFile, load_state
from tests.checkers.rules import BrokenRuleError
from tests.sim import parcels
from tests.sim.machine import Daemon, Machine, Parcel
from tests.sim.messages import as_received, sealed
from tests.sim.settings import NODES
from tests.sim.world import World
from tests.versions.next_one import (
    NextState,
    as_next,
    as_next_state,
    read_by_next,
    said_by_next,
    spoken_by,
    understood_by_next,
)

SHARE: Final = 0.15  # Of the runs, in which versions change while everything else fails.


class NextListener(Listener):
    def read(self, body: bytes) -> Beat:
        return Listener.read(self, json.dumps(read_by_next(json.loads(body))).encode())


class Versions:
    """Makes a world of two versions; ``newer`` says which node has the next one."""

    def __init__(self, world: World, chance: Random | None = None) -> None:
        self.world = world
        self.newer: dict[str, bool] = dict.fromkeys(NODES, False)
        self._chance = chance  # By which the version of each daemon that starts is drawn.
        self._files: dict[str, bytes] = {}  # state.json of each node.
        self._start, self._store = world.start_daemon, world.on_store
        world.start_daemon = self._starts  # type: ignore[method-assign]
        world.on_store = self._stored
        world.beats.seal = self._sealed
        world.tunnel.deliver = self._deliver
        world.tunnel.says = lambda node, state: as_next_state(state) if self.newer[node] else state
        world.tunnel.speaks = spoken_by

    def change(self, node: str, *, newer: bool) -> None:
        """Install the other version: its package starts the daemon anew."""
        self.newer[node] = newer
        self.world.kill_daemon(node)

    def file(self, node: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self._files[node])

    def _starts(self, node: str) -> None:
        machine = self.world.machines[node]
        if self._chance is not None and machine.powered and machine.daemon is None:
            self.newer[node] = self._chance.random() < 0.5
            self.world.say(node, f"is of the {'next' if self.newer[node] else 'present'} version")
        if node in self._files:
            machine.disk = self._loaded(machine)
        self._start(node)
        if machine.daemon is not None and self.newer[node]:
            machine.daemon.listener = NextListener()

    def _loaded(self, machine: Machine) -> Stored:
        """Read what lies there; whoever wrote it, nothing of ours may differ."""
        content = self._files[machine.name]
        if self.newer[machine.name]:
            stored = understood_by_next(Stored, json.loads(content))
        else:
            stored = load_state(content)
        safe = replace(stored, foreign=machine.disk.foreign)  # A word of theirs trusts nobody.
        if safe != machine.disk:
            raise BrokenRuleError(f"R5: {stored} was read where {machine.disk} was stored")
        return stored

    def _stored(self, machine: Machine) -> None:
        written = self._files.get(machine.name)
        if self.newer[machine.name]:
            content = json.dumps(said_by_next(machine.disk)).encode()
        else:
            content = StateFile(written).dump(machine.disk)
        self._files[machine.name] = content
        self._store(machine)

    def _sealed(self, sender: str, network: str, incarnation: int, body: bytes) -> bytes:
        if self.newer[sender]:
            said = json.dumps(as_next(json.loads(body)), separators=(",", ":")).encode()
            body = said if len(said) <= HEARTBEAT_BYTES_MAX else body
        return sealed(sender, network, incarnation, body)

    def _deliver(self, node: str, state: PeerState) -> None:
        machine = self.world.machines[node]
        if machine.daemon is None:
            return
        say = said_by_next if isinstance(state, NextState) else encode
        if self.newer[node]:
            heard = understood_by_next(PeerState, say(state))
        else:
            heard = read_by_present(state, say)
        self.world.deliver(machine, machine.daemon, partial(parcels.peer_stated, heard))


def read_by_present(state: PeerState, say: Callable[[PeerState], object]) -> PeerState:
    try:
        return as_received(state, say)
    except Malformed as error:
        raise BrokenRuleError(f"R8: it was told what its version cannot read: {error}") from error


def not_stated(world: World) -> Callable[[], None]:
    """Let no state be read from now on, by whomever, until that is taken back."""
    deliver = world.tunnel.deliver

    def delivered(node: str, _: PeerState) -> None:
        machine = world.machines[node]
        if machine.daemon is not None:
            world.deliver(machine, machine.daemon, lambda at_s: NotStated(at_s, "hapair 99"))

    def read_again() -> None:
        world.tunnel.deliver = deliver

    world.tunnel.deliver = delivered
    return read_again


def not_understood(world: World) -> None:
    """Let no heartbeat be read from now on, by whomever."""
    deliver = world.deliver

    def delivered(machine: Machine, daemon: Daemon, parcel: Parcel) -> None:
        def told(at_s: float) -> Event:
            event = parcel(at_s)
            if isinstance(event, Heard):
                return NotUnderstood(at_s, event.beat.incarnation)
            return event

        deliver(machine, daemon, told)

    world.beats.deliver = delivered


def with_versions(world: World, seed: str) -> None:
    """Let the daemons of some runs be of two versions."""
    chance = Random(f"{seed}/versions")
    if chance.random() < SHARE:
        Versions(world, chance)
