"""Run commands on another machine through the ssh binary, over one shared connection."""

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hapair.ports.programs import CommandRunner, Finished, TimedOut

# A busy machine takes the connection at once, and its sshd greets when it comes to run.
CONNECT_TIMEOUT_S: Final = 30
CONNECTION_KEPT_S: Final = 120  # How long a connection outlives the last command.
CLOSE_TIMEOUT_S: Final = 5.0
SSH_FAILED: Final = 255  # The exit code of ssh itself, as against that of the command.
# A login without a terminal may get a PATH without the folders of system commands.
REMOTE_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def batch_options() -> tuple[str, ...]:
    """Return options by which ssh asks nobody anything and gives up on a silent machine."""
    return (
        "-oBatchMode=yes",
        f"-oConnectTimeout={CONNECT_TIMEOUT_S}",
        "-oServerAliveInterval=3",
        "-oServerAliveCountMax=4",
        "-oLogLevel=ERROR",
        "-T",
        "-x",
    )


class SshMachine:
    """A command runner whose commands run as root on the machine at ``address``.

    Nothing secret is ever put on a command line: files and keys travel on standard input.
    """

    def __init__(self, run: CommandRunner, address: str, control_folder: Path) -> None:
        self._run = run
        self._address = address
        self._control = control_folder / "%C"

    def _argv(self, *more: str) -> tuple[str, ...]:
        return (
            "ssh",
            *batch_options(),
            "-oControlMaster=auto",
            f"-oControlPath={self._control}",
            f"-oControlPersist={CONNECTION_KEPT_S}",
            *more,
            f"root@{self._address}",
        )

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        """Run ``argv`` there. Exit code 255 says that the connection failed.

        After TimedOut, and after 255, the command may have run, or may still run.
        """
        command = shlex.join(("env", REMOTE_PATH, "LC_ALL=C", *argv))
        return await self._run((*self._argv(), "--", command), timeout_s=timeout_s, stdin=stdin)

    async def close(self) -> None:
        """End the shared connection; it would end by itself later."""
        with contextlib.suppress(OSError):
            await self._run((*self._argv("-O", "exit"),), timeout_s=CLOSE_TIMEOUT_S)
