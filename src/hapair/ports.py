"""What the daemon needs from the outside world.

Every action ends as an Outcome: Done, Refused (nothing changed) or Unknown (it may have
happened: look before acting again). A time-out is always Unknown.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hapair.model.application import Program, ServiceAddress, Volume
from hapair.model.backing import Backing, LastSeen
from hapair.model.built import Built, BuiltApplication
from hapair.model.cluster import Cluster, FenceMethod, Watchdog, Witness
from hapair.model.data import VolumeFacts
from hapair.model.divergence import ChangedFile, Generations
from hapair.model.holders import Holders
from hapair.model.outcome import Outcome, Refused, Unknown
from hapair.model.storage import GroupStorage, LogicalVolume, NativeMount
from hapair.model.witness import WitnessAnswer


@dataclass(frozen=True, slots=True)
class Finished:
    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class NotStarted(Finished):
    """The kernel had nothing left to start it with: it did nothing, or was killed as it began."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    after_s: float


class CommandRunner(Protocol):
    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut: ...


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

    def last_seen(self, resource: str) -> LastSeen | None: ...

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

    async def mounted_each(self, volumes: Sequence[Volume]) -> tuple[bool | None, ...]:
        """Tell the same of each, all from one reading that began after the call.

        It may hang as long as the kernel does; OSError when the list cannot be read.
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


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether addresses are on this machine."""

    up: bool | None  # All are here, in their place; none is here; None: some are, or elsewhere.
    trouble: str = ""  # What keeps those from serving that ought to be here, for people.


