"""hapair-alerts: tells people and monitors what needs a person.

Exit codes: 0 when clconf.xml names nobody to tell; 1 when it may not run here, 2 for wrong
arguments.
"""

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hapair import __version__
from hapair.adapters.alerts.means import Means
from hapair.adapters.alerts.sending import begin
from hapair.adapters.clock import SystemClock
from hapair.adapters.files import FileStorage
from hapair.alerts.memory import FILE, read_memory
from hapair.alerts.process import Process
from hapair.config.built_json import loads
from hapair.config.codec import DamagedError
from hapair.durable import set_aside_unreadable
from hapair.model.built import Built
from hapair.rpc.client import ROOT_VARIABLE, call
from hapair.rpc.messages import ExitCode, JsonObject


class Configuration:
    """What is built, read again when the file changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mark: tuple[int, int] | None = None
        self._built: Built | None = None

    def __call__(self) -> Built | None:
        """Return it while it names receivers; what cannot be read leaves the former one."""
        try:
            facts = self._file.stat()
            mark = (facts.st_ino, facts.st_mtime_ns)
            if mark != self._mark:
                self._built = loads(self._file.read_bytes())
                self._mark = mark
        except FileNotFoundError:
            return None
        except (OSError, DamagedError):
            pass
        named = self._built is not None and self._built.cluster.alerts.receivers
        return self._built if named else None


def ask(verb: str, args: JsonObject, timeout_s: float) -> JsonObject:
    return call(verb, args, timeout_s=timeout_s)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="hapair-alerts",
        description="Tells people and monitors what needs a person: the receivers that clconf.xml "
        "names under <alerts>. systemd starts it; it is a client of hapaird, which never waits for "
        "it.",
    )
    made.add_argument("--version", action="version", version=f"hapair-alerts {__version__}")
    made.add_argument(
        "--root",
        type=Path,
        default=Path("/"),
        metavar="FOLDER",
        help="where etc, var and run of this node lie (for tests; default: /)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    root: Path = parser().parse_args(arguments).root
    os.environ[ROOT_VARIABLE] = str(root)
    memory = root / "var/lib/hapair"
    means = Means(owner=os.geteuid())
    try:
        memory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _tell(f"{error.filename}: {error.strerror}; root starts it")
        return int(ExitCode.REFUSED)
    set_aside_unreadable(memory, {FILE: read_memory}, _tell)
    Process(
        Configuration(root / "etc/cluster/built/built.json"),
        ask,
        FileStorage(memory),
        SystemClock(),
        partial(begin, means=means),
        socket.gethostname(),
    ).run()
    return int(ExitCode.DONE)


def _tell(text: str) -> None:
    sys.stderr.write(f"hapair-alerts: {text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
