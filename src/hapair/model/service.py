"""What is seen of a service that runs on this node beside the cluster. Facts only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeenProcess:
    pid: int
    parent: int
    name: str
    command: str  # Its words, shortened.
    account: str
    age_s: float


@dataclass(frozen=True, slots=True)
class SeenMount:
    """The file system that a folder lies on."""

    mount_point: str
    device: str
    file_system: str
    volume_group: str = ""  # Empty: it lies on no logical volume.
    volume: str = ""
    drbd: bool = False


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """A folder with data of the service."""

    path: str
    why: str
    mount: SeenMount | None


@dataclass(frozen=True, slots=True)
class SeenPort:
    """A port that it listens at."""

    protocol: str  # "tcp" or "udp".
    address: str  # "0.0.0.0" or "::" for all of them.
    port: int
    program: str
    http_status: int = 0  # What it answered to a question by HTTP; 0: it does not speak it.


@dataclass(frozen=True, slots=True)
class SeenAddress:
    """An address of this machine at which clients reach it."""

    address: str
    prefix: int
    card: str
    why: str
    first: bool  # The card's own one; others were added to it.


@dataclass(frozen=True, slots=True)
class SeenUnit:
    """How systemd has it."""

    name: str
    main_pid: int = 0
    start_s: float = 0.0  # How long its last start took; 0: not known.
    start_limit_s: float = 0.0
    stop_limit_s: float = 0.0
    kind: str = ""  # "simple", "forking" and so on.


@dataclass(frozen=True, slots=True)
class SeenService:
    node: str
    asked: str  # The unit, or the OCF agent.
    unit: SeenUnit | None
    processes: tuple[SeenProcess, ...]
    folders: tuple[SeenFolder, ...]
    ports: tuple[SeenPort, ...]
    addresses: tuple[SeenAddress, ...]
    # All that is mounted from the volume groups that its folders lie in.
    in_groups: tuple[SeenMount, ...] = ()
    required: tuple[str, ...] = ()  # Parameters that the OCF agent needs.
