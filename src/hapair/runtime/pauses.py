"""Was this node itself away? A late loop must not take its own absence for the peer's silence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moment:
    """Both clocks at once: the boot clock also counts the time of a suspended machine."""

    monotonic_s: float
    boot_s: float


def late_s(planned: Moment, now: Moment) -> float:
    """Return by how much a wake-up that was planned for ``planned`` came too late.

    Suspension shows only on the boot clock, a daemon that was not scheduled on both.
    """
    return max(0.0, now.boot_s - planned.boot_s, now.monotonic_s - planned.monotonic_s)
