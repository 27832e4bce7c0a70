"""What is watched of an application while it runs, and what was found, as values."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from hapair.model.words import Word


@dataclass(frozen=True, slots=True)
class FileSystemProbe:
    """Its file systems are mounted from their devices, writable, and answer in time."""

    space_warn_percent: int = 90  # Of the space in use; 100 is a failure.
    inodes_warn_percent: int = 90


@dataclass(frozen=True, slots=True)
class ProcessProbe:
    """Processes in the application's own control group, or of its unit; all given words hold."""

    match: str = ""  # A regular expression for the command line.
    name: str = ""  # The name of the program, as in /proc/PID/comm.
    pid_file: str = ""
    least: int = 1
    most: int = 0  # 0: no limit.


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """A port accepts connections."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A URL answers."""

    url: str
    status: int = 200
    text: str = ""  # Has to be in the first 64 KiB of the answer.
    certificate_days: int = 0  # It has to be valid for so many more days; 0: it is not checked.


@dataclass(frozen=True, slots=True)
class CheckProbe:
    """A script, or a Nagios plug-in unchanged: 0 and 1 are good, 1 with a warning."""

    path: str
    arguments: str = ""  # Split as a shell would; no shell runs.


@dataclass(frozen=True, slots=True)
class UnitProbe:
    """A systemd unit is active."""

    unit: str


@dataclass(frozen=True, slots=True)
class OcfProbe:
    """The monitor of the application's own OCF agent."""

    level: int = 0  # OCF_CHECK_LEVEL.


@dataclass(frozen=True, slots=True)
class LogProbe:
    """No new line of a file matches."""

    path: str
    match: str


@dataclass(frozen=True, slots=True)
class ResourcesProbe:
    """The application's control group keeps to its limits, and nothing of it was killed."""

    memory_bytes: int = 0  # 0: no limit.
    cpu_percent: int = 0  # Of one processor, over an interval; 0: no limit.
    out_of_memory: bool = True  # A process that the kernel killed for memory is a failure.


@dataclass(frozen=True, slots=True)
class SqlProbe:
    """The database's own client program gets an answer."""

    client: str  # "psql" or "mysql"
    database: str = ""
    user: str = ""  # The account of the system that the client runs as.
    address: str = ""  # Empty: the local socket.
    port: int = 0
    statement: str = "SELECT 1"


Probe: TypeAlias = (
    FileSystemProbe
    | ProcessProbe
    | TcpProbe
    | HttpProbe
    | CheckProbe
    | UnitProbe
    | OcfProbe
    | LogProbe
    | ResourcesProbe
    | SqlProbe
)


@dataclass(frozen=True, slots=True)
class Monitor:
    """One probe and how it is asked."""

    name: str
    probe: Probe
    interval_s: float = 10.0
    timeout_s: float = 10.0  # A probe that takes longer failed.
    failures: int = 1  # So many in a row count as one.
    delay_s: float = 0.0  # Failures before so long after the start do not count.


@dataclass(frozen=True, slots=True)
class Monitors:
    """What is watched of an application, and how often it is restarted here before it moves."""

    restarts: int = 3
    period_s: float = 600.0  # Restarts count for so long.
    each: tuple[Monitor, ...] = ()


NO_MONITORS: Final = Monitors()


MONITORS_MAX: Final = 256  # Of one application, with those that are always there.
# A file system that has much to write may let one write wait for long, and does not hang.
HANGS_S: Final = 60.0
LIFE_S: Final = 2.0  # Between two signs of life of a Lems.


class Trouble(Word):
    """Whose trouble a failed monitor found; this decides what can help."""

    PROGRAM = "program"  # A restart may help, here or there.
    STORAGE = "storage"  # A file system hangs or is read-only here: another node may help.
    DATA = "data"  # It travels with the data, e.g. a full file system: no node helps.

    @classmethod
    def of_newer(cls) -> "Trouble":
        """Return the trouble that moves nothing."""
        return cls.DATA


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A monitor that counts as failed."""

    monitor: str
    trouble: Trouble
    text: str  # What it found, for people.
    certain: bool = False  # It is so whatever a write waits for, e.g. a process that has ended.
