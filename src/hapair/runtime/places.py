"""Where everything lies on a node, below one root."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

INCARNATION: Final = "incarnation"  # In ``memory``: the number of the daemon's last start.
# Its leading zeros take its room on the disk beforehand; every version reads them.
INCARNATION_DIGITS: Final = 4096


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a node; ``root`` is "/" except in tests."""

    root: Path = Path("/")

    @property
    def configuration(self) -> Path:
        return self.root / "etc/cluster"

    @property
    def clconf(self) -> Path:
        return self.configuration / "clconf.xml"

    @property
    def clstart(self) -> Path:
        return self.configuration / "clstart.xml"

    def appconf(self, application: str) -> Path:
        return self.configuration / application / "appconf.xml"

    @property
    def built(self) -> Path:
        return self.configuration / "built/built.json"

    @property
    def keys(self) -> Path:
        return self.configuration / "keys"

    @property
    def cluster_key(self) -> Path:
        """32 random bytes as hexadecimal digits: authenticates heartbeats."""
        return self.keys / "cluster.key"

    @property
    def node_key(self) -> Path:
        return self.keys / "node.key"

    @property
    def node_certificate(self) -> Path:
        return self.keys / "node.crt"

    @property
    def peer_certificate(self) -> Path:
        return self.keys / "peer.crt"

    @property
    def drbd_resources(self) -> Path:
        return self.root / "etc/drbd.d"

    def drbd_resource(self, resource: str) -> Path:
        return self.drbd_resources / f"hapair-{resource}.res"

    @property
    def memory(self) -> Path:
        """What must survive a crash."""
        return self.root / "var/lib/hapair"

    @property
    def history(self) -> Path:
        return self.memory / "events.jsonl"

    @property
    def job(self) -> Path:
        return self.memory / "job.json"

    @property
    def run(self) -> Path:
        return self.root / "run/hapair"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def lems_socket(self) -> Path:
        return self.run / "lems.sock"

    @property
    def looks(self) -> Path:
        """Where snapshots are mounted, read-only, while their files are compared."""
        return self.run / "look"

    @property
    def cards_before(self) -> Path:
        """The cards' settings before the daemon changed them, for the package's removal."""
        return self.run / "cards-before"

    @property
    def not_stored(self) -> Path:
        """Left by a daemon while its disk takes nothing, for the next one of this boot."""
        return self.run / "not-stored"

    @property
    def claim(self) -> Path:
        """Locked by the running daemon."""
        return self.run / "hapaird.lock"

    @property
    def started(self) -> Path:
        """Notes of successful starts; they do not survive a reboot."""
        return self.run / "started"

    @property
    def logs(self) -> Path:
        """Where programs' output goes in tests; on a real node it goes to the journal."""
        return self.root / "var/log/hapair"

    @property
    def real(self) -> bool:
        return self.root == Path("/")

    def made_at_start(self) -> tuple[Path, ...]:
        """Return the folders that the daemon needs before it can do anything."""
        return (self.memory, self.run) if self.real else (self.memory, self.run, self.logs)

    @property
    def archives(self) -> Path:
        return self.root / "cmbackup"


def read_incarnation(content: bytes) -> int:
    """Read the number of a start; ValueError."""
    if not content.isdigit():
        raise ValueError("it is no number")
    return int(content)
