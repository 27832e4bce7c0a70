"""A folder on a shared mount as witness: a log of numbered files that nobody ever overwrites.

Each grant appends one file, "00000000000000000007" say, with link(2): on NFS too the server alone
decides who of two nodes made it. Only a node that appended its own file was granted; looking
alone never grants, because what a mount shows may be old. So listing the folder is a hint only.
"""

import asyncio
import errno
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hapair.adapters.shared.children import Write
from hapair.adapters.shared.forked import Ended, Forked, StillRuns
from hapair.adapters.witness.words import (
    Asker,
    NoAnswer,
    Record,
    denied,
    granted,
    may_hold,
    object_of,
    record_of,
    seen,
)
from hapair.model.cluster import Witness
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.witness import Answer, WitnessAnswer

DIGITS: Final = 20
FILE_BYTES_MAX: Final = 4096
# How many files may appear between a look at the folder and the end of the log.
STEPS_MAX: Final = 1000
SAID: Final = 0  # What a child's exit code says: its text is an answer, or why there is none.
FAILED: Final = 1


class Log(Protocol):
    """Numbered records, 1 first, without a gap."""

    def last_hint(self) -> int:
        """Return the number of a record that exists, at best of the last one; 0: none seen."""
        ...

    def read(self, number: int) -> Record | None:
        """Return a record; None when there is none, as far as can be seen from here."""
        ...

    def append(self, number: int, record: Record) -> bool:
        """Add the record with this number; False when somebody else has added that number."""
        ...


def end_of(log: Log) -> tuple[int, Record]:
    """Return the last record that can be seen, and its number."""
    number = log.last_hint()
    record = log.read(number) if number else Record()
    if record is None:
        raise NoAnswer(f"record {number} is gone", "nothing but hapair may change this folder")
    for _ in range(STEPS_MAX):
        following = log.read(number + 1)
        if following is None:
            return number, record
        number, record = number + 1, following
    raise NoAnswer(f"more than {STEPS_MAX} records appeared while it was read")


def ask(log: Log, epoch: int, node: str) -> WitnessAnswer:
    """Append a record that gives ``epoch`` to ``node`` unless another holds it or a later one."""
    for _ in range(STEPS_MAX):
        number, record = end_of(log)
        if not may_hold(record, epoch, node):
            return denied(record)
        if log.append(number + 1, Record(epoch, node)):
            return granted(epoch, node)
    raise NoAnswer(f"{STEPS_MAX} others were quicker, one after the other")


@dataclass(frozen=True, slots=True)
class FolderLog:
    folder: Path

    def last_hint(self) -> int:
        try:
            names = [entry.name for entry in self.folder.iterdir()]
        except FileNotFoundError:
            raise NoAnswer(
                f"there is no folder {self.folder}",
                "is it mounted? clbuild makes it once, and it must be the same one on both nodes",
            ) from None
        numbers = (int(name) for name in names if len(name) == DIGITS and name.isdecimal())
        return max(numbers, default=0)

    def read(self, number: int) -> Record | None:
        found = self._bytes(number)
        return None if found is None else self._record(found, number)

    def append(self, number: int, record: Record) -> bool:
        content = json.dumps(
            {"epoch": record.epoch, "holder": record.holder, "mark": secrets.token_hex(16)}
        ).encode()
        draft = self.folder / f".{record.holder}-{secrets.token_hex(8)}"
        try:
            _write_durably(draft, content)
            try:
                self.link(draft, number)
            except FileExistsError:
                # Over NFS our own link may be done twice when a reply is lost. The mark tells.
                if self._bytes(number) != content:
                    return False
            _sync_folder(self.folder)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def link(self, draft: Path, number: int) -> None:
        os.link(draft, self._file(number))

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:0{DIGITS}}"

    def _bytes(self, number: int) -> bytes | None:
        try:
            with self._file(number).open("rb") as file:
                return file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return None

    def _record(self, content: bytes, number: int) -> Record:
        try:
            record = record_of(object_of(content, "it"), "it")
        except NoAnswer as error:
            raise NoAnswer(f"{self._file(number)} is damaged: {error}") from None
        return record


def _write_durably(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some network file systems have no such call; they sync.
            raise
    finally:
        os.close(descriptor)


def folder_of(at: str, cluster: str) -> Path:
    return Path(at) / f"hapair-{cluster}"


def _prepared(folder: Path) -> None:
    if not folder.parent.is_dir():
        raise NoAnswer(f"there is no folder {folder.parent}", "mount it, or correct at=")
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


class FileClient:
    """Works in a child process: a mount whose server is dead hangs whoever touches it."""

    def __init__(self, witness: Witness) -> None:
        self._at = witness.at
        self._forked = Forked()
        self._turns: dict[str, asyncio.Lock] = {}

    async def grant(self, asker: Asker, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        log = FolderLog(folder_of(self._at, asker.cluster))
        return _read(
            await self._apart("grant", lambda: _told(ask(log, epoch, asker.node)), timeout_s)
        )

    async def look(self, asker: Asker, *, timeout_s: float) -> WitnessAnswer:
        log = FolderLog(folder_of(self._at, asker.cluster))
        return _read(await self._apart("look", lambda: _told(seen(end_of(log)[1])), timeout_s))

    async def prepare(self, asker: Asker, *, timeout_s: float) -> Outcome:
        folder = folder_of(self._at, asker.cluster)

        def work() -> str:
            _prepared(folder)
            return ""

        try:
            await self._apart("prepare", work, timeout_s)
        except TimeoutError:
            return Unknown(f"{folder}: no answer within {timeout_s:g} s; is its server up?")
        except NoAnswer as error:
            return Refused(str(error))
        return Done(f"{folder} is there")

    def close(self) -> None:
        """Nothing is kept open."""

    async def _apart(self, key: str, work: Callable[[], str], timeout_s: float) -> str:
        def in_child(write: Write) -> int:
            try:
                write(work())
            except (NoAnswer, OSError) as error:
                write(str(error))
                return FAILED
            return SAID

        async with self._turns.setdefault(key, asyncio.Lock()):
            ended = await self._forked(key, in_child, timeout_s=timeout_s)
        match ended:
            case StillRuns():
                raise TimeoutError
            case Ended(exit_code=code, text=text) if code == SAID:
                return text
            case Ended(exit_code=code, text=text) if code == FAILED:
                raise NoAnswer(text)
            case Ended(exit_code=code):
                raise NoAnswer(f"its child process ended with {code}")


def _told(answer: WitnessAnswer) -> str:
    return json.dumps(
        {"answer": answer.answer.value, "epoch": answer.epoch, "holder": answer.holder}
    )


def _read(text: str) -> WitnessAnswer:
    content = object_of(text.encode(), "its child's answer")
    record = record_of(content, "its child's answer")
    return WitnessAnswer(Answer(str(content.get("answer"))), record.epoch, record.holder)
