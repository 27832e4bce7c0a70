"""The cluster's timing in DRBD's own units.

DRBD notices a lost peer on an idle connection after ping-int and then ping-timeout, so their sum
is to be about the detection time. It counts ping-int and connect-int in whole seconds, time-outs
in tenths, and wants the write time-out below both intervals. Hence the floor: with a detection
below 1.5 s the kernel notices after 1.5 s all the same.
"""

from dataclasses import dataclass
from typing import Final

from hapair.model.cluster import Timing

TENTHS: Final = 10
PING_INTERVAL_MIN_S: Final = 1  # DRBD's own least.
PING_TIMEOUT_MIN_S: Final = 0.5  # A busy peer answers within this; DRBD's own default.
PING_TIMEOUT_MAX_S: Final = 30.0  # DRBD's own most.
WRITE_TIMEOUT_MAX_S: Final = 6.0  # DRBD's own default.
CONNECT_INTERVAL_MIN_S: Final = 2  # Handshakes with a busy peer need more than one second.
CONNECT_INTERVAL_MAX_S: Final = 10  # DRBD's own default.
# A peer that answers pings but completes no write (its disk hangs) is given up after this.
SLOW_PEER_S: Final = 42.0  # DRBD's own default: 7 times 6 s.


@dataclass(frozen=True, slots=True)
class DrbdTiming:
    ping_interval_s: int  # ping-int
    ping_timeout_tenths: int  # ping-timeout
    write_timeout_tenths: int  # timeout
    connect_interval_s: int  # connect-int
    slow_writes_max: int  # ko-count: write time-outs in a row before the peer is given up.


def drbd_timing(timing: Timing) -> DrbdTiming:
    """Return DRBD's settings with which it notices a lost peer within about the detection time."""
    ping_interval_s = max(PING_INTERVAL_MIN_S, int(timing.detection_s / 2))
    left_s = timing.detection_s - ping_interval_s
    ping_timeout_s = min(max(left_s, PING_TIMEOUT_MIN_S), PING_TIMEOUT_MAX_S)
    connect_interval_s = min(max(ping_interval_s, CONNECT_INTERVAL_MIN_S), CONNECT_INTERVAL_MAX_S)
    shorter_s = min(ping_interval_s, connect_interval_s)
    write_timeout_tenths = min(shorter_s * TENTHS - 1, round(WRITE_TIMEOUT_MAX_S * TENTHS))
    return DrbdTiming(
        ping_interval_s=ping_interval_s,
        ping_timeout_tenths=round(ping_timeout_s * TENTHS),
        write_timeout_tenths=write_timeout_tenths,
        connect_interval_s=connect_interval_s,
        slow_writes_max=round(SLOW_PEER_S * TENTHS / write_timeout_tenths),
    )
