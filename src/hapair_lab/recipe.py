"""The recipe of the guests' image: packages, files, settings. Its hash names the image."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab import topology

PAYLOAD: Final = Path(__file__).parent / "payload"
RECIPE_VERSION: Final = 1

RELEASES: Final = ("bookworm", "trixie")
DEFAULT_RELEASE: Final = "bookworm"
ROOT_DISK_BYTES: Final = 2 * 1024**3

PACKAGES: Final = (
    "acl",
    "attr",
    "busybox-static",  # The initial ram disk.
    "ca-certificates",
    "cryptsetup-bin",
    "dbus",
    "dmsetup",
    "drbd-utils",
    "e2fsprogs",
    "etcd-server",  # Witness of one scenario.
    "ethtool",
    "iproute2",
    "iputils-arping",
    "iputils-ping",
    "kmod",
    "linux-image-cloud-amd64",
    "lvm2",
    "nfs-kernel-server",
    "nftables",
    "openssh-server",
    "openssl",
    "postgresql",
    "procps",
    "psmisc",
    "python3",
    "python3-jeepney",
    "python3-lxml",
    "python3-pyroute2",
    "quota",
    "redis-server",
    "systemd",
    "systemd-sysv",
    "tcpdump",
    "udev",
    "xfsprogs",
)

# What a guest of the lab has no use for; every unit costs up to a second of emulated boot.
MASKED_UNITS: Final = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "cryptsetup.target",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "etcd.service",  # Until ``etcd_service`` wants it on ``outside``.
    "fstrim.timer",
    "getty.target",
    "getty@tty1.service",
    "integritysetup.target",
    "kmod-static-nodes.service",
    "lvm2-monitor.service",
    "man-db.timer",
    "nfs-blkmap.service",
    "nfs-client.target",
    "nfs-server.service",  # Until a scenario exports something.
    "postgresql.service",  # The same; a cluster of PostgreSQL is made by who wants one.
    "proc-sys-fs-binfmt_misc.automount",
    "redis-server.service",
    "rpcbind.service",
    "rpcbind.socket",
    "serial-getty@ttyS0.service",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-journal-catalog-update.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-update-done.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "veritysetup.target",
)
ENABLED_UNITS: Final = {
    "lab-agent.service": ("sysinit.target",),
    "lab-network.service": ("multi-user.target", "network-online.target"),
}


LAB_FOLDER: Final = "usr/local/lib/hapair-lab"
# Files of the payload folder and where they lie in a guest.
PAYLOAD_PATHS: Final = {
    "agent.py": f"{LAB_FOLDER}/agent.py",
    "journald.conf": "etc/systemd/journald.conf.d/lab.conf",
    "lab-agent.service": "etc/systemd/system/lab-agent.service",
    "lab-network.service": "etc/systemd/system/lab-network.service",
    "modprobe.conf": "etc/modprobe.d/lab.conf",
    "network.sh": f"{LAB_FOLDER}/network.sh",
    "sshd.conf": "etc/ssh/sshd_config.d/lab.conf",
    "sysctl.conf": "etc/sysctl.d/90-lab.conf",
    "udev-trigger.conf": "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf",
}
# What a User Mode Linux guest needs besides: cards and device names as a QEMU guest has them.
UML_PAYLOAD_PATHS: Final = {
    "uml-cards.sh": f"{LAB_FOLDER}/uml-cards.sh",
    "uml-cards.conf": "etc/systemd/system/lab-network.service.d/uml.conf",
    "uml-disks.rules": "etc/udev/rules.d/10-lab-disks.rules",
    "uml-journald.conf": "etc/systemd/journald.conf.d/uml.conf",
    "uml-modprobe.conf": "etc/modprobe.d/uml.conf",
    "uml-udev-trigger.conf": "etc/systemd/system/systemd-udev-trigger.service.d/uml.conf",
}
FSTAB: Final = "/dev/{disk} / ext4 defaults,noatime 0 0\n"


@dataclass(frozen=True, slots=True)
class GuestFile:
    """A file that the lab adds to the image. ``link_to`` makes it a symbolic link."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    link_to: str = ""


def _unit_links() -> list[GuestFile]:
    units = "etc/systemd/system"
    links = [GuestFile(f"{units}/{name}", link_to="/dev/null") for name in MASKED_UNITS]
    for name, targets in ENABLED_UNITS.items():
        links += [
            GuestFile(f"{units}/{target}.wants/{name}", link_to=f"/{units}/{name}")
            for target in targets
        ]
    return links


def _generated_files(*, uml: bool) -> list[GuestFile]:
    files = [
        GuestFile("etc/hosts", topology.hosts_file().encode()),
        GuestFile("etc/hostname", b"lab\n"),
        GuestFile("etc/machine-id", b"00000000000000000000000000000077\n"),
        GuestFile("var/log/journal/.keep"),
        GuestFile("etc/fstab", FSTAB.format(disk="ubda" if uml else "vda").encode()),
    ]
    for guest in topology.GUESTS:
        path = f"{LAB_FOLDER}/{guest.name}.ip"
        files.append(GuestFile(path, topology.address_commands(guest).encode()))
        if uml:
            path = f"{LAB_FOLDER}/{guest.name}.cards"
            files.append(GuestFile(path, topology.card_lines(guest).encode()))
    for card, macs in topology.card_names_by_mac().items():
        link = f"[Match]\nMACAddress={' '.join(macs)}\n\n[Link]\nName={card}\n"
        files.append(GuestFile(f"etc/systemd/network/10-lab-{card}.link", link.encode()))
    return files


def guest_files(*, uml: bool) -> tuple[GuestFile, ...]:
    """Return every file that the image gets besides its packages and its keys."""
    paths = PAYLOAD_PATHS | (UML_PAYLOAD_PATHS if uml else {})
    copied = [GuestFile(path, (PAYLOAD / name).read_bytes()) for name, path in paths.items()]
    return (*copied, *_generated_files(uml=uml), *_unit_links())


def key_of(release: str, uml_kernel: str = "", further: tuple[GuestFile, ...] = ()) -> str:
    """Return the hash of all that the image of ``release`` is made of, with further files.

    ``uml_kernel`` names the kernel of guests that do not run the release's own.
    """
    digest = hashlib.sha256()
    files = guest_files(uml=bool(uml_kernel))
    parts = (RECIPE_VERSION, release, uml_kernel, PACKAGES, ROOT_DISK_BYTES, files, further)
    digest.update(repr(parts).encode())
    return digest.hexdigest()[:16]


def tar_of(files: tuple[GuestFile, ...]) -> bytes:
    """Return a tar of ``files``, owned by root, with the folders they need."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.mode = file.mode
            if file.link_to:
                entry.type = tarfile.SYMTYPE
                entry.linkname = file.link_to
                tar.addfile(entry)
            else:
                entry.size = len(file.content)
                tar.addfile(entry, io.BytesIO(file.content))
    return target.getvalue()
