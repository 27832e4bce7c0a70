"""The port ``FileSystems``: the replicated file systems of applications."""

from collections.abc import Callable

from hapair.adapters.filesystem.changes import MountChanges
from hapair.adapters.filesystem.mounter import Mounter, Target
from hapair.model.application import Volume
from hapair.model.outcome import Outcome
from hapair.ports import CommandRunner


class MountedFileSystems:
    def __init__(self, run: CommandRunner) -> None:
        self._mounter = Mounter(run)
        self._changes = MountChanges()

    def close(self) -> None:
        self._changes.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        self._changes.listen(callback)

    def mounted(self, volume: Volume) -> bool:
        return self._mounter.mounted(_target(volume))

    async def mount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.mount(_target(volume), timeout_s=timeout_s)

    async def unmount(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.unmount(_target(volume), timeout_s=timeout_s)

    async def end_holders(self, volume: Volume, *, timeout_s: float) -> Outcome:
        return await self._mounter.end_holders(_target(volume), timeout_s=timeout_s)


def _target(volume: Volume) -> Target:
    return Target(volume.device, volume.mount_point, volume.file_system, volume.mount_options)
