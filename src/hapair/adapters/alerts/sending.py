"""Sends letters in children: what hangs there, a name server or a program, hurts only itself."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapair.adapters.alerts.means import Means, UndeliveredError
from hapair.adapters.shared.children import CRASHED, RESULT_BYTES_MAX, Write, start_child
from hapair.adapters.shared.secret_files import read_secret
from hapair.model.alerts import Letter, Method, Receiver
from hapair.model.outcome import Refused

DELIVERED: Final = ""
NOT_TAKEN: Final = 1  # Exit codes of a child.
REFUSED: Final = 2
GRACE_S: Final = 2.0  # Beyond the receiver's limit: its own message says more.


@dataclass(slots=True)
class Sending:
    """A letter on its way."""

    pid: int
    output: int
    until_s: float
    limit_s: float
    killed: bool = False
    refused: bool = False

    def outcome(self) -> str | None:
        """Return DELIVERED, why it was not, or None while it is on its way."""
        reaped, status = os.waitpid(self.pid, os.WNOHANG)
        if not reaped:
            if time.monotonic() >= self.until_s and not self.killed:
                self.kill()
            return None
        text = os.read(self.output, RESULT_BYTES_MAX).decode(errors="replace")
        os.close(self.output)
        if status == 0:  # What a program left behind may still be telling it.
            return DELIVERED
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.killed:
            return f"it was not taken within {self.limit_s:g} s"
        self.refused = os.waitstatus_to_exitcode(status) in {REFUSED, CRASHED}
        return text or "the attempt crashed"

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def begin(receiver: Receiver, letter: Letter, means: Means) -> Sending | str:
    """Begin to send it; a text says why no child could be started."""

    def deliver(write: Write) -> int:
        os.setsid()
        try:
            _deliver(receiver, letter, means)
        except (UndeliveredError, OSError, UnicodeError) as error:
            write(" ".join(str(error).split())[:RESULT_BYTES_MAX])
            # Bytes that cannot be written so are in the letter.
            refused = isinstance(error, UnicodeError) or getattr(error, "refused", False)
            return REFUSED if refused else NOT_TAKEN
        return 0

    try:
        pid, output = start_child(deliver)
    except OSError as error:
        return f"no process can be started: {error.strerror}"
    return Sending(pid, output, time.monotonic() + receiver.timeout_s + GRACE_S, receiver.timeout_s)


def _deliver(receiver: Receiver, letter: Letter, means: Means) -> None:
    secret = _read(receiver.secret, means)
    # Only the child loads what it needs.
    match receiver.method:
        case Method.MAIL:
            from hapair.adapters.alerts import mail  # noqa: PLC0415 - memory

            mail.send(receiver, letter, secret)
        case Method.WEBHOOK:
            from hapair.adapters.alerts import webhook  # noqa: PLC0415 - memory

            url = webhook.url_of(receiver, _read(receiver.url_file, means))
            webhook.send(replace(receiver, to=url), letter, secret)
        case Method.SYSLOG:
            from hapair.adapters.alerts import syslog  # noqa: PLC0415 - memory

            syslog.send(receiver, letter, means)
        case Method.HOOK | Method.TRAP:
            from hapair.adapters.alerts import programs  # noqa: PLC0415 - memory

            tell = programs.hook if receiver.method is Method.HOOK else programs.trap
            tell(receiver, letter, means)


def _read(file: str, means: Means) -> str:
    """Return the secret in a file, if one is named; UndeliveredError."""
    read = read_secret(Path(file), means.owner) if file else ""
    if isinstance(read, Refused):
        raise UndeliveredError(read.why)
    return read