class Addresses(Protocol):
    def use(self, cluster: Cluster) -> None:
        """From now on act on the networks and cards of this configuration."""
        ...

    async def add(
        self,
        addresses: tuple[ServiceAddress, ...],
        *,
        timeout_s: float,
        despite_peer: bool = False,
    ) -> Outcome:
        """Probe, add and announce. Refused (nothing added) when another machine answers.

        HeldByPeer when that is a card of the peer's; ``despite_peer`` it is added all the same.
        """
        ...

    async def remove(
        self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float
    ) -> Outcome: ...
    async def announce(self, addresses: tuple[ServiceAddress, ...], *, timeout_s: float) -> Outcome:
        """Tell the neighbours again where those of the addresses are that this machine has."""
        ...

    async def present_each(
        self, wanted: Sequence[tuple[ServiceAddress, ...]]
    ) -> tuple[Presence, ...]:
        """Tell of each group whether its addresses are here, all from one reading.

        The reading began after the call, and may hang as long as the kernel does; OSError when the
        kernel refuses.
        """
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` soon after the kernel told of changed cards or addresses.

        Many changes in a short time are told once. What the kernel told may be lost.
        """
        ...


class Programs(Protocol):
    """Runs applications in control groups of their own."""

    async def start(self, application: str, program: Program, *, timeout_s: float) -> Outcome: ...
    async def stop(self, application: str, program: Program, *, timeout_s: float) -> Outcome: ...

    async def kill(self, application: str, program: Program, *, timeout_s: float) -> Outcome:
        """TERM, then KILL everything in the application's control group."""
        ...

    async def running(self, application: str, program: Program) -> bool | None:
        """True or False when known; None when only some of it runs."""
        ...


class Paths(Protocol):
    def use(self, cluster: Cluster) -> None:
        """From now on watch the networks of this configuration."""
        ...

    async def reference_answers(self, network: str, *, timeout_s: float) -> bool:
        """Tell whether the network's reference address answers; False when it has none."""
        ...

    def link_up(self, network: str) -> bool:
        """Tell whether the card that holds this node's address on the network has a link."""
        ...

    def on_link_change(self, callback: Callable[[str, bool], None]) -> None:
        """Call ``callback(network, up)`` after every change of a link."""
        ...


class Storage(Protocol):
    """Small files that must survive: written beside, fsynced, renamed, directory fsynced."""

    def load(self, name: str) -> bytes | None: ...
    def store(self, name: str, content: bytes) -> None: ...
    def forget(self, name: str) -> None:
        """Remove it for good; nothing happens when there is none."""
        ...


class Clock(Protocol):
    def monotonic_s(self) -> float: ...
    def boot_s(self) -> float: ...
    def wall_s(self) -> float: ...


@dataclass(frozen=True, slots=True)
class HeardDatagram:
    """An authenticated heartbeat that is no replay."""

    network: str
    incarnation: int
    body: bytes


# Of the body of a heartbeat. With header and tag a datagram then has 1,400 bytes, which fit into
# one packet everywhere; what is longer no version takes in.
HEARTBEAT_BYTES_MAX: Final = 1356


class TooLongError(Exception):
    """A bug: a body was to be sent that its receiver would drop, as if nothing had been said."""


class Heartbeats(Protocol):
    """Small authenticated datagrams on every network. Loss is normal; nothing here waits."""

    def open(self, heard: Callable[[HeardDatagram], None]) -> None:
        """Listen on all networks; an address that is not there yet is retried at each send."""
        ...

    def send(self, incarnation: int, body: bytes) -> None:
        """Send on every network; TooLongError beyond ``HEARTBEAT_BYTES_MAX``."""
        ...

    def drain(self) -> None:
        """Hand over all that the kernel has already received, so that silence is real silence."""
        ...

    def rejected(self) -> int:
        """Count datagrams that were forged, replayed or damaged."""
        ...

    def close(self) -> None: ...


class LinkListener(Protocol):
    """What the one connection to the peer reports."""

    def opened(self, network: str) -> None: ...
    def received(self, message: bytes) -> None: ...
    def closed(self, why: str) -> None: ...


class PeerLink(Protocol):
    """One mutually authenticated connection to the peer, made again whenever it breaks."""

    def open(self, listener: LinkListener) -> None: ...

    def send(self, message: bytes) -> None:
        """Queue a message; it is lost when no connection is open or the connection breaks."""
        ...

    def trouble(self) -> str:
        """Say why the last attempt to connect failed; empty while a connection is open."""
        ...

    async def close(self) -> None: ...


class Witnesses(Protocol):
    """Third places that record one holder for each epoch of this cluster."""

    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        """Ask one witness to record this node as the holder of ``epoch``.

        GRANTED when no epoch as high was recorded, or this node holds exactly this one: asking
        again is harmless. Never raises; what fails is UNREACHABLE.
        """
        ...

    async def look(self, witness: Witness, *, timeout_s: float) -> WitnessAnswer:
        """Read what it has recorded; SEEN or UNREACHABLE. Records nothing."""
        ...


class Fencing(Protocol):
    """Agents of the fence-agents package."""

    async def switch_off(self, method: FenceMethod) -> Outcome:
        """Switch ``method.node`` off. Done: the agent confirmed that it is off."""
        ...


class WatchdogDevice(Protocol):
    def open(self, watchdog: Watchdog) -> Outcome:
        """Open the device and set its time-out; from now on it must be fed. Done if it is open."""
        ...

    def feed(self) -> None: ...
    def release(self) -> None:
        """Close it in the way that does not reset the node; does nothing when it is not open."""
        ...


class Supervisor(Protocol):
    """The service manager that started the daemon."""

    def notify(self, *lines: str) -> None:
        """Tell it e.g. READY=1. Never waits; does nothing when nobody listens."""
        ...

    def watchdog_s(self) -> float | None:
        """Return how often it wants to hear WATCHDOG=1, at least; None: it does not care."""
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


class FileLooks(Protocol):
    """Look at files without changing anything."""

    async def open(self, volume: Volume, snapshot: str, folder: str) -> Outcome:
        """Mount a snapshot of the volume's group read-only at ``folder``, which is made."""
        ...

    async def close(self, folder: str) -> Outcome:
        """Unmount it and remove the folder; Done also when there is none."""
        ...

    async def changed_since(
        self, folder: str, wall_s: float, *, limit: int
    ) -> tuple[ChangedFile, ...] | None:
        """Return the newest files changed since then; None when it could not be found out."""
        ...


class LogicalVolumes(Protocol):
    """LVM, for building and for snapshots: nothing here is on the path of a failover."""

    async def group(self, name: str) -> GroupStorage:
        """Return what lies in a group, without mounts; of an unknown one that it does not exist.

        What its volumes hold is left UNSEEN.
        """
        ...

    async def look(
        self, group: str, volume: LogicalVolume, *, whole: bool = False
    ) -> LogicalVolume:
        """Return a volume of a group with what it holds, whatever can be read of it.

        Data of an unknown kind is looked for in some places only, with ``whole`` in every byte:
        that may take minutes, and what takes longer is not free.
        """
        ...

    async def create(self, group: str, name: str, size_bytes: int) -> Outcome:
        """Make a linear volume of at least this size; Refused when the name is taken."""
        ...

    async def disown(self, group: str, name: str) -> Outcome:
        """Take our tag from a volume: from now on it is none of ours. Done also when it is not."""
        ...

    async def remove(self, group: str, name: str) -> Outcome:
        """Remove a volume that is not in use; Done also when there is none."""
        ...

    async def snapshot(self, group: str, origin: str, name: str, size_bytes: int) -> Outcome:
        """Keep the present content of ``origin``, as long as at most that much is overwritten.

        From its making on it has the tag by which we know that it is ours.
        """
        ...

    async def remove_snapshot(self, group: str, name: str) -> Outcome:
        """Remove a snapshot of ours; Refused when it is none, Done also when there is nothing."""
        ...


class NativeMounts(Protocol):
    """File systems as they are before DRBD: mounted straight from the logical volume."""

    def mounts(self, group: GroupStorage) -> tuple[NativeMount, ...]:
        """Return what is mounted straight from volumes of the group, each mount once."""
        ...

    async def mount(self, volume: Volume) -> Outcome:
        """Mount the backing device where it was; Done also when it already is."""
        ...

    async def unmount(self, volume: Volume) -> Outcome:
        """Unmount the backing device; Refused, with the holders named, when it is in use."""
        ...

    async def leave_fstab(self, volume: Volume) -> Outcome:
        """Let nothing mount the bare volume: neither a boot nor systemd. Done also if nothing does.

        Refused when something does that only a person may change.
        """
        ...

    async def restore_fstab(self, volume: Volume) -> Outcome:
        """Let fstab mount it again as before; Done also when it never did."""
        ...

    def mounted(self, volume: Volume) -> bool:
        """Tell whether the bare volume is mounted here."""

    def left_out(self, volume: Volume) -> bool:
        """Tell whether a line of fstab would mount it here, had we not left it out."""

    def make_mount_point(self, volume: Volume) -> Outcome: ...


class ReplicationFiles(Protocol):
    """DRBD's resource files and meta-data on this node's disks."""

    def write(self, built: Built, volume: Volume) -> Outcome:
        """Write the file; Done also when it already says the same."""
        ...

    def remove(self, volume: Volume) -> Outcome: ...
    def described(self) -> tuple[Volume | str, ...]:
        """Return the volumes of all resource files of ours; the name of one that does not say it.

        OSError when one cannot be read.
        """

    async def make_meta_data(self, volume: Volume) -> Outcome:
        """Write fresh meta-data: this copy counts as empty until it has met a valid one."""
        ...
