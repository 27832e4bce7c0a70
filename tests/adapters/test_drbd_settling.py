"""A change that the kernel puts off for a moment is asked for again; any other answer counts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.drbd import settling
from hapair.adapters.drbd.adapter import Drbd
from hapair.adapters.drbd.connections import DrbdConnections
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.adapters.loops import volume_at

VOLUME: Final = volume_at(Path("/srv/orders"), minor=10)
# As it was said on a guest, when the peer began to connect in the moment of a disconnect.
IN_TRANSIENT_STATE: Final = (
    "??: State change failed: (-18) In transient state, retry after next state change\n"
)
CONCURRENT: Final = "??: State change failed: (-19) Concurrent state changes detected and aborted\n"
HELD_OPEN: Final = "10: State change failed: (-12) Device is held open by someone\n"


class Kernel:
    """Gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Finished | TimedOut) -> None:
        self.answers = list(answers)
        self.limits_s: list[float] = []

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        del argv, stdin
        self.limits_s.append(timeout_s)
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


DONE: Final = Finished(0, "", "")


@pytest.mark.parametrize("said", [IN_TRANSIENT_STATE, CONCURRENT])
async def test_every_change_waits_for_the_kernel_to_settle(said: str) -> None:
    not_now = Finished(11, "", said)
    for act in ("disconnect", "connect"):
        kernel = Kernel(not_now, not_now, DONE)
        made = DrbdConnections(kernel)
        assert await getattr(made, act)(VOLUME, timeout_s=5) == Done()
        assert len(kernel.limits_s) == 3
    for act in ("promote", "demote"):
        kernel = Kernel(not_now, DONE)
        assert await getattr(Drbd(kernel), act)(VOLUME, timeout_s=5) == Done()
        assert len(kernel.limits_s) == 2


async def test_a_clear_no_is_asked_once() -> None:
    kernel = Kernel(Finished(11, "", HELD_OPEN), DONE)
    assert isinstance(await Drbd(kernel).demote(VOLUME, timeout_s=5), Refused)
    assert len(kernel.limits_s) == 1


async def test_no_answer_is_asked_once() -> None:
    kernel = Kernel(TimedOut(5), DONE)
    assert isinstance(await Drbd(kernel).demote(VOLUME, timeout_s=5), Unknown)
    assert len(kernel.limits_s) == 1


async def test_a_kernel_that_never_settles_is_told_about_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "AGAIN_AFTER_S", 0.01)
    kernel = Kernel(Finished(11, "", IN_TRANSIENT_STATE))
    outcome = await DrbdConnections(kernel).disconnect(VOLUME, timeout_s=0.1)
    assert isinstance(outcome, Refused)
    assert "(-18) In transient state" in outcome.why
    assert len(kernel.limits_s) > 1
    assert all(
        later < earlier
        for earlier, later in zip(kernel.limits_s, kernel.limits_s[1:], strict=False)
    )
