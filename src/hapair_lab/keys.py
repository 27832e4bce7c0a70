"""The ssh keys of the lab: one pair for root everywhere, one host key for all guests.

They are made once per cache, not per image, so that guests of different releases enter one another.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab.folders import cache_folder
from hapair_lab.recipe import GuestFile
from hapair_lab.tools import locked, run_tool

SECRET: Final = 0o600


@dataclass(frozen=True, slots=True)
class Keys:
    """The files of the keys on this host."""

    folder: Path

    @property
    def private(self) -> Path:
        """The key with which the host enters the guests, and the guests one another."""
        return self.folder / "lab_key"

    @property
    def known_hosts(self) -> Path:
        """The guests' host key, whatever their address."""
        return self.folder / "known_hosts"

    def guest_files(self) -> tuple[GuestFile, ...]:
        """Return the files that every guest needs."""
        public = (self.folder / "lab_key.pub").read_bytes()
        host_public = (self.folder / "host_key.pub").read_bytes()
        host_private = (self.folder / "host_key").read_bytes()
        return (
            GuestFile("root/.ssh/authorized_keys", public, SECRET),
            GuestFile("root/.ssh/id_ed25519", self.private.read_bytes(), SECRET),
            GuestFile("root/.ssh/id_ed25519.pub", public),
            GuestFile("etc/ssh/ssh_known_hosts", self.known_hosts.read_bytes()),
            GuestFile("etc/ssh/ssh_host_ed25519_key", host_private, SECRET),
            GuestFile("etc/ssh/ssh_host_ed25519_key.pub", host_public),
        )


def lab_keys() -> Keys:
    """Return the keys of this cache, made now if it has none."""
    folder = cache_folder() / "keys"
    with locked("keys"):
        if not folder.exists():
            _make(folder)
    return Keys(folder)


def _make(folder: Path) -> None:
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    for name in ("lab_key", "host_key"):
        target = str(partial / name)
        run_tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "hapair lab", "-f", target)
    known = b"* " + (partial / "host_key.pub").read_bytes()
    (partial / "known_hosts").write_bytes(known)
    partial.rename(folder)
