"""New lines of a file, through rotations and truncations. It is never kept open."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.lems.answers import Answer, Said, failed, good, one_line, unknown
from hapair.lems.files import regular
from hapair.model.monitor import LogProbe, Trouble

READ_BYTES_MAX: Final = 1 << 20  # At one look; of more, the last.
LINE_BYTES_MAX: Final = 4096
SEEN_BYTES: Final = 64  # By these a file is known that was truncated and has grown again.


@dataclass(slots=True)
class Log:
    probe: LogProbe
    trouble: Trouble | None = None  # That its disk hangs tells nothing of what would be in it.
    _inode: int = 0  # 0: it has never been looked at.
    _place: int = 0
    _seen: bytes = b""  # The last ones before the place.

    def ask(self) -> Said:
        return self.look

    def asked(self) -> str:
        return self.probe.path

    def close(self) -> None:
        """Keep nothing open."""

    def look(self) -> Answer:
        """The first look only notes where the file ends."""
        first = not self._inode
        try:
            matching = [each for each in self._lines() if re.search(self.probe.match, each)]
        except FileNotFoundError:
            self._inode = self._inode or -1  # What comes is new.
            return good(f"{self.probe.path} does not exist")
        except OSError as error:
            return unknown(f"{self.probe.path}: {error.strerror}")
        if first or not matching:
            return good(f"no new line of {self.probe.path} matches")
        more = f" (and {len(matching) - 1} more)" if len(matching) > 1 else ""
        return failed(f"{self.probe.path}: {one_line(matching[-1])}{more}")

    def _lines(self) -> list[str]:
        with regular(self.probe.path) as file:
            told = os.fstat(file)
            rest = b""
            if self._inode == 0:
                self._place = told.st_size
            elif told.st_ino != self._inode:
                rest = self._rotated()
                self._place = 0
            elif told.st_size < self._place or not self._is_same(file):
                self._place = 0
            self._inode = told.st_ino
            return [*_split(rest)[0], *self._new(file, told.st_size)]

    def _new(self, file: int, size: int) -> list[str]:
        self._place = max(self._place, size - READ_BYTES_MAX)
        content = os.pread(file, size - self._place, self._place)
        lines, taken = _split(content)
        self._place += taken
        self._seen = os.pread(file, SEEN_BYTES, max(0, self._place - SEEN_BYTES))
        self._seen = self._seen[: min(SEEN_BYTES, self._place)]
        return lines

    def _is_same(self, file: int) -> bool:
        return os.pread(file, len(self._seen), self._place - len(self._seen)) == self._seen

    def _rotated(self) -> bytes:
        """Return what was not read of the file before it got another name."""
        for entry in self._beside():
            with suppress(OSError):
                if entry.inode() == self._inode:
                    with regular(entry.path) as file:
                        return os.pread(file, READ_BYTES_MAX, self._place)
        return b""

    def _beside(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(Path(self.probe.path).parent) as folder:
            yield from folder


def _split(content: bytes) -> tuple[list[str], int]:
    """Return whole lines, and how many bytes they are; the last may still be written."""
    whole = content[: content.rfind(b"\n") + 1]
    lines = [each[:LINE_BYTES_MAX].decode(errors="replace") for each in whole.split(b"\n")]
    return lines, len(whole)
