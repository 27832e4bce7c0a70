"""The command lines of drbd-utils. DRBD 8.4 and 9 name the same thing differently."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hapair.model.application import Volume

Argv = tuple[str, ...]

# drbdsetup of 9.x looks at the kernel and replaces itself by this one for DRBD 8.4. Called
# directly it saves the failover path one program start.
SETUP_OF_8_4: Final = "/lib/drbd/drbdsetup-84"
SETUP: Final = "drbdsetup"


class Dialect(StrEnum):
    """What the kernel's DRBD understands."""

    V8_4 = "8.4"  # Addresses devices by their minor number.
    V9 = "9"  # Addresses resources by their name.

    @staticmethod
    def of_version(version: str) -> "Dialect":
        """Return the dialect of a kernel module's version, e.g. "8.4.11" or "9.2.8"."""
        return Dialect.V8_4 if version.startswith("8.") else Dialect.V9


def create_md(volume: Volume) -> Argv:
    """Make the meta-data anew: the copy counts as empty until it has met a valid one."""
    return ("drbdadm", "--", "--force", "create-md", volume.resource)


@dataclass(frozen=True, slots=True)
class Commands:
    dialect: Dialect
    setup: str = SETUP

    def _object(self, volume: Volume) -> str:
        return str(volume.minor) if self.dialect is Dialect.V8_4 else volume.resource

    def adjust(self, volume: Volume) -> Argv:
        """Make the kernel follow the resource file; starts what is not started."""
        return ("drbdadm", "adjust", volume.resource)

    def get_gi(self, volume: Volume) -> Argv | None:
        """Print the identifiers of the copy's past while it is not attached; None: not known."""
        meta = self._meta(volume)
        return (*meta, "get-gi") if meta else None

    def set_gi(self, volume: Volume, generations: str) -> Argv:
        return (*self._meta(volume), "set-gi", generations)

    def _meta(self, volume: Volume) -> Argv:
        if self.dialect is not Dialect.V8_4:
            return ()
        minor = str(volume.minor)
        return ("drbdmeta", "--force", minor, "v08", volume.meta_device, "flex-external")

    def down(self, volume: Volume) -> Argv:
        return (self.setup, "down", volume.resource)

    def primary(self, volume: Volume, *, force: bool) -> Argv:
        return (self.setup, "primary", self._object(volume), *(("--force",) if force else ()))

    def secondary(self, volume: Volume) -> Argv:
        return (self.setup, "secondary", self._object(volume))

    def detach_by_force(self, volume: Volume) -> Argv:
        """Detach without waiting for writes that the disk does not complete."""
        return (self.setup, "detach", str(volume.minor), "--force")

    def resume_io(self, volume: Volume) -> Argv:
        return (self.setup, "resume-io", str(volume.minor))

    def show(self) -> Argv:
        """Print how everything is configured in the kernel, with the addresses."""
        return (self.setup, "show")

    def events(self) -> Argv:
        """Print the state of everything, then every change, without end."""
        return (self.setup, "events2", "--statistics")
