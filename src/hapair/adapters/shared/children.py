"""A child of this very process that runs one function: a fork without exec."""

import fcntl
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

RESULT_BYTES_MAX: Final = 1 << 16
CRASHED: Final = 255
_OWN_DESCRIPTOR: Final = 3

Write = Callable[[str], None]


def start_child(
    function: Callable[[Write], int], streams: Sequence[int | None] = ()
) -> tuple[int, int]:
    """Run the function in a child; return its number and the reading end of what it writes.

    ``streams`` become the child's first descriptors, where None is an empty device; it has no
    others of ours. A child that lacks descriptors for that writes why: its errno.

    Raises:
        OSError: there is no child.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # So whoever started us may have it: nobody would learn how a child ended.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reading, writing = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    if pid == 0:
        _run_as_child(function, writing, streams)
    os.close(writing)
    return pid, reading


def _run_as_child(
    function: Callable[[Write], int], writing: int, streams: Sequence[int | None]
) -> NoReturn:
    """Run the function and exit: no other code of the parent may run in the child."""
    code = CRASHED
    try:
        try:
            _keep_only(writing, streams)
        except OSError as error:
            os.write(writing, str(error.errno).encode())
            raise
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

        def write(text: str) -> None:
            os.write(_OWN_DESCRIPTOR, text.encode(errors="replace")[:RESULT_BYTES_MAX])

        code = function(write)
    finally:
        os._exit(code)


def _keep_only(writing: int, streams: Sequence[int | None]) -> None:
    """A child that hangs must not keep the daemon's sockets open after the daemon ended."""
    # Out of the way first: where the daemon has no standard streams, pipes have their numbers.
    writing, *given = (
        fcntl.fcntl(
            os.open(os.devnull, os.O_RDWR) if each is None else each,
            fcntl.F_DUPFD_CLOEXEC,
            _OWN_DESCRIPTOR + 1,
        )
        for each in (writing, *streams)
    )
    for number, each in enumerate(given):
        os.dup2(each, number)
    os.dup2(writing, _OWN_DESCRIPTOR, inheritable=False)
    os.closerange(_OWN_DESCRIPTOR + 1, os.sysconf("SC_OPEN_MAX"))
