"""Write down when nothing ran in this guest, whatever its own load: ``lateness.py FILE``.

A process that goes before all others of the guest wants to run every 50 ms. Each time it is late,
its file gets a line: when that was (the wall clock) and by how much, both in seconds.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

BEAT_S = 0.05
LATE_S = 0.15
HIGHEST = 90
# Only there does every kernel let a process have real-time priority.
ALL_PROCESSES = Path("/sys/fs/cgroup/cgroup.procs")


def main(file: str) -> None:
    """Never returns."""
    ALL_PROCESSES.write_text("0")
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(HIGHEST))
    with Path(file).open("a", buffering=1, encoding="ascii") as lines:
        lines.write("begun\n")
        while True:
            asleep_s = time.monotonic()
            time.sleep(BEAT_S)
            late_s = time.monotonic() - asleep_s - BEAT_S
            if late_s > LATE_S:
                lines.write(f"{time.time():.3f} {late_s:.3f}\n")


if __name__ == "__main__":
    main(sys.argv[1])
