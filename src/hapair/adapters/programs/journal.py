"""Where the output of applications goes: to the journal, never to a pipe of the daemon."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

JOURNAL: Final = Path("/run/systemd/journal/stdout")
_PRIORITY: Final = 6  # Information.


def identifier(application: str) -> str:
    """Return what `journalctl --identifier` finds the application's output by."""
    return f"hapair-{application}"


@contextlib.contextmanager
def output(application: str, folder: Path | None, journal: Path = JOURNAL) -> Iterator[int]:
    """Return a descriptor for the output of ``application``: a file in ``folder`` or the journal.

    Without a journal, or while it takes no connection, the output is thrown away; an application
    must not fail for that, nor wait.
    """
    if folder is not None:
        descriptor = os.open(
            folder / f"{application}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640
        )
    else:
        descriptor = _journal(application, journal)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _journal(application: str, place: Path) -> int:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A journal that takes nothing in must not hold up who starts the application.
    stream.settimeout(0.0)
    try:
        stream.connect(str(place))
        stream.shutdown(socket.SHUT_RD)
        # Identifier, unit, priority, level prefixes, and forwarding to three other places.
        stream.sendall(f"{identifier(application)}\n\n{_PRIORITY}\n0\n0\n0\n0\n".encode())
        stream.settimeout(None)  # The application writes as to any other file.
    except OSError:
        stream.close()
        return os.open(os.devnull, os.O_WRONLY)
    return stream.detach()
