"""The bank of the lab: what it acknowledged is there, and what is broken is refused."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hapair_lab.payload import bank
from hapair_lab.payload.bank import DamagedError, Log, Place, State
from hapair_lab.recipe import PAYLOAD
from hapair_lab.soak.writers import Acknowledged
from tests.ports import free_port
from tests.processes import PATIENCE_S, Started

TEXT = b"x" * 60


def commit(folder: Path, state: State, count: int) -> State:
    """Commit so many, two tellers in each group."""
    log = Log(folder, state)
    for _ in range(count):
        group = [(name, state.tellers.get(name, 0) + 1, TEXT) for name in ("w1", "w2")]
        state = log.write(state, group)
    return state


def test_what_was_committed_is_found_after_a_restart_over_many_segments(tmp_path: Path) -> None:
    state = commit(tmp_path, State(), 3000)
    assert bank.recover(tmp_path) == state
    assert state.place.number == 6000
    assert state.place.segment > 3
    assert len(list(tmp_path.glob("wal-*"))) < state.place.segment, "segments are used again"
    again = commit(tmp_path, bank.recover(tmp_path), 10)
    assert bank.recover(tmp_path).tellers == {"w1": 3010, "w2": 3010} == again.tellers


def test_a_torn_record_ends_the_log_and_what_follows_is_not_taken_for_new(tmp_path: Path) -> None:
    before = commit(tmp_path, State(), 4)
    after = commit(tmp_path, before, 1)
    path = bank.segment_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[before.place.offset + bank.HEAD.size] ^= 1
    path.write_bytes(content)
    assert bank.recover(tmp_path) == before
    # The record behind the torn one is whole; it must not come back behind another one.
    new = Log(tmp_path, before).write(before, [("w1", 5, TEXT.replace(b"x", b"y"))])
    assert new.place.offset < after.place.offset, "the whole record lies just behind"
    assert bank.recover(tmp_path) == new


def test_a_hole_in_the_log_is_damage_and_not_a_crash(tmp_path: Path) -> None:
    commit(tmp_path, State(), 190)
    state = bank.recover(tmp_path)
    record, _ = bank.encode(state.place.number + 2, 7, b"w1 1 later")
    bank.segment_path(tmp_path, 2).write_bytes(record)
    with pytest.raises(DamagedError, match="is nowhere"):
        bank.recover(tmp_path)


def test_a_state_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    commit(tmp_path, State(), bank.CHECKPOINT_EVERY)
    path = tmp_path / bank.STATE
    path.write_bytes(path.read_bytes().replace(b"w1", b"w3"))
    with pytest.raises(DamagedError, match="checksum"):
        bank.recover(tmp_path)


def test_a_new_bank_knows_nothing(tmp_path: Path) -> None:
    assert bank.verify(tmp_path) == State(Place(), {})


def test_tellers_go_on_when_the_bank_is_killed_and_learn_of_what_is_lost(tmp_path: Path) -> None:
    """Killed amid commits it loses nothing; an older copy of its data is found out at once."""
    port = str(free_port())
    folder, log = tmp_path / "pages", tmp_path / "log"
    bank_argv = (sys.executable, str(PAYLOAD / "bank.py"), str(folder), port)
    options = ("--address", "127.0.0.1", "--port", port, "--log", str(log), "--pause-s", "0.002")
    told = Acknowledged()
    read = 0

    def look() -> Acknowledged:
        nonlocal read
        *lines, _ = log.read_text().split("\n") if log.exists() else [""]
        for line in lines[read:]:
            told.take(line)
        read = len(lines)
        return told

    def wait_for(more: int) -> None:
        wanted = look().count + more
        while look().count < wanted:
            assert tellers.poll() is None

    tellers = subprocess.Popen((sys.executable, str(PAYLOAD / "teller.py"), *options))
    old: dict[str, bytes] = {}
    try:
        for _ in range(3):
            with Started(bank_argv, stdout=subprocess.DEVNULL) as running:
                wait_for(60)
                running.kill()
            found = json.loads(subprocess.check_output((*bank_argv, "--verify")))["tellers"]
            assert all(found[name] >= last for name, last in look().last.items())
            assert not told.lost
            old = old or {path.name: path.read_bytes() for path in folder.iterdir()}
        for path in folder.iterdir():
            path.unlink()
        for name, content in old.items():
            (folder / name).write_bytes(content)
        with Started(bank_argv, stdout=subprocess.DEVNULL) as running:
            while not look().lost:
                assert tellers.poll() is None
            running.kill()
    finally:
        tellers.send_signal(signal.SIGTERM)
        assert tellers.wait(PATIENCE_S) == 0
    assert min(told.lost) > 1
