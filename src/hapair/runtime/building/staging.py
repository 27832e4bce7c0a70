"""Change several files of one node as one: stage, commit, then finish or undo.

Staged files and copies of the old ones lie in ``/etc/cluster/.staging-<generation>`` together
with a journal. The journal is written before each phase, so that whoever finds a leftover, after a
crash at any moment, can carry it through or take it back. built.json is replaced last and
restored first: it is what the daemon believes.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapair.durable import sync_folder
from hapair.model.leftover import Leftover, Stage
from hapair.rpc.messages import Malformed
from hapair.runtime.building.files import (
    PRIVATE_FOLDER_MODE,
    PRIVATE_MODE,
    NewFile,
    digest,
    make_folders,
    remove_durably,
    write_durably,
)
from hapair.runtime.codec import dumps, loads
from hapair.runtime.places import Places

PREFIX: Final = ".staging-"
JOURNAL: Final = "journal.json"
LAST: Final = "etc/cluster/built/built.json"
# Nothing else is ever written or removed, whoever asks for it.
ALLOWED: Final = ("etc/cluster/", "etc/drbd.d/hapair-", "etc/lvm/lvmlocal.conf")


class StagingError(Exception):
    """What was asked cannot be done with what lies there; nothing in use was changed by it."""


@dataclass(frozen=True, slots=True)
class Entry:
    path: str
    mode: int
    remove: bool
    digest: str
    existed: bool
    old_mode: int
    old_digest: str


@dataclass(frozen=True, slots=True)
class Journal:
    stage: Stage
    entries: tuple[Entry, ...]


class Staging:
    def __init__(self, places: Places, generation: int) -> None:
        self._root = places.root
        self.folder = places.configuration / f"{PREFIX}{generation}"

    # --- Phases ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Make the folder; StagingError when a leftover is in the way."""
        make_folders(self.folder.parent)
        try:
            self.folder.mkdir(PRIVATE_FOLDER_MODE)
        except FileExistsError:
            raise StagingError(f"{self.folder} is left over from another build") from None
        sync_folder(self.folder.parent)

    def stage(self, files: tuple[NewFile, ...]) -> None:
        """Write the new files and copies of the old ones beside each other, and check them."""
        entries = []
        ordered = sorted(files, key=lambda file: file.path == LAST)
        for number, file in enumerate(ordered):
            target = self._target(file.path)
            existed = target.is_file()
            old = target.read_bytes() if existed else b""
            if existed:
                write_durably(self._old(number), old, PRIVATE_MODE)
            if not file.remove:
                write_durably(self._new(number), file.content, PRIVATE_MODE)
            old_mode = target.stat().st_mode & 0o777 if existed else 0
            entries.append(
                Entry(
                    path=file.path,
                    mode=file.mode,
                    remove=file.remove,
                    digest=digest(file.content),
                    existed=existed,
                    old_mode=old_mode,
                    old_digest=digest(old),
                )
            )
        journal = Journal(Stage.STAGED, tuple(entries))
        self._verify(journal)
        self._write(journal)

    def commit(self) -> None:
        """Put the new files in place. May be repeated; after a crash it carries on.

        Raises StagingError before anything was changed, OSError after some of it was.
        """
        journal = self._journal()
        if journal is None:
            raise StagingError(f"nothing is staged in {self.folder}")
        if journal.stage is Stage.COMMITTED:
            return
        self._verify(journal)
        if journal.stage is Stage.STAGED:
            self._verify_unchanged(journal)
        self._write(replace(journal, stage=Stage.COMMITTING))
        for number, entry in enumerate(journal.entries):
            self._put(entry, number)
        self._write(replace(journal, stage=Stage.COMMITTED))

    def undo(self) -> None:
        """Put back what was, whatever was reached; may be repeated."""
        journal = self._journal()
        if journal is not None and journal.stage in {Stage.COMMITTING, Stage.COMMITTED}:
            for number, entry in reversed(tuple(enumerate(journal.entries))):
                self._put_back(entry, number)
        self.finish()

    def finish(self) -> None:
        """Forget the staged files and the copies of the old ones."""
        # The journal goes first: a folder without one is known to hold nothing that matters.
        remove_durably(self.folder / JOURNAL)
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent)

    @property
    def stage_reached(self) -> Stage | None:
        """Return how far it came; None when there is no trace of it."""
        if not self.folder.is_dir():
            return None
        journal = self._journal()
        return journal.stage if journal else Stage.EMPTY

    # --- Parts -------------------------------------------------------------------------------

    def _target(self, path: str) -> Path:
        plain = os.path.normpath(path) == path and not path.startswith("/")
        if not plain or not path.startswith(ALLOWED) or PREFIX in path:
            raise StagingError(f"{path} is no file of the cluster's configuration")
        return self._root / path

    def _new(self, number: int) -> Path:
        return self.folder / f"new-{number}"

    def _old(self, number: int) -> Path:
        return self.folder / f"old-{number}"

    def _put(self, entry: Entry, number: int) -> None:
        target = self._target(entry.path)
        if entry.remove:
            remove_durably(target)
        else:
            write_durably(target, self._new(number).read_bytes(), entry.mode)

    def _put_back(self, entry: Entry, number: int) -> None:
        target = self._target(entry.path)
        if entry.existed:
            write_durably(target, self._old(number).read_bytes(), entry.old_mode)
        else:
            remove_durably(target)
            # A folder that only this build had made goes too; one that is in use stays.
            with contextlib.suppress(OSError):
                target.parent.rmdir()

    def _verify(self, journal: Journal) -> None:
        for number, entry in enumerate(journal.entries):
            parts = []
            if not entry.remove:
                parts.append((self._new(number), entry.digest))
            if entry.existed:
                parts.append((self._old(number), entry.old_digest))
            for file, wanted in parts:
                if not file.is_file() or digest(file.read_bytes()) != wanted:
                    raise StagingError(f"{file} is not what was staged: the disk may be failing")

    def _verify_unchanged(self, journal: Journal) -> None:
        for entry in journal.entries:
            target = self._target(entry.path)
            now = digest(target.read_bytes()) if target.is_file() else ""
            if now != (entry.old_digest if entry.existed else ""):
                raise StagingError(f"{target} was changed meanwhile by somebody else")

    def _journal(self) -> Journal | None:
        try:
            return loads(Journal, (self.folder / JOURNAL).read_bytes())
        except FileNotFoundError:
            return None
        except Malformed as error:
            raise StagingError(f"{self.folder / JOURNAL} cannot be read ({error})") from None

    def _write(self, journal: Journal) -> None:
        write_durably(self.folder / JOURNAL, dumps(journal), PRIVATE_MODE)


def leftovers(places: Places) -> tuple[Leftover, ...]:
    """Return what interrupted builds left behind, oldest generation first."""
    found = []
    for folder in places.configuration.glob(f"{PREFIX}*"):
        number = folder.name.removeprefix(PREFIX)
        if number.isdecimal():
            stage = Staging(places, int(number)).stage_reached
            if stage is not None:
                found.append(Leftover(int(number), stage))
    return tuple(sorted(found, key=lambda each: each.generation))
