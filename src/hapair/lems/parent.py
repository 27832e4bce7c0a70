"""The parent: has everything loaded and forks one Lems for each application.

It watches nothing itself. Who ends it ends no Lems: they belong to nobody but the daemon.
"""

import ctypes
import gc
import os
import signal
import traceback
from typing import Final, NoReturn

from hapair import __version__
from hapair.lems.line import Line, Message
from hapair.lems.loop import Loop
from hapair.lems.one import Lems
from hapair.lems.watch import Agents, warm_up
from hapair.model.monitor import LIFE_S

PR_SET_NAME: Final = 15
PR_SET_CHILD_SUBREAPER: Final = 36
NAME_BYTES_MAX: Final = 15
M_ARENA_MAX: Final = -8  # mallopt(3): threads take their memory from where the others do.


class Parent:
    def __init__(self, path: str, agents: Agents) -> None:
        self._path = path
        self._agents = agents
        self._loop = Loop()
        self._line = Line(self._loop, path, self._hello, self._heard)
        self._libc = ctypes.CDLL(None)
        self._libc.mallopt(M_ARENA_MAX, 1)

    def run(self) -> None:
        """Fork whatever the daemon asks for, until a signal ends the process."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The kernel buries them.
        self._line.connect()
        warm_up(self._agents)
        # What all of them have is written to by nobody's garbage collector, so it is copied for
        # nobody.
        gc.collect()
        gc.freeze()
        self._live()
        self._loop.run()

    def _live(self) -> None:
        self._line.say({"lives": True})
        self._loop.after(LIFE_S, self._live)

    def _hello(self) -> None:
        said = {"hello": "parent", "version": __version__, "pid": os.getpid()}
        self._line.say(said)

    def _heard(self, message: Message) -> None:
        if not isinstance(application := message.get("fork"), str):
            return
        try:
            pid = os.fork()
        except OSError as error:
            self._line.say({"not-forked": application, "why": str(error.strerror)})
            return
        if pid == 0:
            self._be(application)
        self._line.say({"forked": application, "pid": pid})

    def _be(self, application: str) -> NoReturn:
        """Be the Lems of an application, then exit: no other code of the parent may run in it."""
        code = 1
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._line.close()
            self._loop.close()
            self._libc.prctl(PR_SET_NAME, f"lems-{application}".encode()[:NAME_BYTES_MAX])
            self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
            os.setsid()
            Lems(application, self._path, self._agents, reaps=True).run()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
