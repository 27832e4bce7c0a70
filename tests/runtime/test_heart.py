"""When a heartbeat is sent, and when none must be: the rules, without clocks and processes."""

from typing import Final

import pytest

from hapair.adapters.heartbeat import words
from hapair.adapters.heartbeat.heart import Heart
from hapair.adapters.heartbeat.sockets import Arrived
from hapair.model.cluster import Timing
from hapair.ports.peer import UNDECIDED_MAX_S, Saying

TIMING: Final = Timing(detection_s=1.0, heartbeat_s=0.25)
SAYING: Final = Saying(9, (b"hears",), (b"deaf",))


@pytest.fixture
def heart() -> Heart:
    """Return a heart that has just been told what to say, and hears the peer."""
    made = Heart(TIMING, 100.0)
    made.say(SAYING, 100.0)
    made.heard()
    return made


def test_nothing_is_sent_before_it_is_known_what() -> None:
    heart = Heart(TIMING, 100.0)
    assert heart.due() == ()
    assert heart.until_due_s() == TIMING.heartbeat_s


def test_one_is_sent_at_once_and_at_every_interval(heart: Heart) -> None:
    sent_at_s = []
    for number in range(21):
        heart.look(100.0 + number / 20)
        heart.heard()
        if heart.due():
            sent_at_s.append(heart.now_s)
    assert sent_at_s == [100.0, 100.25, 100.5, 100.75, 101.0]


def test_news_is_sent_at_once(heart: Heart) -> None:
    heart.due()
    assert heart.until_due_s() == 0.25
    heart.say(Saying(9, (b"news",), (b"",)), 100.0)
    assert heart.until_due_s() == 0.0
    assert heart.due() == (b"news",)


def test_a_late_heart_does_not_send_what_it_missed(heart: Heart) -> None:
    heart.due()
    heart.look(100.9)
    assert heart.due() == (b"hears",)
    assert heart.due() == ()
    assert heart.until_due_s() == 0.25


def test_no_heartbeat_echoes_a_peer_that_has_been_silent(heart: Heart) -> None:
    """Whoever relies on an echo must know how old it may be: one detection time."""
    heart.look(101.0)
    assert heart.due() == (b"hears",)
    heart.look(101.3)
    assert heart.due() == (b"deaf",)


def test_a_daemon_that_decides_no_more_falls_silent_and_deaf_in_the_end(heart: Heart) -> None:
    heart.look(100.0 + UNDECIDED_MAX_S - 0.1, slept_s=UNDECIDED_MAX_S)
    assert heart.beats
    assert heart.due()
    heart.look(100.0 + UNDECIDED_MAX_S, slept_s=0.1)
    assert not heart.beats
    heart.look(heart.now_s + TIMING.heartbeat_s, slept_s=TIMING.heartbeat_s)
    assert heart.due() == ()
    heart.decided(heart.now_s)
    assert heart.beats


def test_an_older_decision_does_not_make_it_younger(heart: Heart) -> None:
    heart.decided(90.0)
    assert heart.decided_s == 100.0


def test_after_a_pause_nothing_counts_until_something_new_is_decided(heart: Heart) -> None:
    """What was decided before is void then, and what waits in the sockets may be as old."""
    heart.look(105.0, slept_s=0.2)
    assert not heart.beats
    assert heart.due() == ()
    heart.decided(104.9)
    assert not heart.beats
    heart.decided(105.1)
    assert heart.beats


def test_ordinary_lateness_is_no_pause(heart: Heart) -> None:
    heart.look(101.1, slept_s=0.2)
    assert heart.beats


def test_what_is_said_through_the_channel_is_what_was_meant() -> None:
    saying = Saying(2**64 - 1, (b"", b"a" * 1356), (b"b",))
    arrived = Arrived("netz-\u00fc", 7, 2**63, b"body")
    stream = b"".join(
        (
            words.say(saying, 1.5),
            words.decided(2.5),
            words.introduce(2**64 - 1, 4),
            words.heard(arrived, 3.5),
            words.rejected(4, 2**64 - 1),
        )
    )
    frames = words.Frames()
    cut = [frame for byte in stream for frame in frames.cut(bytes((byte,)))]
    (_, said), (_, decided), (_, introduced), (_, heard), (_, rejected) = cut
    kinds = [words.SAY, words.DECIDED, words.INTRODUCE, words.HEARD, words.REJECTED]
    assert [kind for kind, _ in cut] == kinds
    assert words.read_say(said) == (saying, 1.5)
    assert words.read_decided(decided) == 2.5
    assert words.read_two(introduced) == (2**64 - 1, 4)
    assert words.read_heard(heard) == (arrived, 3.5)
    assert words.read_two(rejected) == (4, 2**64 - 1)
