"""Processes that tests start: none of them outlives a test that fails."""

import signal
import subprocess
from types import TracebackType
from typing import Final

PATIENCE_S: Final = 120.0  # Longer than anything takes, also on a machine that is busy.


class Started(subprocess.Popen[str]):
    """A process whose output is read as text.

    When the block fails, or runs into its time limit, the process is killed. Popen would wait for
    it, without any limit, and hold up the whole run.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.kill()
        super().__exit__(kind, error, trace)

    def line(self, words: str = "") -> str:
        """Return the next line of its output, or the next one with these words."""
        assert self.stdout is not None
        for line in self.stdout:
            if words in line:
                return line
        said = self.stderr.read() if self.stderr else ""
        raise AssertionError(f"it ended before it printed {words!r}: {said}")

    def ended(self) -> tuple[str, str]:
        """Wait for its end; return what it printed since, and its errors."""
        return self.communicate(timeout=PATIENCE_S)

    def interrupted(self) -> tuple[str, str]:
        """Press Ctrl-C, once, and wait for its end."""
        self.send_signal(signal.SIGINT)
        return self.ended()
