"""The core's questions to the outside: each is answered by exactly one event."""

import asyncio
import errno
from dataclasses import replace

from hapair.core.words.events import Event, Fenced, WitnessAnswered
from hapair.model.cluster import ArbitrationKind, FenceMethod, Witness, WitnessKind
from hapair.model.outcome import Outcome
from hapair.model.witness import Answer, WitnessAnswer
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.third_parties import ThirdParties
from tests.fakes.third_parties import OneWitness, Strip
from tests.runtime.conftest import names
from tests.runtime.fakes import LoopClock, cluster
from tests.runtime.virtual_time import virtually

METHODS = (FenceMethod("node2", "fence_first"), FenceMethod("node2", "fence_second"))
WHOLE = replace(
    cluster(),
    arbitration=ArbitrationKind.WITNESS,
    witnesses=(Witness(WitnessKind.FILE, "/mnt/witness"),),
    fence_methods=(*METHODS, FenceMethod("node1", "fence_other")),
)


class DeafWitness(OneWitness):
    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        await asyncio.sleep(1000.0)
        return await super().grant(witness, epoch, timeout_s=timeout_s)


class DeafStrip(Strip):
    async def switch_off(self, method: FenceMethod) -> Outcome:
        await asyncio.sleep(1000.0)
        return await super().switch_off(method)


def parties(
    journal: Journal, events: list[Event], witness: OneWitness | None, strip: Strip
) -> ThirdParties:
    return ThirdParties(witness, strip, LoopClock(), journal, "node1", events.append, WHOLE)


@virtually
async def test_a_grant_and_a_look_are_told_with_the_number_of_the_witness(journal: Journal) -> None:
    events: list[Event] = []
    asked = parties(journal, events, OneWitness("node1"), Strip())
    await asked.ask(0, 5)
    await asked.ask(0, 0)
    told = [(e.index, e.epoch, e.answer.answer) for e in events if isinstance(e, WitnessAnswered)]
    assert told == [(0, 5, Answer.GRANTED), (0, 0, Answer.SEEN)]
    assert names(journal) == ["witness"], "looks are no history"


@virtually
async def test_silence_is_told_as_silence(journal: Journal) -> None:
    events: list[Event] = []
    await parties(journal, events, DeafWitness(), Strip()).ask(0, 5)
    await parties(journal, events, None, Strip()).ask(0, 5)
    answers = [e.answer for e in events if isinstance(e, WitnessAnswered)]
    assert [each.answer for each in answers] == [Answer.UNREACHABLE] * 2
    assert "no answer in 1 s" in answers[0].why


@virtually
async def test_methods_against_the_peer_are_tried_in_order_until_one_proves_it(
    journal: Journal,
) -> None:
    events: list[Event] = []
    strip = Strip(broken={"fence_first"})
    await parties(journal, events, None, strip).fence()
    assert events == [Fenced(0.0, proven=True, text="fence_second: off")]
    assert strip.off == ["node2"]


class StarvedStrip(Strip):
    async def switch_off(self, method: FenceMethod) -> Outcome:
        if method.agent == "fence_first":
            raise OSError(errno.EAGAIN, "no room for a thread")
        return await super().switch_off(method)


@virtually
async def test_a_method_that_lacks_the_means_is_one_that_failed(journal: Journal) -> None:
    events: list[Event] = []
    await parties(journal, events, None, StarvedStrip()).fence()
    assert events == [Fenced(0.0, proven=True, text="fence_second: off")]


@virtually
async def test_without_proof_every_failure_is_told(journal: Journal) -> None:
    events: list[Event] = []
    await parties(journal, events, None, Strip(broken={"fence_first", "fence_second"})).fence()
    assert isinstance(events[0], Fenced)
    assert not events[0].proven
    assert "fence_first" in events[0].text
    assert "fence_second" in events[0].text
    hung = parties(journal, events, None, DeafStrip())
    await hung.fence()
    assert isinstance(events[1], Fenced)
    assert "no answer in 60 s" in events[1].text
    hung.cluster = cluster()
    await hung.fence()
    assert events[2] == Fenced(events[2].at_s, proven=False, text="no method is configured")
