"""Labs of different programs take turns; two objects stand for two programs here."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hapair_lab.acceleration import Acceleration
from hapair_lab.room import memory_places
from hapair_lab.turns import EMULATED, LIGHT, LIGHT_MAX, Turn, turn_of
from tests.processes import PATIENCE_S

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def programs(places: int, number: int) -> list[Turn]:
    return [Turn("turn-test", places) for _ in range(number)]


class Waiting:
    """A program that waits for its turn in a thread."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.has_it = threading.Event()
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        self.turn.take()
        self.has_it.set()

    def comes(self) -> bool:
        return self.has_it.wait(PATIENCE_S)

    def waits(self, capsys: pytest.CaptureFixture[str]) -> str:
        """Return what is said until it says that it waits; it has no turn a little later either."""
        until_s, said = time.monotonic() + PATIENCE_S, ""
        while "waiting until" not in said and time.monotonic() < until_s:
            time.sleep(0.02)
            said += "".join(capsys.readouterr())
        assert not self.has_it.wait(0.3)
        return said

    def end(self) -> None:
        self._thread.join()
        self.turn.give()


@pytest.fixture
def two_with_places() -> Iterator[tuple[Turn, Turn]]:
    one, two = programs(2, 2)
    with one, two:
        yield one, two


def test_so_many_labs_as_there_are_places_run_side_by_side(
    two_with_places: tuple[Turn, Turn], capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(turn.labs == 1 for turn in two_with_places)
    assert "waiting" not in capsys.readouterr().err


def test_one_more_waits_until_any_of_them_ends(
    two_with_places: tuple[Turn, Turn], capsys: pytest.CaptureFixture[str]
) -> None:
    _, second = two_with_places
    (third,) = programs(2, 1)
    waiting = Waiting(third)
    assert "all 2 places are taken: waiting until" in waiting.waits(capsys)
    second.give()
    assert waiting.comes()
    waiting.end()
    second.take()


def test_labs_of_one_program_share_its_turn() -> None:
    mine, others = programs(1, 2)
    with mine:
        with mine:
            pass
        waiting = Waiting(others)
        assert not waiting.has_it.wait(0.3), "the first lab has not ended"
    assert waiting.comes()
    waiting.end()


def test_who_gives_its_turn_does_not_get_it_again_before_those_who_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One scenario after the other is played: the lab of another program would never begin."""
    mine, others = programs(1, 2)
    mine.take()
    waiting = Waiting(others)
    waiting.waits(capsys)
    mine.give()
    again = Waiting(mine)
    assert waiting.comes()
    assert not again.has_it.wait(0.3)
    waiting.end()
    assert again.comes()
    again.end()


def test_whoever_waits_is_told_why_once(capsys: pytest.CaptureFixture[str]) -> None:
    mine, others = programs(1, 2)
    with mine:
        waiting = Waiting(others)
        said = waiting.waits(capsys)
    waiting.end()
    said += "".join(capsys.readouterr())
    assert said.count("waiting until another program") == 1


def test_a_turn_that_was_not_got_is_not_held(cache: Path) -> None:
    """Waiting may be interrupted: the next lab of this program must wait as well."""
    (mine,) = programs(1, 1)
    (cache / "hapair").mkdir()
    (cache / "hapair" / "run").touch()
    with pytest.raises(OSError, match="run"):
        mine.take()
    (cache / "hapair" / "run").unlink()
    (others,) = programs(1, 1)
    with others:
        waiting = Waiting(mine)
        assert not waiting.has_it.wait(0.3)
    assert waiting.comes()
    waiting.end()


def test_taking_and_giving_leaves_nothing_open() -> None:
    mine, others = programs(1, 2)
    gc.collect()  # What tests before this one left open must not go meanwhile.
    before = len(list(OPEN_FILES.iterdir()))
    with mine:
        waiting = Waiting(others)
        assert not waiting.has_it.wait(0.5)
    waiting.end()
    assert len(list(OPEN_FILES.iterdir())) == before


def test_guests_of_user_mode_linux_have_a_turn_with_several_places() -> None:
    assert turn_of(Acceleration.UML) is LIGHT
    for emulated in (Acceleration.KVM, Acceleration.TCG):
        assert turn_of(emulated) is EMULATED
    assert EMULATED.places == 1
    assert LIGHT.places == max(min(memory_places(), LIGHT_MAX), 1)
