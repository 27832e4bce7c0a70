"""The machine's clocks."""

import time


class SystemClock:
    def monotonic_s(self) -> float:
        """Return seconds that stand still while the machine is suspended."""
        return time.monotonic()

    def boot_s(self) -> float:
        """Return seconds since boot, with the time in which the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_s(self) -> float:
        """Return seconds since 1970. It may leap; show it, never decide by it."""
        return time.time()
