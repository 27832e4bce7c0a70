"""The replicated data: DRBD, what lies under it and the file systems on it."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from hapair.model.application import Volume
from hapair.model.backing import Backing, LastSeen
from hapair.model.built import BuiltApplication
from hapair.model.cluster import Cluster
from hapair.model.data import VolumeFacts
from hapair.model.divergence import Generations
from hapair.model.holders import Holders
from hapair.model.outcome import Outcome, Refused, Unknown
from hapair.model.presence import Presence


class Replication(Protocol):
    """DRBD. Facts come from one long-lived event stream, never from polling."""

    def use_peer(self, cluster: Cluster, me: str) -> None:
        """From now on only connections to the peer of ``me`` count as connections."""
        ...

    def watch(self) -> AsyncIterator[tuple[VolumeFacts, ...]]:
        """Yield the facts of all known resources, first at once, then after every change."""
        ...

    def facts(self, resource: str) -> VolumeFacts | None:
        """Return the newest facts, or None when the kernel does not know the resource."""
        ...

    async def bring_up(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Attach and connect as Secondary; Done also when it already is up."""
        ...

    async def bring_up_anew(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Let the copy count as empty, then bring it up: all of it will come from the peer."""
        ...

    async def bring_up_as_it_is(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Let the copy count as newer than the peer's, of which all will be replaced."""
        ...

    async def take_down(self, volume: Volume, *, timeout_s: float) -> Outcome: ...
    async def promote(
        self, volume: Volume, *, timeout_s: float, force: bool = False
    ) -> Outcome: ...
    async def demote(self, volume: Volume, *, timeout_s: float) -> Outcome: ...
    async def detach_by_force(self, volume: Volume, *, timeout_s: float) -> Outcome: ...

    async def resume(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Let frozen writes go; they are acknowledged without the peer.

        The caller has made sure, on disk, that the peer can never be promoted. Done also when
        nothing is frozen; Refused without a local disk, where the writes would fail.
        """
        ...


class Connections(Protocol):
    """DRBD's connections by hand: a split brain, a resync that stands still. Never a failover."""

    async def disconnect(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Stop trying to connect; Done also when it already does not."""
        ...

    async def connect(
        self, volume: Volume, *, timeout_s: float, discard_own: bool = False
    ) -> Outcome:
        """Try to connect. ``discard_own``: give up what only this copy has, should it differ."""
        ...

    async def resync_after(
        self, volume: Volume, after: Volume | None, *, timeout_s: float
    ) -> Outcome:
        """Let the volume's resync wait while that of ``after`` goes on; None: for nobody.

        Refused also when ``after`` waits for the volume itself, or it has no disk.
        """
        ...

    async def follow_file(self, volume: Volume, *, connection: bool, timeout_s: float) -> Outcome:
        """Give the running resource the options of its file; never attach or detach.

        Those of the connection are given to it if ``connection``. Else it is being made, and is
        made anew if they differ: DRBD 8.4 frees what the peer is proved with, although it may be in
        use. A connection that is there stays: a new secret is asked for when the nodes connect the
        next time. Done names what was set, nothing when all was as in the file already.
        """
        ...

    async def generations(self, volume: Volume, *, timeout_s: float) -> Generations | None:
        """Return the identifiers of this copy's past; None when DRBD does not tell."""
        ...


class BackingVolumes(Protocol):
    """The volumes below DRBD, and what they looked like when DRBD had them last."""

    async def look(self, volume: Volume, *, timeout_s: float) -> Backing | Refused | Unknown:
        """Look at a volume; it is activated for that if needed."""
        ...

    async def writers(self, volume: Volume) -> str:
        """Say who may have written to it, or may do it again; empty: nothing is found."""
        ...

    async def guard(self, volume: Volume) -> None:
        """Keep everybody from writing to it until it is brought up; nothing while it is in use."""
        ...

    async def last_seen(self, resource: str) -> LastSeen | None:
        """Return what was remembered; OSError when that cannot be read just now.

        It may take as long as the disk does, and so may ``remember``.
        """
        ...

    async def remember(self, resource: str, seen: LastSeen | None) -> Outcome:
        """Remember it for good; Done when it is on the disk. None: forget it."""
        ...


class FileSystems(Protocol):
    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Check if needed and mount ``volume.device``; Done also when it already is mounted."""
        ...

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome: ...
    def mounted(self, volume: Volume) -> bool | None:
        """Tell whether it is at its mount point; None: the device is mounted only elsewhere."""
        ...

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[Presence, ...]:
        """Tell the same of each, all from one reading that began after the call.

        Its trouble says why what is mounted does not serve: it has become read-only, is hidden by
        another mount, or is elsewhere. It may hang as long as the kernel does; OSError when the
        list cannot be read.
        """
        ...

    async def full(self, volume: Volume, *, timeout_s: float) -> bool:
        """Tell whether the volume is mounted and has no block or no inode left.

        What does not answer within the limit is not known to be full.
        """
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` soon after something was mounted or unmounted, whoever did it."""
        ...

    async def end_holders(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """End what holds the device besides our mount; each is named in the Outcome's text.

        Processes get TERM, then KILL; other mounts, in every name space, are unmounted.
        """
        ...

    async def held(
        self, volume: Volume, own: BuiltApplication | None, *, timeout_s: float
    ) -> Holders:
        """Return what holds the device besides our mount, but for what a stop of ``own`` ends.

        Processes that only use its files are not among it. It takes at most ``timeout_s``.
        """
        ...
