"""The port ``Replication``: DRBD through drbd-utils."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.argv import SETUP_OF_8_4, Argv, Commands, Dialect, create_md
from hapair.adapters.drbd.backing import activate, make_writable
from hapair.adapters.drbd.events import Events
from hapair.adapters.drbd.generations import newer
from hapair.adapters.drbd.holders import holders_of, writable_loops
from hapair.adapters.drbd.parse import disk_of, proc_devices, remote_addresses
from hapair.adapters.drbd.said import said
from hapair.adapters.drbd.settling import SettlingRunner
from hapair.adapters.shared.passing import refused
from hapair.adapters.shared.pinned import is_pinned, keep_pinned
from hapair.adapters.shared.process import follow
from hapair.adapters.shared.together import Together
from hapair.model.application import Volume
from hapair.model.cluster import Cluster
from hapair.model.data import Connection, Disk, Role, VolumeFacts
from hapair.model.holders import UNSEEN
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.programs import CommandRunner, Finished, NotStarted, TimedOut

# drbdsetup's exit codes when the kernel answered with a clear no: 5, 11, 16, 17 are refused
# changes of state, 10 is a wrong or missing object. After 20 and above anything may have happened.
REFUSED_CODES: Final = frozenset({5, 10, 11, 16, 17})
NOT_STARTED_CODES: Final = frozenset({126, 127})  # The program itself is missing.
NO_MEMORY: Final = "(122)"  # The kernel's ERR_NOMEM, with exit code 10.
NOT_OPENED: Final = "(104)"  # And its ERR_OPEN_DISK.
NO_DEMOTE: Final = "failed to demote"  # "down" changes nothing when its first step fails.
LOOK_INTERVAL_S: Final = 0.05
SHOW_S: Final = 2.0  # A look into the kernel's memory; what it tells of others waits meanwhile.

Lines = AsyncGenerator[tuple[str, ...]]


class Drbd:
    """Decides nothing. ``facts`` and ``watch`` know what the newest event said."""

    def __init__(
        self,
        run: CommandRunner,
        *,
        follow_lines: Callable[[Argv, Callable[[], float]], Lines] | None = None,
        proc: Path = Path("/proc/drbd"),
        module: Path = Path("/sys/module/drbd"),
        file_systems: Path = Path("/proc/filesystems"),
        devices: Path = Path("/dev"),
    ) -> None:
        self._run = SettlingRunner(run)
        self._together = Together()
        self._file_systems = file_systems
        self._devices = devices
        self._proc = proc
        self._module = module
        self._events = Events(
            follow=follow_lines or (lambda argv, idle_s: follow(argv, idle_s=idle_s)),
            argv=lambda: self._commands().events(),
            proc_text=self._proc_text_or_nothing,
            loaded=module.exists,
            addresses=self._addresses,
        )

    def use_peer(self, cluster: Cluster, me: str) -> None:
        """From now on only connections to the peer of ``me`` count as connections."""
        peer = cluster.replication_network.attachment(cluster.peer_of(me))
        self._events.peer = str(peer.address.ip)

    async def _addresses(self) -> Mapping[str, str]:
        match await self._run(self._commands().show(), timeout_s=SHOW_S):
            case Finished(exit_code=0, stdout=text):
                return remote_addresses(text)
            case _:  # Asked again soon.
                return {}

    async def watch(self) -> AsyncGenerator[tuple[VolumeFacts, ...]]:
        """Yield all facts, first at once, then whenever one of them changed. Never ends."""
        pinned = asyncio.create_task(keep_pinned(Path(SETUP_OF_8_4)), name="keep drbdsetup")
        try:
            async with aclosing(self._events.watch()) as watched:
                async for facts in watched:
                    yield facts
        finally:
            pinned.cancel()

    def facts(self, resource: str) -> VolumeFacts | None:
        return self._events.facts(resource)

    async def bring_up(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Attach and connect. A failure may leave one of the two done: Unknown.

        The file system's kernel module is loaded here as well: at the first mount, which may be
        in a take-over, it would cost seconds on a slow machine.
        """
        self._events.names[volume.minor] = volume.resource
        await self._load_file_system(volume, timeout_s)
        facts = self.facts(volume.resource)
        if facts and facts.disk is not Disk.DISKLESS and (
            facts.connection is not Connection.STAND_ALONE
        ):  # fmt: skip
            return Done("it already is up")
        if not self._module.exists():
            loaded = await self._run(("modprobe", "drbd"), timeout_s=timeout_s)
            if not isinstance(loaded, Finished) or loaded.exit_code != 0:
                why = "the kernel module drbd cannot be loaded: modprobe drbd failed"
                return refused(why, loaded) if isinstance(loaded, Finished) else Refused(why)
        activated = await activate(self._run, self._devices, volume, timeout_s)
        if not isinstance(activated, Done):
            return activated
        device = self._devices / volume.volume_group / volume.logical_volume
        if loops := writable_loops(device):
            return Refused(f"{device} can be written through {', '.join(loops)}; see: losetup -d")
        await make_writable(self._together, device)
        argv = self._commands().adjust(volume)
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return _no_answer(argv, after_s)
            case Finished(exit_code=0):
                return Done()
            case Finished(exit_code=code) as finished if code in NOT_STARTED_CODES:
                return refused(_said(argv, finished), finished)
            case finished:
                held = await self._held(volume) or _held_unseen(finished)
                return Unknown(f"{_said(argv, finished)}{held}")

    async def bring_up_anew(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Make the meta-data anew, so that the copy counts as empty, and bring it up.

        Done also when it is up and Inconsistent: then all of it comes from the peer anyway.
        """
        return await self._bring_up_after(volume, create_md(volume), timeout_s)

    async def bring_up_as_it_is(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Note that no block is known to be on the peer, in a generation of its own; bring it up.

        When the copies meet, DRBD replaces all of the peer's, or sees a split brain if that was
        written by itself.
        """
        commands = self._commands()
        read = commands.get_gi(volume)
        if read is None:
            return Refused("this needs DRBD 8.4")
        match await self._run(read, timeout_s=timeout_s):
            case Finished(exit_code=0, stdout=text) if (generations := newer(text)) is not None:
                return await self._bring_up_after(
                    volume, commands.set_gi(volume, generations), timeout_s
                )
            case TimedOut(after_s):
                return _no_answer(read, after_s)
            case finished:
                why = f"{_said(read, finished)}: the copy is not complete"
                return refused(why, finished)

    async def _bring_up_after(self, volume: Volume, argv: Argv, timeout_s: float) -> Outcome:
        """Change the meta-data of a volume that nobody has, and bring it up."""
        if (disk := self._disk(volume)) is not Disk.DISKLESS:
            inconsistent = disk is Disk.INCONSISTENT
            return Done() if inconsistent else Refused(f"it is attached already, and {disk}")
        if held := await self._held(volume):
            return Refused(held.removeprefix("; "))
        activated = await activate(self._run, self._devices, volume, timeout_s)
        if not isinstance(activated, Done):
            return activated
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return _no_answer(argv, after_s)
            case Finished(exit_code=0):
                return await self.bring_up(volume, timeout_s=timeout_s)
            case finished:
                return refused(_said(argv, finished), finished)

    async def _held(self, volume: Volume) -> str:
        """Name who keeps DRBD from the disks (runbook 23)."""
        found = [
            f"{volume.volume_group}/{name} is held by {holder}"
            for name in (volume.logical_volume, volume.meta_volume)
            for holder in await asyncio.to_thread(
                holders_of, self._devices / volume.volume_group / name
            )
        ]
        return f"; {', '.join(found)}" if found else ""

    async def _load_file_system(self, volume: Volume, timeout_s: float) -> None:
        """Load the kernel's module; a failure is left for the mount, which explains it better."""
        if f"\t{volume.file_system}\n" not in self._file_systems.read_text():
            await self._run(("modprobe", volume.file_system), timeout_s=timeout_s)

    async def take_down(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Disconnect, detach and forget; Refused while somebody holds the device open."""
        if not self._module.exists():
            return Done("the kernel module is not loaded: nothing is up")
        argv = self._commands().down(volume)
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return _no_answer(argv, after_s)
            case Finished(exit_code=0):
                self._events.confirm(volume.resource, None)
                return Done()
            case finished if NO_DEMOTE in finished.stderr or isinstance(finished, NotStarted):
                return refused(_said(argv, finished), finished)
            case finished:
                return Unknown(_said(argv, finished))

    async def promote(self, volume: Volume, *, timeout_s: float, force: bool = False) -> Outcome:
        """Make this node Primary. ``force`` makes even an old or incomplete copy the valid one."""
        if taken := self._taken(volume):
            return Refused(taken)
        outcome = await self._change(self._commands().primary(volume, force=force), timeout_s)
        if isinstance(outcome, Done):
            self._events.confirm(volume.resource, Role.PRIMARY)
        return outcome

    async def demote(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Make this node Secondary; Refused while somebody holds the device open."""
        if taken := self._taken(volume):
            return Refused(taken)
        outcome = await self._change(self._commands().secondary(volume), timeout_s)
        if isinstance(outcome, Done):
            self._events.confirm(volume.resource, Role.SECONDARY)
        return outcome

    async def detach_by_force(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Give up the local disk, so that writes that hang or are frozen end with an error.

        Frozen writes are let go only once the kernel calls the disk Diskless. Before, they would be
        acknowledged on this side alone, and a disk that is still Failed gets a new generation: to
        DRBD the copies would have gone apart, although nothing was written. When the disk itself
        hangs, DRBD 8.4 waits for it all the same, and panics should it answer later: then only a
        reset of the node helps.
        """
        commands = self._commands()
        if why := self._taken(volume) or self._held_by_a_person(volume):
            return Refused(why)
        if self._disk(volume) is not Disk.DISKLESS:  # A daemon that died may have come so far.
            detached = await self._change(commands.detach_by_force(volume), timeout_s)
            if not isinstance(detached, Done):
                return detached
        for _ in range(round(timeout_s / LOOK_INTERVAL_S)):
            disk, frozen = self._disk(volume), self._suspended(volume)
            if disk is Disk.FAILED and not frozen:
                return Done()
            if disk is Disk.DISKLESS:
                break
            await asyncio.sleep(LOOK_INTERVAL_S)
        else:
            return Unknown(f"{volume.resource} is not detached after {timeout_s} s")
        if not frozen:
            return Done()
        resumed = await self._change(commands.resume_io(volume), timeout_s)
        return resumed if isinstance(resumed, Done) else Unknown(resumed.why)

    async def resume(self, volume: Volume, *, timeout_s: float) -> Outcome:
        """Let frozen writes go, although no handler said so.

        DRBD makes a new generation first. It does not note that the peer's copy is outdated. It
        would let go what an administrator froze as well, so that is refused.
        """
        if why := self._taken(volume) or self._held_by_a_person(volume):
            return Refused(why)
        if not self._suspended(volume):
            return Done("its writes are not frozen")
        if (disk := self._disk(volume)) is not Disk.UP_TO_DATE:
            return Refused(f"the copy of {volume.resource} here is {disk}: its writes would fail")
        return await self._change(self._commands().resume_io(volume), timeout_s)

    async def _change(self, argv: Argv, timeout_s: float) -> Outcome:
        match await self._run(argv, timeout_s=timeout_s):
            case TimedOut(after_s):
                return _no_answer(argv, after_s)
            case Finished(exit_code=0):
                return Done()
            case finished if finished.exit_code in REFUSED_CODES | NOT_STARTED_CODES:
                return refused(_said(argv, finished), finished, NO_MEMORY)
            case finished:
                return Unknown(_said(argv, finished))

    def _commands(self) -> Commands:
        """Look at the kernel each time: the module may be loaded, or replaced, while we run."""
        try:
            version = (self._module / "version").read_text().strip()
        except OSError:
            version = "8.4"
        dialect = Dialect.of_version(version)
        if dialect is Dialect.V8_4 and is_pinned(SETUP_OF_8_4):
            return Commands(dialect, SETUP_OF_8_4)
        return Commands(dialect)

    def _taken(self, volume: Volume) -> str:
        """Say which other resource has the volume's device: 8.4 is told only its number."""
        holder = self._events.holder(volume.minor)
        if holder in ("", volume.resource):
            return ""
        return f"/dev/drbd{volume.minor} belongs to {holder}, not to {volume.resource}"

    def _held_by_a_person(self, volume: Volume) -> str:
        facts = self.facts(volume.resource)
        held = facts is not None and facts.held
        return (
            f"its writes were frozen by hand: drbdadm resume-io {volume.resource}" if held else ""
        )

    def _disk(self, volume: Volume) -> Disk:
        """Return the disk's state from the kernel itself where it tells (DRBD 8.4)."""
        if self._taken(volume):
            return Disk.DISKLESS
        if device := proc_devices(self._proc_text()).get(volume.minor):
            return disk_of(device.disk)
        facts = self.facts(volume.resource)
        return facts.disk if facts else Disk.DISKLESS

    def _suspended(self, volume: Volume) -> bool:
        if device := proc_devices(self._proc_text()).get(volume.minor):
            return device.suspended
        facts = self.facts(volume.resource)
        return facts is not None and facts.suspended

    def _proc_text(self) -> str:
        """Return what 8.4 tells of all devices; OSError when it is there and cannot be read."""
        try:
            return self._proc.read_text()
        except FileNotFoundError:
            return ""

    def _proc_text_or_nothing(self) -> str:
        """Return the same, to be compared with: where nothing can be read, nothing disagrees."""
        try:
            return self._proc_text()
        except OSError:
            return ""


def _no_answer(argv: Argv, after_s: float) -> Unknown:
    return Unknown(f"{' '.join(argv)} gave no answer within {after_s} s")


def _held_unseen(finished: Finished) -> str:
    return f"; if it is held, then by {UNSEEN}" if NOT_OPENED in finished.stderr else ""


def _said(argv: Argv, finished: Finished) -> str:
    return f"{' '.join(argv)} ended with {finished.exit_code}: {said(finished)}"
