"""Resource files and meta-data: what a resource needs before it can be brought up."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from hapair.adapters.drbd.argv import create_md
from hapair.adapters.drbd.resource_file import described, file_name, resource_text
from hapair.adapters.drbd.said import said
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.machine import Storage
from hapair.ports.programs import CommandRunner, Finished, TimedOut

META_DATA_LIMIT_S: Final = 120.0


class DrbdMaker:
    """Files of ``folder`` are written by ``storage``, so that each is whole or not there at all.

    ``secret`` returns what the connections of a configuration are proved with; OSError or
    ValueError when that is not known, and no file is written then.
    """

    def __init__(
        self,
        run: CommandRunner,
        storage: Storage,
        folder: Path,
        secret: Callable[[Built], str] = lambda _: "",
    ) -> None:
        self._run = run
        self._storage = storage
        self._folder = folder
        self._secret = secret

    def write(self, built: Built, volume: Volume) -> Outcome:
        """Write the resource file for drbdadm and for an administrator's eyes."""
        name = file_name(volume.resource)
        try:
            text = resource_text(built, volume, secret=self._secret(built)).encode()
            if self._storage.load(name) != text:
                self._storage.store(name, text)
        except (OSError, ValueError) as error:
            return Refused(f"{self._folder / name}: {error}")
        return Done()

    def remove(self, volume: Volume) -> Outcome:
        """Remove the resource file; Done also when there is none."""
        try:
            self._storage.forget(file_name(volume.resource))
        except OSError as error:
            return Refused(f"{self._folder / file_name(volume.resource)}: {error.strerror}")
        return Done()

    def described(self) -> tuple[Volume | str, ...]:
        """Return the volumes that our resource files are for; names of those that do not say it."""
        found = []
        for file in sorted(self._folder.glob(file_name("*"))):
            volume = described(file.read_text(errors="replace"))
            found.append(str(file) if volume is None else volume)
        return tuple(found)

    async def make_meta_data(self, volume: Volume) -> Outcome:
        """Write fresh meta-data into the meta volume, replacing what is there."""
        match await self._run(create_md(volume), timeout_s=META_DATA_LIMIT_S):
            case TimedOut(after_s):
                return Unknown(f"drbdadm create-md gave no answer within {after_s:.0f} s")
            case Finished(exit_code=0):
                return Done()
            case finished:
                code = finished.exit_code
                return Refused(f"drbdadm create-md ended with {code}: {said(finished)}")
