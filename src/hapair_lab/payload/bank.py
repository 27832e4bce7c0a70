"""A second application of the lab, which writes as PostgreSQL does.

    bank.py FOLDER 7001

Commits go as records with checksums into a pre-allocated segment of a write-ahead log. Those that
wait at the same moment are written together, and are acknowledged after one fdatasync. From time
to time a checkpoint writes the whole state beside the old one, flushes it and renames it; segments
that are needed no more are used again, with their old content in them.

Each teller numbers its commits 1, 2, 3 and sends one until it is acknowledged:

    commit w1 17 any text   ->   ok 17          committed, now or earlier
                                 lost 15        17 was asked, but 15 is the next: 15 and 16 are gone

At the start the log is replayed. A record that is broken ends it, as after a crash; a log with a
hole, or a state whose checksum is wrong, is refused. ``bank.py FOLDER --verify`` prints the state
that a start would find, and changes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

SEGMENT_BYTES = 128 * 1024
CHECKPOINT_EVERY = 400
LINE_MAX_BYTES = 512
BACKLOG = 32
VERIFY_TRIES_MAX = 5
SETTLE_S = 0.003  # Others may join a group of commits for so long.
MAGIC = b"WALR"
# Magic, number, checksum of the record before, length of the text, own checksum.
HEAD = struct.Struct(">4sQIHI")
STATE = "state.json"


class DamagedError(Exception):
    """What is on the disk cannot be what a crash leaves of correct writes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next record belongs, and what went before it."""

    segment: int = 1
    offset: int = 0
    number: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What has been committed: the last number of each teller."""

    place: Place = Place()
    tellers: dict[str, int] = field(default_factory=dict)

    def after(self, teller: str, sequence: int, place: Place) -> State:
        """Return the state with one commit more."""
        return State(place, {**self.tellers, teller: sequence})


def segment_path(folder: Path, segment: int) -> Path:
    """Return the file of a segment."""
    return folder / f"wal-{segment:08d}"


def encode(number: int, before: int, text: bytes) -> tuple[bytes, int]:
    """Return a record and its checksum, which the next record repeats."""
    checksum = zlib.crc32(b"%d %d " % (number, before) + text)
    return HEAD.pack(MAGIC, number, before, len(text), checksum) + text, checksum


def decode(content: bytes, offset: int) -> tuple[int, int, int, bytes] | None:
    """Return number, checksum before, own checksum and text; None if no whole record is there."""
    if offset + HEAD.size > len(content):
        return None
    magic, number, before, length, checksum = HEAD.unpack_from(content, offset)
    text = content[offset + HEAD.size : offset + HEAD.size + length]
    if magic != MAGIC or len(text) != length or encode(number, before, text)[1] != checksum:
        return None
    return number, before, checksum, text


def read_segment(folder: Path, segment: int) -> bytes:
    """Return the content of a segment; nothing if there is none."""
    path = segment_path(folder, segment)
    return path.read_bytes() if path.exists() else b""


def records_after(folder: Path, place: Place) -> Iterator[tuple[bytes, Place]]:
    """Yield the records that follow each other from ``place`` on, with the place after each."""
    content = read_segment(folder, place.segment)
    while True:
        found = decode(content, place.offset)
        if found is None or found[:2] != (place.number + 1, place.checksum):
            content = read_segment(folder, place.segment + 1)
            found = decode(content, 0)
            if found is None or found[:2] != (place.number + 1, place.checksum):
                return
            place = replace(place, segment=place.segment + 1, offset=0)
        number, _, checksum, text = found
        offset = place.offset + HEAD.size + len(text)
        place = Place(place.segment, offset, number, checksum)
        yield text, place


def refuse_a_hole(folder: Path, last: Place) -> None:
    """Raise DamagedError if a later segment has records that nothing leads to."""
    for path in sorted(folder.glob("wal-*")):
        segment = int(path.name.removeprefix("wal-"))
        found = decode(path.read_bytes(), 0)
        if segment > last.segment and found is not None and found[0] > last.number:
            raise DamagedError(f"commit {found[0]} is in {path.name}, {last.number + 1} is nowhere")


def load(folder: Path) -> State:
    """Read the state of the last checkpoint; a new bank has none."""
    path = folder / STATE
    if not path.exists():
        return State()
    checksum, _, text = path.read_bytes().partition(b" ")
    if not checksum.isdigit() or zlib.crc32(text) != int(checksum):
        raise DamagedError(f"{path}: the checksum is wrong")
    content = json.loads(text)
    return State(Place(*content["place"]), dict(content["tellers"]))


def recover(folder: Path) -> State:
    """Return the state of the last checkpoint with all commits after it."""
    state = load(folder)
    for text, place in records_after(folder, state.place):
        teller, sequence = text.decode().split()[:2]
        if int(sequence) != state.tellers.get(teller, 0) + 1:
            raise DamagedError(f"commit {place.number} of {teller}: {sequence} is out of order")
        state = state.after(teller, int(sequence), place)
    refuse_a_hole(folder, state.place)
    return state


def verify(folder: Path) -> State:
    """Return what a start would find, while the bank goes on writing.

    A checkpoint meanwhile moves what is read: then it is read again.
    """
    for _ in range(VERIFY_TRIES_MAX - 1):
        before = load(folder).place
        with contextlib.suppress(DamagedError):
            state = recover(folder)
            if load(folder).place == before:
                return state
    return recover(folder)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


