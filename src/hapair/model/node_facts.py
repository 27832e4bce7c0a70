"""What a scan saw on one node. Facts only: what they mean is decided in core/plan."""

from dataclasses import dataclass
from enum import StrEnum

from hapair.model.leftover import Leftover


class Link(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"  # The card is switched off, or its driver does not tell.


@dataclass(frozen=True, slots=True)
class CardAddress:
    address: str  # With its prefix length, e.g. "10.77.1.1/24".
    leased: bool = False  # By DHCP or router advertisements: it may change or go away.


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    enabled: bool  # Switched on by the administrator ("ip link set ... up").
    link: Link
    reports_link: bool  # The driver answers questions about the link.
    addresses: tuple[CardAddress, ...] = ()  # Without link-local ones.
    master: str = ""  # The bond or bridge that owns the card.
    carrier: str = ""  # The card on which this one is, e.g. of a VLAN.


@dataclass(frozen=True, slots=True)
class Protocols:
    """A range of DRBD protocol versions, both ends included."""

    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Kernel:
    release: str
    has_drbd: bool


@dataclass(frozen=True, slots=True)
class Drbd:
    version: str = ""  # Of the kernel module; empty when there is none for the running kernel.
    loaded: bool = False
    error: str = ""  # Why the module cannot be loaded, or a loaded one does not tell what it has.
    protocols: tuple[Protocols, ...] = ()
    minors: tuple[int, ...] = ()  # Used by resources that are not ours.
    ours_up: bool = False  # The kernel knows resources of ours.
    reads_our_folder: bool = True  # drbd.conf includes drbd.d/*.res.
    dkms: bool = False
    at_boot: bool = False  # drbd.service is enabled.
    units_at_boot: tuple[str, ...] = ()  # Enabled units of drbd-utils for a resource of ours.
    common_disk: tuple[str, ...] = ()  # Names of options in the disk section of "common".
    helper: str = ""  # What the kernel calls as its handlers, where the module is set to say it.


class StorageKind(StrEnum):
    LOCAL = "local"  # Disks, partitions, RAID, SAN, files on local file systems.
    NETWORK_FILE = "file on a network file system"
    NETWORK_BLOCK = "network block device"
    REPLICATED = "DRBD device"


@dataclass(frozen=True, slots=True)
class PhysicalVolume:
    device: str
    kind: StorageKind
    origin: str = ""  # What it was recognised by, e.g. "/mnt/nfs/disk.img (nfs4)".
    sector_bytes: int = 0  # The least that can be written; 0: not known.

    @property
    def objection(self) -> str:
        """Say why no copy of an application's data may lie on it; empty when it may."""
        if self.kind is StorageKind.LOCAL:
            return ""
        origin = f" ({self.origin})" if self.origin else ""
        return f"{self.device} is no local storage but a {self.kind}{origin}"


@dataclass(frozen=True, slots=True)
class VolumeGroup:
    name: str
    identity: str  # LVM's UUID.
    size_bytes: int
    free_bytes: int
    physical_volumes: tuple[PhysicalVolume, ...] = ()
    system_id: str = ""  # Of the machine that may use it; empty: any may.
    lock_type: str = ""  # Of a group that machines share, e.g. "sanlock".
    exported: bool = False


@dataclass(frozen=True, slots=True)
class Lvm:
    version: str = ""  # Empty when LVM is not there or did not answer.
    error: str = ""
    global_filter: tuple[str, ...] = ()  # As an administrator configured it.
    groups: tuple[VolumeGroup, ...] = ()  # Also those that LVM leaves to other machines.
    system_id: str = ""  # Of this machine.
    devices: tuple[str, ...] | None = None  # In LVM's devices file; None: it uses none.
    # Of lvm.conf: all that may be activated (None: everything), and what becomes read-only by it.
    volume_list: tuple[str, ...] | None = None
    read_only_volume_list: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolved:
    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SshTry:
    """A prompt-less login as root to ``address``; ``boot_id`` tells who answered."""

    address: str
    boot_id: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class BusyPort:
    protocol: str  # "tcp" or "udp"
    port: int
    owner: str = ""  # Name of the process; empty for the kernel itself.


@dataclass(frozen=True, slots=True)
class Space:
    folder: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class WatchdogFacts:
    """The watchdog device that was asked for. Nobody opened it: that would start it."""

    exists: bool = False
    holder: str = ""  # Name of the process that has it open.


@dataclass(frozen=True, slots=True)
class SecretFile:
    path: str
    exists: bool = False
    private: bool = False  # It is root's, and nobody else can read it.


@dataclass(frozen=True, slots=True)
class HookFile:
    """A program that root is to run to tell alerts."""

    path: str
    exists: bool = False  # As an ordinary file.
    executable: bool = False
    protected: bool = False  # It is root's, and nobody else can write to it.


@dataclass(frozen=True, slots=True)
class Keys:
    """Nothing secret: only digests, and certificates, which are public."""

    cluster_key_digest: str = ""
    node_certificate: str = ""
    peer_certificate: str = ""
    pair_matches: bool = False  # node.key belongs to node.crt.
    private: bool = True  # Nobody but root can read the keys.


@dataclass(frozen=True, slots=True)
class TextFile:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """Files below /etc/cluster, as Latin-1 text of their bytes; empty when not there."""

    clconf: str = ""
    clconf_private: bool = True  # Nobody but root can read clconf.xml.
    built: str = ""
    applications: tuple[TextFile, ...] = ()  # appconf.xml by application.
    keys: Keys = Keys()
    leftovers: tuple[Leftover, ...] = ()


@dataclass(frozen=True, slots=True)
class Daemon:
    running: bool = False
    enabled: bool = False
    standing: str = ""  # As the daemon said it; empty when it did not answer.
    version: str = ""  # The same of its version: another one may be installed since it started.


@dataclass(frozen=True, slots=True)
class NodeFacts:
    hostname: str
    version: str  # Of hapair as it is installed.
    machine_id: str
    boot_id: str
    kernel: str  # Release of the running one.
    wall_ms: int  # Wall clock when the scan ended, less that of the node that compares.
    kernels: tuple[Kernel, ...] = ()
    drbd: Drbd = Drbd()
    lvm: Lvm = Lvm()
    tools: tuple[str, ...] = ()  # Those that were looked for and found.
    cards: tuple[Card, ...] = ()
    names: tuple[Resolved, ...] = ()
    logins: tuple[SshTry, ...] = ()
    busy_ports: tuple[BusyPort, ...] = ()
    ephemeral_first: int = 32768  # Ports that the kernel gives to outgoing connections.
    ephemeral_last: int = 60999
    reserved_ports: str = ""  # Of those, the ones it must not give away, e.g. "7700-7799".
    firewall: str = ""  # Name of what filters incoming packets; empty when nothing does.
    other_managers: tuple[str, ...] = ()  # Cluster software that runs beside ours.
    scrubs_unmounted: bool = False  # e2scrub checks all logical volumes, the unmounted ones too.
    spaces: tuple[Space, ...] = ()
    fence_agents: tuple[str, ...] = ()  # Those that were looked for and found.
    watchdog: WatchdogFacts = WatchdogFacts()
    secret_files: tuple[SecretFile, ...] = ()
    hooks: tuple[HookFile, ...] = ()
    configuration: Configuration = Configuration()
    daemon: Daemon = Daemon()
    building: bool = False  # Another clbuild or clrestore works on this node now.

    def card(self, name: str) -> Card | None:
        for card in self.cards:
            if card.name == name:
                return card
        return None


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What a scan is to look for besides the facts that every machine has."""

    names: tuple[str, ...] = ()
    login_addresses: tuple[str, ...] = ()
    port_first: int = 0
    port_last: int = 0
    fence_agents: tuple[str, ...] = ()
    watchdog: str = ""  # The device; empty: none is configured.
    secret_files: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
