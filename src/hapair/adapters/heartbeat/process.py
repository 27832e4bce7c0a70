"""The heart: a process of its own that sends and receives heartbeats while the daemon is busy.

It is a fork of the daemon without exec, so it needs no disk, shares the daemon's memory, and knows
the keys. It opens no file, starts nothing, and ends as soon as the daemon does.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from hapair.adapters.heartbeat import words
from hapair.adapters.heartbeat.channel import Channel
from hapair.adapters.heartbeat.heart import Heart
from hapair.adapters.heartbeat.sockets import Sockets

PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
NAME: Final = b"hapaird-heart"
CHANNEL: Final = 3  # Its only descriptor beside the sockets, and where its errors go.
LEAVE_TO_THE_DAEMON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def start(heart: Heart, sockets: Sockets, end: socket.socket, prepare: Callable[[], object]) -> int:
    """Fork the heart and return its process identifier; OSError when that is not possible now.

    ``end`` is its end of the channel, ``prepare`` is called in the new process.
    """
    parent = os.getpid()
    # Neither side's garbage collector writes to what both have: it is copied for neither.
    gc.freeze()
    pid = os.fork()
    if pid == 0:
        _live(heart, sockets, end, prepare, parent)
    return pid


def _live(
    heart: Heart, sockets: Sockets, end: socket.socket, prepare: Callable[[], object], parent: int
) -> NoReturn:
    """Be the heart, then exit: no other code of the daemon may run in this process."""
    try:
        signal.set_wakeup_fd(-1)
        for number in LEAVE_TO_THE_DAEMON:
            signal.signal(number, signal.SIG_IGN)
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(PR_SET_NAME, NAME)
        os.dup2(end.detach(), CHANNEL)
        os.closerange(CHANNEL + 1, os.sysconf("SC_OPEN_MAX"))
        prepare()
        if os.getppid() == parent:
            beat(heart, sockets, Channel(socket.socket(fileno=CHANNEL)))
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        os._exit(0)


def beat(heart: Heart, sockets: Sockets, channel: Channel) -> None:
    """Send what is due and report what comes, until the daemon is gone."""
    told = (0, 0)
    while channel.open:
        planned_s = heart.until_due_s()
        _sleep(planned_s, sockets, channel)
        heart.look(boot_s(), planned_s)
        for arrived in sockets.receive():
            heart.look(boot_s())
            if heart.beats:
                heart.heard()
                channel.send(words.heard(arrived, heart.now_s))
        for kind, content in channel.read():
            if kind == words.SAY:
                heart.say(*words.read_say(content))
            elif kind == words.INTRODUCE:
                sockets.introduce(*words.read_two(content))
            else:
                heart.decided(words.read_decided(content))
        heart.look(boot_s())
        if (saying := heart.saying) is not None:
            for body in heart.due():
                sockets.send(saying.incarnation, body)
        counts = (sockets.rejected, sockets.older)
        if told != counts:
            told = counts
            channel.send(words.rejected(*told))
        channel.flush()


def _sleep(for_s: float, sockets: Sockets, channel: Channel) -> None:
    """Wait until something comes, or there is room for what waits."""
    waiting = select.poll()
    for each in sockets.open():
        waiting.register(each, select.POLLIN)
    waiting.register(channel.end, select.POLLIN | (select.POLLOUT if channel.waits else 0))
    waiting.poll(1000 * for_s)
