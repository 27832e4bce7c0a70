"""DRBD's settings obey DRBD's own rules and keep up with the cluster's detection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.config.format_clconf import DETECTION_MAX_S, DETECTION_MIN_S
from hapair.model.cluster import Timing
from hapair.model.drbd_timing import DrbdTiming, drbd_timing


@given(st.floats(DETECTION_MIN_S, DETECTION_MAX_S))
def test_drbd_accepts_every_setting(detection_s: float) -> None:
    drbd = drbd_timing(Timing(detection_s))
    assert 1 <= drbd.ping_interval_s <= 120
    assert 1 <= drbd.connect_interval_s <= 120
    assert 1 <= drbd.ping_timeout_tenths <= 300
    assert 1 <= drbd.write_timeout_tenths <= 600
    assert 1 <= drbd.slow_writes_max <= 200
    assert drbd.write_timeout_tenths < drbd.ping_interval_s * 10
    assert drbd.write_timeout_tenths < drbd.connect_interval_s * 10


@given(st.floats(DETECTION_MIN_S, DETECTION_MAX_S))
def test_the_kernel_notices_within_about_the_detection_time(detection_s: float) -> None:
    drbd = drbd_timing(Timing(detection_s))
    noticed_s = drbd.ping_interval_s + drbd.ping_timeout_tenths / 10
    assert noticed_s <= max(detection_s, 1.5) + 0.1


@given(st.floats(DETECTION_MIN_S, DETECTION_MAX_S))
def test_a_peer_whose_disk_hangs_is_given_up_after_most_of_a_minute(detection_s: float) -> None:
    drbd = drbd_timing(Timing(detection_s))
    assert 35 <= drbd.slow_writes_max * drbd.write_timeout_tenths / 10 <= 50


@pytest.mark.parametrize(
    ("detection_s", "expected"),
    [
        (1.0, DrbdTiming(1, 5, 9, 2, 47)),
        (2.0, DrbdTiming(1, 10, 9, 2, 47)),
        (60.0, DrbdTiming(30, 300, 60, 10, 7)),
    ],
)
def test_the_settings_of_usual_detection_times(detection_s: float, expected: DrbdTiming) -> None:
    assert drbd_timing(Timing(detection_s)) == expected
