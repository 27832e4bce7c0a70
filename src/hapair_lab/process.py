"""A long-lived process of the lab, known by its pid file: any process may find and end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError

END_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02
PREFERENCE: Final = -10  # As ``nice`` counts: about nine times the share of another process.
PROC: Final = Path("/proc")


@dataclass(slots=True)
class Process:
    """One process: ``word`` is a part of its command line that no other process has.

    With ``whole_group`` the processes that it starts end with it.
    """

    pid_file: Path
    word: str
    log: Path
    whole_group: bool = False
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _preferred: bool = field(default=False, init=False)

    def start(
        self,
        argv: list[str],
        *,
        dies_with_parent: bool,
        pass_fds: tuple[int, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it in a session of its own, where a Ctrl-C at the terminal does not reach it.

        With ``dies_with_parent`` the kernel kills it when the thread that called this ends, however
        it ends.
        """
        prefix = ["setpriv", "--pdeathsig", "KILL", "--"] if dies_with_parent else []
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [*prefix, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=pass_fds,
                env=environment,
            )
        self.pid_file.write_text(f"{self._child.pid}\n")
        if self._preferred:
            self.prefer()

    def prefer(self) -> None:
        """Let it, and what it starts, go before this machine's other work, now and after a restart.

        Without the right to do so nothing changes. Kernels that share the processors among sessions
        first ("autogroup") are told for its session.
        """
        self._preferred = True
        if (pid := self.pid()) is None:
            return
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, pid, PREFERENCE)
            (PROC / str(pid) / "autogroup").write_text(str(PREFERENCE))

    def pid(self) -> int | None:
        """Return its number, or None if it does not run (any more)."""
        if self._child is not None and self._child.poll() is None:
            return self._child.pid
        try:
            pid = int(self.pid_file.read_text())
            command = (PROC / str(pid) / "cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        # The kernel may have given the number to another process since.
        return pid if self.word.encode() in command else None

    def kill(self) -> None:
        """End it at once, whatever it does; it may already be gone."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if self.whole_group else os.kill)(pid, signal.SIGKILL)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until it is gone."""
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while self.pid() is not None:
            if time.monotonic() > deadline_s:
                raise LabError(f"process {self.pid()} does not end: {self.word}")
            time.sleep(POLL_S)
        self.pid_file.unlink(missing_ok=True)

    def last_words(self) -> str:
        """Return the end of what it said on its error output, for error messages."""
        return self.log.read_text(errors="replace")[-2000:].strip() if self.log.exists() else ""


def any_runs_in(folder: Path) -> bool:
    """Tell whether a process lives whose pid file is in ``folder``, whoever started it.

    Its command line names the folder. Nothing else is asked for: another version of the lab may
    have made it.
    """
    return any(
        Process(pid_file, f"{folder}/", folder / "log").pid() is not None
        for pid_file in folder.glob("*.pid")
    )