class Log:
    """The disk's side: appends records, makes checkpoints. Used by one thread."""

    def __init__(self, folder: Path, state: State) -> None:
        self._folder = folder
        self._kept = state.place.number  # The commit of the last checkpoint.
        self._file, self._segment = -1, 0
        self._open(state.place.segment)

    def _open(self, segment: int) -> None:
        path = segment_path(self._folder, segment)
        if not path.exists():
            self._allocate(path)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segment = os.open(path, os.O_WRONLY), segment

    def _allocate(self, path: Path) -> None:
        """Use an old segment again, or make a new one: its blocks are there before it is used."""
        kept = load(self._folder).place.segment
        old = [p for p in sorted(self._folder.glob("wal-*")) if p < segment_path(p.parent, kept)]
        if old:
            old[0].rename(path)
        else:
            fresh = path.with_name("allocating")
            with fresh.open("wb") as file:
                file.write(bytes(SEGMENT_BYTES))
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(path)
        sync_folder(self._folder)

    def write(self, state: State, commits: list[tuple[str, int, bytes]]) -> State:
        """Write some commits and return the state when they are on the disk."""
        begin, data = state.place.offset, b""
        for teller, sequence, text in commits:
            place = state.place
            body = b"%s %d %s" % (teller.encode(), sequence, text)
            record, checksum = encode(place.number + 1, place.checksum, body)
            if begin + len(data) + len(record) > SEGMENT_BYTES:
                self._append(begin, data)
                begin, data = 0, b""
                self._open(self._segment + 1)
            data += record
            after = Place(self._segment, begin + len(data), place.number + 1, checksum)
            state = state.after(teller, sequence, after)
        self._append(begin, data)
        if state.place.number - self._kept >= CHECKPOINT_EVERY:
            self._checkpoint(state)
        return state

    def _append(self, offset: int, data: bytes) -> None:
        if os.pwrite(self._file, data, offset) != len(data):
            raise OSError("a group of commits was written in part")
        os.fdatasync(self._file)

    def _checkpoint(self, state: State) -> None:
        place = state.place
        content = {
            "place": [place.segment, place.offset, place.number, place.checksum],
            "tellers": state.tellers,
        }
        text = json.dumps(content).encode()
        fresh = self._folder / f"{STATE}.new"
        with fresh.open("wb") as file:
            file.write(b"%d " % zlib.crc32(text) + text)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(self._folder / STATE)
        sync_folder(self._folder)
        self._kept = place.number


class Bank:
    """The tellers' side: who commits waits until a group with its commit is on the disk."""

    def __init__(self, folder: Path) -> None:
        self._state = recover(folder)
        self._log = Log(folder, self._state)
        self._waiting: dict[str, tuple[int, bytes]] = {}
        self._changed = threading.Condition()

    def commit(self, teller: str, sequence: int, text: bytes) -> str:
        """Return the answer to a teller, once it is true after a power cut too."""
        with self._changed:
            known = self._state.tellers.get(teller, 0)
            if sequence > known + 1:
                return f"lost {known + 1}"
            if sequence == known + 1:
                self._waiting[teller] = (sequence, text)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._state.tellers.get(teller, 0) >= sequence)
            return f"ok {sequence}"

    def _next_group(self) -> list[tuple[str, int, bytes]]:
        """Take what waits, less what is done already: an impatient teller asks twice."""
        known = self._state.tellers
        group = [(name, *commit) for name, commit in self._waiting.items()]
        self._waiting.clear()
        return [each for each in group if each[1] == known.get(each[0], 0) + 1]

    def write_for_ever(self) -> None:
        """Write groups of commits. A disk that fails ends the process: no answer would be true."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._waiting))
                    self._changed.wait(SETTLE_S)
                    group = self._next_group()
                state = self._log.write(self._state, group)
                with self._changed:
                    self._state = state
                    self._changed.notify_all()
        except OSError as error:
            print(f"the disk failed: {error}", file=sys.stderr, flush=True)
            os._exit(1)


def serve(teller: socket.socket, bank: Bank) -> None:
    """Take commits from one teller until it goes."""
    with contextlib.suppress(OSError, ValueError), teller, teller.makefile("rb") as lines:
        while (line := lines.readline(LINE_MAX_BYTES)).endswith(b"\n"):
            _, name, sequence, text = line.rstrip(b"\n").split(b" ", 3)
            answer = bank.commit(name.decode(), int(sequence), text)
            teller.sendall(answer.encode() + b"\n")


def go_to_background(pid_file: Path) -> None:
    """End the process that was started: to its starter that means that the bank is open."""
    child = os.fork()
    if child:
        pid_file.write_text(f"{child}\n")
        os._exit(0)
    os.setsid()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int, nargs="?", default=7001)
    parser.add_argument("--pid-file", type=Path, help="go to the background once it listens")
    parser.add_argument("--verify", action="store_true", help="print what a start would find")
    options = parser.parse_args()
    try:
        if options.verify:
            state = verify(options.folder)
            print(json.dumps({"commits": state.place.number, "tellers": state.tellers}))
            return
        options.folder.mkdir(exist_ok=True)
        bank = Bank(options.folder)
    except DamagedError as error:
        sys.exit(f"the bank is damaged: {error}")
    with socket.create_server(
        ("", options.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
    ) as listener:
        print(f"listening on port {options.port}", flush=True)
        if options.pid_file is not None:
            go_to_background(options.pid_file)
        threading.Thread(target=bank.write_for_ever, daemon=True).start()
        while True:
            teller, _ = listener.accept()
            threading.Thread(target=serve, args=(teller, bank), daemon=True).start()


if __name__ == "__main__":
    main()
