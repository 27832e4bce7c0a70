"""A port accepts connections."""

import errno
import os
import select
import socket
from dataclasses import dataclass

from hapair.lems.answers import Answer, Said, failed, good
from hapair.lems.files import NOT_NOW
from hapair.model.monitor import TcpProbe, Trouble


@dataclass(frozen=True, slots=True)
class Tcp:
    probe: TcpProbe
    timeout_s: float
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        """Connect at once where the kernel can tell at once; a thread waits for other machines."""
        probe = self.probe
        made = socket.socket(socket.AF_INET6 if ":" in probe.address else socket.AF_INET)
        made.settimeout(0)
        code = made.connect_ex((probe.address, probe.port))
        if code == errno.EINPROGRESS and _ready(made, 0.0):
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == errno.EINPROGRESS:
            return lambda: self._wait(made)
        made.close()
        return self._judged(code)

    def asked(self) -> str:
        return f"{self.probe.address} port {self.probe.port}"

    def close(self) -> None:
        """Keep nothing open."""

    def _wait(self, made: socket.socket) -> Answer:
        with made:
            if not _ready(made, self.timeout_s):
                return failed(f"{self.asked()} gave no answer within {self.timeout_s:g} s")
            return self._judged(made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _judged(self, code: int) -> Answer:
        if code in NOT_NOW:
            raise OSError(code, os.strerror(code))
        if code:
            return failed(f"{self.asked()}: {os.strerror(code)}")
        return good(f"{self.asked()} accepts connections")


def _ready(made: socket.socket, timeout_s: float) -> bool:
    """Tell whether the kernel knows by then what became of the connection."""
    waiting = select.poll()
    waiting.register(made, select.POLLOUT)
    return bool(waiting.poll(timeout_s * 1000))
