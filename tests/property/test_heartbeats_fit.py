"""Every heartbeat fits its datagram, however much is built, and says all that it should say."""

from collections.abc import Sequence
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hapair.adapters.heartbeat.datagrams import DATAGRAM_BYTES_MAX, Sealer
from hapair.adapters.heartbeat.heart import PAGES_AT_ONCE
from hapair.config.format_clconf import DEVICES_MAX
from hapair.core.plan.application import RESOURCE_NAME_MAX
from hapair.core.words.events import Beat
from hapair.model.status import Standing
from hapair.ports.peer import HEARTBEAT_BYTES_MAX, TooLongError
from hapair.rpc.messages import Malformed
from hapair.runtime.codec import dumps, loads
from hapair.runtime.node.beats import (
    LISTS_MAX,
    Listener,
    Spoken,
    bodies,
)
from tests.sim.speaker import Speaker

COUNTER: Final = st.integers(0, 2**64 - 1)
LARGEST: Final = tuple(f"{number:x<{RESOURCE_NAME_MAX}}" for number in range(DEVICES_MAX))
SENDER: Final = Sealer("cluster", b"k" * 32, 0)
RECEIVER: Final = Sealer("cluster", b"k" * 32, 1)

names: Final = st.text("abcXYZ019_.+-", min_size=1, max_size=RESOURCE_NAME_MAX)
lists: Final = st.one_of(
    st.lists(names, max_size=60, unique=True),
    st.integers(0, DEVICES_MAX).map(lambda count: list(LARGEST[:count])),
).map(tuple)
beats: Final = st.builds(Beat, COUNTER, COUNTER, st.sampled_from(Standing), COUNTER, lists, COUNTER)


def heard(listener: Listener, said: Sequence[bytes]) -> list[Beat]:
    return [listener.read(body) for body in said]


def all_of(beat: Beat) -> list[bytes]:
    """Return what is sent until the whole list has been told once."""
    speaker = Speaker()
    said: list[bytes] = []
    while len(said) < len(bodies(beat)):
        said += speaker.say(beat)
    return said


@settings(max_examples=25, deadline=None)
@given(beats)
def test_every_heartbeat_is_taken_in_by_the_receiver(beat: Beat) -> None:
    for body in bodies(beat):
        datagram = SENDER.seal("private", 1, 1, body)
        assert len(datagram) <= DATAGRAM_BYTES_MAX
        assert RECEIVER.unseal("private", datagram) == (1, 1, body)


@settings(max_examples=25, deadline=None)
@given(beats, st.randoms(use_true_random=False))
def test_in_whatever_order_and_however_often_its_pages_come_the_list_is_whole(
    beat: Beat, chance: Random
) -> None:
    said = all_of(beat) * 2
    chance.shuffle(said)
    told = heard(Listener(), said)
    assert told[-1] == beat
    assert {each.unprotected for each in told} <= {None, beat.unprotected}


@settings(max_examples=25, deadline=None)
@given(beats)
def test_as_long_as_a_page_is_missing_the_list_is_not_known(beat: Beat) -> None:
    told = heard(Listener(), bodies(beat)[:-1])
    assert all(each.unprotected is None for each in told)
    assert all(each.incarnation == beat.incarnation for each in told)


@settings(max_examples=25, deadline=None)
@given(beats)
def test_the_former_version_reads_each_page_as_a_heartbeat_and_misses_no_name(beat: Beat) -> None:
    told = [loads(Beat, body) for body in bodies(beat)]
    assert {(each.epoch, each.echo, each.losses) for each in told} == {
        (beat.epoch, beat.echo, beat.losses)
    }
    assert tuple(name for each in told for name in each.unprotected or ()) == beat.unprotected


@given(st.builds(Beat, COUNTER, COUNTER, st.sampled_from(Standing), COUNTER, lists, COUNTER))
@settings(max_examples=25, deadline=None)
def test_what_the_former_version_says_is_the_whole_list(beat: Beat) -> None:
    assert Listener().read(dumps(beat)) == beat


def test_the_heartbeat_of_a_small_cluster_is_that_of_the_former_version() -> None:
    beat = Beat(7, 8, Standing.TOGETHER, 3, ("orders.data", "web.data"), 2)
    assert bodies(beat) == (dumps(beat),)


def test_a_long_list_is_told_a_part_at_a_time() -> None:
    beat = Beat(1, 2, Standing.TOGETHER, 3, LARGEST)
    pages = bodies(beat)
    assert len(pages) > 2 * PAGES_AT_ONCE
    speaker = Speaker()
    rounds = [speaker.say(beat) for _ in range(-(-len(pages) // PAGES_AT_ONCE))]
    assert {len(each) for each in rounds} == {PAGES_AT_ONCE}
    assert {body for each in rounds for body in each} == set(pages)


def test_two_lists_on_two_networks_do_not_hinder_each_other() -> None:
    first = Beat(1, 2, Standing.TOGETHER, 3, LARGEST[:30])
    second = Beat(1, 2, Standing.TOGETHER, 3, LARGEST[10:50])
    listener = Listener()
    mixed = [body for pair in zip(bodies(first), bodies(second), strict=False) for body in pair]
    heard(listener, mixed)
    assert heard(listener, bodies(first)[-1:] + bodies(second)[-1:])[0] == first
    assert heard(listener, bodies(second))[-1] == second


def test_lists_that_are_never_completed_are_forgotten() -> None:
    listener = Listener()
    beats = [Beat(1, 2, Standing.TOGETHER, 3, LARGEST[at : at + 30]) for at in range(9)]
    for beat in beats:
        heard(listener, bodies(beat)[:-1])
    assert listener.read(bodies(beats[0])[-1]).unprotected is None
    assert listener.read(bodies(beats[-1])[-1]) == beats[-1]
    assert len(beats) > LISTS_MAX


@pytest.mark.parametrize(("page", "pages"), [(0, 0), (2, 2), (-1, 2), (0, 100_000)])
def test_a_page_that_cannot_be_one_is_refused(page: int, pages: int) -> None:
    wrong = Spoken(1, 2, Standing.TOGETHER, 3, (), 0, "digest", page, pages)
    with pytest.raises(Malformed, match=f"page {page} of {pages}"):
        Listener().read(dumps(wrong))


def test_pages_that_do_not_belong_together_make_no_list() -> None:
    wrong = [
        Spoken(1, 2, Standing.TOGETHER, 3, (name,), 0, "digest", page, 2)
        for page, name in enumerate(("orders.data", "web.data"))
    ]
    assert heard(Listener(), [dumps(each) for each in wrong])[-1].unprotected is None


def test_what_would_not_be_heard_is_not_sent() -> None:
    with pytest.raises(TooLongError, match=r"1357 bytes, of which 1356 are heard"):
        SENDER.seal("private", 1, 1, b"x" * (HEARTBEAT_BYTES_MAX + 1))
