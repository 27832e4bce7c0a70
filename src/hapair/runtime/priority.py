"""Keep the daemon running when the machine is short of processor time or memory.

The peer takes over when it hears nothing for the detection time. A loaded host must not look
like a dead one, so the daemon runs before ordinary processes, and is never paged out. It works
for microseconds at a time, so this costs nobody anything. Each part that is not permitted is
reported and done without.
"""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
MCL_ONFAULT: Final = 4  # Lock what is touched, not all that is mapped.
REALTIME_PRIORITY: Final = 1  # The lowest that is still before all ordinary processes.
HEART_PRIORITY: Final = 2  # Heartbeats go before decisions, on one processor too.
NICENESS: Final = -20
OOM_SCORE: Final = "-1000"


def protect(priority: int = REALTIME_PRIORITY) -> tuple[str, ...]:
    """Raise our priority and lock our memory; return what did not work."""
    return tuple(_failures(priority))


def _failures(priority: int) -> Iterator[str]:
    try:
        # Children do not inherit it: applications and helpers run like any other process.
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except OSError as error:
        yield f"real-time priority: {error.strerror}"
        try:
            # Else what we start would compete with us on equal terms.
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        except OSError as nice_error:
            yield f"priority: {nice_error.strerror}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        yield f"locked memory: {os.strerror(ctypes.get_errno())}"
    try:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    except OSError as error:
        yield f"protection from the out-of-memory killer: {error.strerror}"


def settle_memory() -> None:
    """Call after start-up: what lives for ever is not looked at by the garbage collector."""
    gc.collect()
    gc.freeze()
