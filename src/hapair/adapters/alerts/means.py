"""What of this machine the ways to tell somebody use, and how they fail."""

from dataclasses import dataclass
from pathlib import Path


class UndeliveredError(Exception):
    """The receiver did not take it; the text says why, without any secret.

    ``refused``: it is the letter that is refused, and as it is it will never be taken.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Means:
    owner: int = 0  # The user to whom files of secrets must belong.
    search_path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    log: Path = Path("/dev/log")  # The socket of this machine's syslog.

    def environment(self) -> dict[str, str]:
        """Return the environment of programs: they speak English, and find system commands."""
        return {"PATH": self.search_path, "LC_ALL": "C", "LANG": "C", "HOME": "/root"}


def host_and_port(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":")
    return host.strip("[]"), int(port)
