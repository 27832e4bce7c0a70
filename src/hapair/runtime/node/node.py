"""This node's part of a built cluster: the decision core and all that feeds and obeys it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Final, TypeAlias

from hapair.core import node as core
from hapair.core.right.hearing import last_heard_s
from hapair.core.words.effects import AnswerFence, Note, Reply, ResetNode, Severity, Watch
from hapair.core.words.events import Configured, Event, Heard, LinkChanged, NotUnderstood
from hapair.core.words.state import NodeState
from hapair.core.words.stored import Stored
from hapair.model.built import Built
from hapair.model.cluster import Cluster
from hapair.model.divergence import KeptSnapshot
from hapair.model.outcome import Refused, Unknown
from hapair.model.timeline import OPENING
from hapair.ports.arbiters import Fencing, Witnesses
from hapair.ports.machine import Clock, WatchdogDevice
from hapair.ports.peer import Heartbeats, PeerLink
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.history.replication_memory import (
    MEMORY,
    PEER_TIMEOUT_S,
    Pace,
    Remembered,
    ReplicationMemory,
)
from hapair.runtime.node.guard import Guard, may_wait
from hapair.runtime.node.keeper import Keeper
from hapair.runtime.node.lineage import PEER, Lineage
from hapair.runtime.node.loop import Loop
from hapair.runtime.node.mark import Mark
from hapair.runtime.node.peer import Peer
from hapair.runtime.node.perform import Hands, Outlets, Performer, Spawn
from hapair.runtime.node.sources import Pulse, watch_data
from hapair.runtime.node.state_file import STATE, StateFile
from hapair.runtime.node.survey import Survey
from hapair.runtime.node.third_parties import ThirdParties
from hapair.runtime.node.views import LinkView, UnderWay

Watched: TypeAlias = Callable[[], tuple[tuple[KeptSnapshot, ...], tuple[Pace, ...]]]
LOST: Final = "detected"  # The core's word for the beginning of a silence.


def _nothing_watched() -> tuple[tuple[KeptSnapshot, ...], tuple[Pace, ...]]:
    return (), ()


def _nothing(_: str) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class Wires:
    """The connections to the peer of one configuration."""

    heartbeats: Heartbeats
    link: PeerLink
    keys: str  # Differs when the keys do.


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is made of; the wiring provides it."""

    clock: Clock
    journal: Journal
    hands: Callable[[Cluster, str], Hands]
    connect: Callable[[Cluster, str], Wires]  # RpcError when keys are missing.
    keep: Callable[[str, bytes], Awaitable[None]]  # Returns when the file is on the disk.
    spawn: Spawn  # A task that fails ends the daemon.
    witnesses: Callable[[Cluster, str], Witnesses]
    fencing: Fencing
    watchdog: WatchdogDevice
    # Resets this machine; returns only when it could not.
    reset: Callable[[str], Refused | Unknown]
    load: Callable[[str], bytes | None] = _nothing  # What ``keep`` stored.
    folder: str = "/var/lib/hapair"  # Where, for people.
    not_stored: Path | None = None  # Lies there while the disk takes nothing; see ``Mark``.


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who waits for what the core answers."""

    reply: Callable[[Reply], None]
    fence: Callable[[AnswerFence], None]
    watch: Callable[[Watch], None]


@dataclass(frozen=True, slots=True)
class Identity:
    me: str
    boot_id: str
    incarnation: int


class Node:
    """Exists from the moment at which a built configuration is known."""

    def __init__(
        self,
        parts: Parts,
        identity: Identity,
        built: Built,
        stored: Stored,
        listeners: Listeners,
    ) -> None:
        self.identity = identity
        self.watched: Watched = _nothing_watched  # What the guardian of resyncs sees.
        self._parts = parts
        file = StateFile(parts.load(STATE))
        mark = Mark(parts.not_stored, lambda: self.state.forgot)
        self.keeper = Keeper(
            parts.keep, parts.clock, parts.journal, parts.folder, stored, file, mark
        )
        self._wires = parts.connect(built.cluster, identity.me)
        self._hands = parts.hands(built.cluster, identity.me)
        self._lineage = self._make_lineage()
        peer_name = built.cluster.peer_of(identity.me)
        self.peer = Peer(peer_name, parts.clock, parts.journal, self._lineage.stated, self.offer)
        self._pulse = Pulse(
            self._wires.heartbeats,
            built.cluster.timing,
            parts.clock,
            parts.journal,
            self.offer,
            self._last_heard_s,
            self._decisions,
        )
        self._third_parties = self._make_third_parties(built.cluster)
        self._guard = self._make_guard(built.cluster)
        outlets = self._make_outlets(listeners)
        performer = Performer(self._hands, outlets, parts.journal, parts.clock, parts.spawn)
        performer.built = built
        self._performer = performer
        state, self._first = core.begin(
            identity.me,
            identity.boot_id,
            identity.incarnation,
            built,
            stored,
            parts.clock.boot_s(),
        )
        if mark.is_set:
            state = core.forgetful(state)
        self._pulse.before = core.beat_of(state)
        self._pulse.cannot_store = lambda: self.keeper.cannot_store
        self._loop = Loop(core.step, state, performer)
        self._memory = ReplicationMemory(parts.keep, parts.clock, parts.load(MEMORY))

    def _make_guard(self, cluster: Cluster) -> Guard:
        return Guard(
            self._parts.watchdog,
            cluster.watchdog,
            self._parts.clock,
            self._parts.journal,
            lambda: self.decided_at_s,
            lambda: self.keeper.waits,
            self._may_wait,
            lambda: self.keeper.works.is_set() or self._may_wait(),
        )

    def _make_lineage(self) -> Lineage:
        parts = self._parts
        return Lineage(
            self._wires.heartbeats,
            parts.clock,
            parts.journal,
            self.offer,
            parts.keep,
            lambda: self.state,
            lambda: self.peer.connected,
            parts.load(PEER),
        )

    def _make_outlets(self, listeners: Listeners) -> Outlets:
        return Outlets(
            self.keeper.store,
            self.peer.publish,
            self._pulse.set_beat,
            listeners.reply,
            self._note,
            self.offer,
            self._ask_witnesses,
            self._fence,
            listeners.fence,
            self._guard.set,
            lambda asked: self._parts.spawn(self._reset(asked)),
            listeners.watch,
        )

    def _make_third_parties(self, cluster: Cluster) -> ThirdParties:
        return ThirdParties(
            self._witnesses_of(cluster),
            self._parts.fencing,
            self._parts.clock,
            self._parts.journal,
            self.identity.me,
            self.offer,
            cluster,
        )

    @property
    def state(self) -> NodeState:
        return self._loop.state

    @property
    def hands(self) -> Hands:
        return self._hands

    @property
    def built(self) -> Built:
        return self._loop.state.built

    @property
    def keys(self) -> str:
        """Return what differs when the keys of this node do; it tells nothing of them."""
        return self._wires.keys

    @property
    def decided_at_s(self) -> float:
        """Tell when the core last looked at the time: a daemon that works does so all the time."""
        return self._loop.ticked_at_s

    @property
    def waits_for_disk(self) -> bool:
        """Tell whether nothing is decided for that; a new daemon could not write either."""
        return self.keeper.waits

    def _decisions(self) -> int | None:
        """Count the decisions; None while the core waits for a disk, and the heartbeats say so.

        Only then do they go on for as long as it takes.
        """
        keeper = self.keeper
        return None if keeper.waits and keeper.cannot_store else self._loop.decisions

    def _may_wait(self) -> bool:
        """Tell whether the watchdog is fed although the core waits; see ``guard.may_wait``."""
        echoed_s = self._pulse.echoed_s
        # A new daemon does not know since when its node is silent: its lease counts as over.
        silent_s = inf if echoed_s is None else self._parts.clock.boot_s() - echoed_s
        return may_wait(self.built.cluster, self.keeper.stored, silent_s)

    def link_view(self) -> LinkView:
        return LinkView(
            self.peer.connected,
            self._wires.link.trouble(),
            self._wires.heartbeats.rejected(),
            self._wires.heartbeats.older(),
        )

    def programs_under_way(self) -> Mapping[str, UnderWay]:
        """Return what is being done to programs just now, by application."""
        return self._performer.programs

    def remembered(self) -> Remembered:
        """Return since when the copies are apart and the peer is silent, for people."""
        kept, paces = self.watched()
        return replace(self._memory.now(self.state), kept=kept, paces=paces)

    async def _ask_status(self) -> JsonObject:
        return await self.peer.request("status", timeout_s=PEER_TIMEOUT_S)

    def offer(self, event: Event) -> None:
        """Queue an event behind all that was heard before it: else a gap would show in its time."""
        if not isinstance(event, Heard | NotUnderstood):
            self._wires.heartbeats.drain()
        self._loop.offer(event)

    def start(self) -> None:
        hands, clock = self._hands, self._parts.clock
        known = self._lineage.known
        self._wires.heartbeats.introduce(known.current, known.highest)
        self._open()
        if self.keeper.stored.joined_boot_id == self.identity.boot_id:
            self._guard.set(on=True)  # Until it is known that nothing runs here.
        self._parts.spawn(self._guard.run())
        self._parts.spawn(self._guard_when_stored())
        self._parts.spawn(self.keeper.run())
        self._parts.spawn(self._loop.run(self._first))
        self._parts.spawn(self._pulse.run())
        self._parts.spawn(self._lineage.run())
        self._parts.spawn(
            Survey(
                hands.addresses,
                hands.file_systems,
                clock,
                self._parts.journal,
                self.offer,
                lambda: self.built,
            ).run()
        )
        attachments = self._performer.attachments
        offer = attachments.feed(self._memory.feed(self.offer, lambda: self.built))
        self._parts.spawn(watch_data(hands.replication, clock, offer))
        self._parts.spawn(attachments.run(lambda: self.built))
        self._parts.spawn(self._memory.run(lambda: self.state, self._ask_status))
        hands.paths.on_link_change(
            lambda network, up: self.offer(LinkChanged(clock.boot_s(), network, up))
        )
        self._offer_links(self.built.cluster)

    async def _guard_when_stored(self) -> None:
        await self.keeper.works.wait()
        self._guard.set(on=self.state.guarded is not False)

    async def reconfigure(self, built: Built) -> None:
        """Take over what clbuild or clbuildapp committed; applications go on.

        Raises RpcError, and changes nothing, when the keys cannot be read or nodes were renamed.
        """
        if built.cluster.nodes != self.built.cluster.nodes:
            raise RpcError(
                "the nodes of the cluster were renamed or exchanged",
                "type on both nodes: clhalt, then: systemctl restart hapaird",
            )
        wires = await asyncio.to_thread(self._parts.connect, built.cluster, self.identity.me)
        self._performer.built = built
        if built.cluster != self.built.cluster or wires.keys != self._wires.keys:
            await self.close()
            self._wires = wires
            self._pulse.heartbeats = self._lineage.heartbeats = wires.heartbeats
            self._pulse.timing = built.cluster.timing
            self._use(built.cluster)
            self._open()
            self._offer_links(built.cluster)
        self.offer(Configured(self._parts.clock.boot_s(), built))
        self._performer.attachments.look_again()  # The build attached what it made.

    async def close(self) -> None:
        """Close the connections to the peer; nothing on this machine is touched."""
        self._wires.heartbeats.close()
        await self._wires.link.close()

    def _witnesses_of(self, cluster: Cluster) -> Witnesses | None:
        return self._parts.witnesses(cluster, self.identity.me) if cluster.witnesses else None

    def _ask_witnesses(self, epoch: int) -> None:
        for index in range(len(self._third_parties.cluster.witnesses)):
            self._parts.spawn(self._third_parties.ask(index, epoch))

    def _fence(self) -> None:
        self._parts.spawn(self._third_parties.fence())

    async def _reset(self, asked: ResetNode) -> None:
        """Reset this machine, with its history on the disk if the disk answers in time."""
        journal = self._parts.journal
        with ThreadPoolExecutor(1) as own:  # The common pool may be busy for long, with names.
            await asyncio.get_running_loop().run_in_executor(own, journal.flush)
        outcome = self._parts.reset(f"{asked.application} cannot be stopped")
        text = f"this node cannot be reset: {outcome.why}"
        journal.add("reset", text, application=asked.application, severity=Severity.ALARM)

    def _use(self, cluster: Cluster) -> None:
        self._hands.addresses.use(cluster)
        self._hands.replication.use_peer(cluster, self.identity.me)
        self._hands.paths.use(cluster)
        self._third_parties.cluster = cluster
        self._third_parties.witnesses = self._witnesses_of(cluster)
        self._guard.use(cluster.watchdog, needed=self.state.guarded is not False)

    def _open(self) -> None:
        self._pulse.open()
        self.peer.link = self._wires.link
        self._wires.link.open(self.peer)

    def _offer_links(self, cluster: Cluster) -> None:
        at_s = self._parts.clock.boot_s()
        for network in cluster.networks:
            up = self._hands.paths.link_up(network.name)
            self.offer(LinkChanged(at_s, network.name, up))

    def _last_heard_s(self) -> float | None:
        return max(self.state.peer.heard_at_s.values(), default=None)

    def _note(self, note: Note) -> None:
        """Write the core's line; a silence is preceded by the moment at which it began."""
        journal = self._parts.journal
        if note.name == LOST:
            text = f"{self.peer.name} was heard for the last time"
            journal.add(OPENING, text, severity=Severity.WARNING, at_s=last_heard_s(self.state))
        journal.add(note.name, note.text, application=note.application, severity=note.severity)
