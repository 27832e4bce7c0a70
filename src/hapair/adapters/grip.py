"""The port ``Grip``: a process by its descriptor."""

import os
import signal
from contextlib import suppress


class PidGrip:
    def __init__(self, pid: int) -> None:
        """ProcessLookupError: there is no such process."""
        self._descriptor = os.pidfd_open(pid)

    def kill(self) -> None:
        with suppress(ProcessLookupError, OSError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
