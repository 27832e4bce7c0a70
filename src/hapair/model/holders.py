"""What keeps a device open besides the application that it belongs to."""

from dataclasses import dataclass
from typing import Final

UNSEEN: Final = (
    "nothing that shows itself: look for a mount in a name space that only a file or a descriptor "
    "keeps (findmnt -t nsfs; lsns -t mnt), for what the kernel alone has open (an iSCSI target, "
    "a client of its NFS server), and for programs that hang in the kernel"
)


@dataclass(frozen=True, slots=True)
class Held:
    what: str  # What holds it, with process, unit and place, e.g. "the mount on /export".
    mend: str  # What ends that.


@dataclass(frozen=True, slots=True)
class Holders:
    """What was found in the time that the look had."""

    found: tuple[Held, ...] = ()
    not_looked_at: str = ""  # What the look did not get to; empty when it saw everything.

    def named(self) -> str:
        """Return all of it in one line, for people."""
        names = [each.what for each in self.found] or [UNSEEN]
        if self.not_looked_at:
            names.append(f"what could not be looked at: {self.not_looked_at}")
        return ", ".join(names)
