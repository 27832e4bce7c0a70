"""A port accepts connections."""

import socket
from contextlib import closing
from dataclasses import dataclass

from hapair.lems.answers import Answer, Said, failed, good
from hapair.model.monitor import TcpProbe, Trouble


def connected(address: str, port: int, timeout_s: float) -> socket.socket:
    """Return a connection; OSError. ``address`` is one of IPv4 or IPv6."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        made.settimeout(timeout_s)
        made.connect((address, port))
    except OSError:
        made.close()
        raise
    return made


@dataclass(frozen=True, slots=True)
class Tcp:
    probe: TcpProbe
    timeout_s: float
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        return self.look

    def asked(self) -> str:
        return f"{self.probe.address} port {self.probe.port}"

    def close(self) -> None:
        """Keep nothing open."""

    def look(self) -> Answer:
        try:
            with closing(connected(self.probe.address, self.probe.port, self.timeout_s)):
                return good(f"{self.asked()} accepts connections")
        except TimeoutError:
            return failed(f"{self.asked()} gave no answer within {self.timeout_s:g} s")
        except OSError as error:
            return failed(f"{self.asked()}: {error.strerror or error}")
