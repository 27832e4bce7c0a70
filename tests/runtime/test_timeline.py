"""The parts of a failover, read from the history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.model.timeline import Happening, Step, timelines
from hapair.rpc.history import happening_object, read_happening
from hapair.rpc.messages import JsonObject, Malformed


def line(
    number: int, at_s: float, name: str, *, application: str = "", node: str = "node2"
) -> Happening:
    return Happening(number, 1000.0 + at_s, at_s, node, name, "", application)


FAILOVER = (
    line(1, 10.0, "started", application="orders"),
    line(2, 50.0, "silent"),
    line(3, 51.0, "detected"),
    line(4, 51.01, "granted"),
    line(5, 51.01, "decided", application="orders"),
    line(6, 51.2, "promote", application="orders"),
    line(7, 51.2, "promoted", application="orders"),
    line(8, 51.5, "mounted", application="orders"),
    line(9, 51.6, "addresses", application="orders"),
    line(10, 52.0, "started", application="orders"),
)


def test_a_failover_is_told_from_the_last_heartbeat_on() -> None:
    (found,) = timelines(FAILOVER)
    assert (found.node, found.began_wall_s) == ("node2", 1050.0)
    assert [(step.name, round(step.after_s, 3)) for step in found.steps] == [
        ("silent", 0.0),
        ("detected", 1.0),
        ("granted", 1.01),
        ("decided", 1.01),
        ("promoted", 1.2),
        ("mounted", 1.5),
        ("addresses", 1.6),
        ("started", 2.0),
    ]
    assert found.total_s == 2.0


def test_what_is_repeated_counts_when_it_was_done_last() -> None:
    again = line(11, 53.0, "promoted", application="orders")
    (found,) = timelines((*FAILOVER, again))
    assert found.steps[-1] == Step("promoted", "orders", 3.0)


def test_an_application_that_answers_has_come_to_the_end_of_its_failover() -> None:
    answers = line(11, 53.0, "answers", application="orders")
    restarted = line(12, 900.0, "started", application="orders")
    again = line(13, 901.0, "answers", application="orders")
    other = line(14, 902.0, "started", application="files")
    (found,) = timelines((*FAILOVER, answers, restarted, again))
    assert found.steps[-1] == Step("answers", "orders", 3.0)
    (found,) = timelines((*FAILOVER, answers, restarted, again, other))
    assert found.steps[-1] == Step("started", "files", 852.0)


@pytest.mark.parametrize(
    "after",
    [
        line(11, 60.0, "together"),
        line(11, 60.0, "silent"),
        line(11, 2.0, "silent"),  # After a reboot.
    ],
)
def test_a_failover_ends_when_the_peer_is_back_lost_again_or_the_node_was_booted(
    after: Happening,
) -> None:
    later = line(12, after.at_s + 1, "started", application="other")
    found = {timeline.began_wall_s: timeline for timeline in timelines((*FAILOVER, after, later))}
    assert "other" not in {step.application for step in found[1050.0].steps}


def test_each_node_tells_its_own_failovers() -> None:
    other = (line(1, 5.0, "silent", node="node1"), line(2, 6.0, "detected", node="node1"))
    found = timelines((*FAILOVER, *other))
    assert [timeline.node for timeline in found] == ["node1", "node2"]


def test_an_uneventful_history_has_no_failovers() -> None:
    assert timelines(()) == ()
    assert timelines((line(1, 1.0, "started", application="orders"),)) == ()


happenings = st.builds(
    Happening,
    number=st.integers(0, 2**40),
    wall_s=st.floats(0, 2**40),
    at_s=st.floats(0, 2**40),
    node=st.sampled_from(["node1", "node2"]),
    name=st.sampled_from(["silent", "detected", "started", "together", "other"]),
    text=st.text(),
    application=st.sampled_from(["", "orders"]),
    severity=st.sampled_from(["info", "alarm"]),
    took_s=st.none() | st.floats(0, 1000),
)


@given(st.lists(happenings, max_size=20))
def test_no_history_is_too_odd(history: list[Happening]) -> None:
    for timeline in timelines(history):
        assert timeline.steps[0].name == "silent"
        assert all(step.after_s >= 0 for step in timeline.steps)


@given(happenings)
def test_lines_pass_through_json(happening: Happening) -> None:
    assert read_happening(happening_object(happening)) == happening


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", None),
        ("number", True),
        ("number", float("nan")),
        ("number", float("inf")),
        ("at_s", "soon"),
        ("text", 5),
        ("took_s", "long"),
    ],
)
def test_lines_that_are_none_are_malformed(field: str, value: object) -> None:
    content: JsonObject = {**happening_object(FAILOVER[0]), field: value}
    with pytest.raises(Malformed):
        read_happening(content)
