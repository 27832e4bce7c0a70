"""The loop, and what it does with a probe that has a bug."""

import os
import sys
import time
from dataclasses import dataclass

import pytest

from hapair.lems.answers import Answer, Said
from hapair.lems.loop import Loop, boot_s
from hapair.model.monitor import Trouble
from tests.lems.running import ask


def test_timers_come_in_their_order_and_not_when_cancelled() -> None:
    loop, called = Loop(), list[int]()
    loop.after(0.03, lambda: called.append(3))
    loop.after(0.01, lambda: called.append(1))
    loop.after(0.02, lambda: called.append(2)).cancel()
    loop.after(0.04, lambda: setattr(loop, "ended", True))
    begun_s = boot_s()
    loop.run()
    loop.close()
    assert called == [1, 3]
    assert boot_s() - begun_s >= 0.04


def test_a_descriptor_is_called_until_it_is_not_watched_any_more() -> None:
    loop, called = Loop(), list[bytes]()
    reading, writing = os.pipe()

    def came() -> None:
        called.append(os.read(reading, 1))
        if len(called) == 2:
            loop.unwatch(reading)
            loop.after(0.02, lambda: setattr(loop, "ended", True))

    loop.watch(reading, came)
    os.write(writing, b"abc")
    loop.run()
    loop.close()
    assert called == [b"a", b"b"]
    os.close(reading)
    os.close(writing)


@dataclass(frozen=True)
class Broken:
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        return self.look

    def look(self) -> Answer:
        raise ZeroDivisionError

    def asked(self) -> str:
        return "it"

    def close(self) -> None:
        """Keep nothing open."""


def test_a_bug_in_a_probe_is_no_failure_of_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    answer = ask(Broken())
    while not told:
        time.sleep(0.01)
    assert told[0].exc_type is ZeroDivisionError
    assert answer == Answer("unknown", "asking failed: this is a bug, see the journal")
