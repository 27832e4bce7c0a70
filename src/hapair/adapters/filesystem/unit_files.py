"""The files of systemd's units on this machine, and which of them count."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ETC: Final = Path("/etc")
_OWN: Final = "systemd/system"
# Where administrators, packages and generators put units; a file hides those that follow.
UNIT_FOLDERS: Final = (
    Path("/run/systemd/transient"),
    Path("/run/systemd/generator.early"),
    ETC / _OWN,
    Path("/run/systemd/system"),
    Path("/run/systemd/generator"),
    Path("/usr/local/lib/systemd/system"),
    Path("/usr/lib/systemd/system"),
    Path("/run/systemd/generator.late"),
)


@dataclass(frozen=True, slots=True)
class UnitFiles:
    folders: tuple[Path, ...] = UNIT_FOLDERS
    etc: Path = ETC

    @property
    def own(self) -> Path:
        """Return the folder where administrators write."""
        return self.etc / _OWN

    def named(self, *patterns: str) -> Iterator[Path]:
        """Yield the files that count; one that is masked is empty."""
        seen: set[str] = set()
        for folder in self.folders:
            for file in sorted(each for pattern in patterns for each in folder.glob(pattern)):
                name = str(file.relative_to(folder))
                if name not in seen:
                    seen.add(name)
                    yield file

    def taken_away(self, file: Path) -> str:
        """Say what a person types so that a unit's file counts no more, also after a boot."""
        own = self.own
        if own in self.folders and file.parent in self.folders[self.folders.index(own) + 1 :]:
            return f"systemctl mask {file.name}"
        return f"mv {file} /root/; systemctl daemon-reload"


def text_of(file: Path) -> str:
    """Return the text of a file; nothing of one that is not there, or is a folder."""
    with contextlib.suppress(OSError):
        return file.read_bytes().decode("utf-8", "surrogateescape")
    return ""
