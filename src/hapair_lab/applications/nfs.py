"""The kernel's NFS server: a client has a file open and locked, and appends numbers to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine

DATA: Final = "/srv/nfs"
LEDGER: Final = f"{DATA}/files/ledger.txt"
ADDRESS: Final = "10.77.1.58"
IS_LOCKED: Final = 75
TRY_TO_LOCK: Final = (
    f"mount -t nfs4 {ADDRESS}:/ /mnt && "
    f"{{ flock -n -E {IS_LOCKED} /mnt/ledger.txt true; said=$?; umount /mnt; exit $said; }}"
)


def prepare(lab: Lab) -> None:
    """Do what the README says."""
    for node in lab.nodes:
        node.check(
            f"cp {SAMPLES}/nfs/nfs.conf /etc/nfs.conf.d/hapair.conf && "
            "mkdir -p /etc/cluster/nfs && "
            f"cp {SAMPLES}/nfs/run {SAMPLES}/nfs/check /etc/cluster/nfs/"
        )
    lab.node1.check(f"mkdir -m 700 {DATA}/state && mkdir -m 777 {DATA}/files")


def numbers(node: Machine) -> list[int]:
    return [int(whole) for whole in re.findall(r"<(\d+)>", node.get(LEDGER).decode())]


def check(node: Machine) -> None:
    """The client that has ended left nothing open."""
    held = node.run("cat /proc/fs/nfsd/clients/*/states").stdout
    if "ledger.txt" in held:
        raise LabError(f"{node.name}: the server believes that the file is in use: {held}")


def lock_goes_along(lab: Lab, move: Callable[[], object]) -> None:
    """Nobody else gets the client's lock from the server that goes on."""
    move()
    other = next(node for node in lab.nodes if not NFS.main_process(node))
    tried = other.run(TRY_TO_LOCK, timeout_s=PATIENCE_S)
    if tried.exit_code != IS_LOCKED:
        raise LabError(f"the file is not locked any more after a move: {tried}")


NFS: Final = RealApplication(
    name="nfs",
    mount_point=DATA,
    address=ADDRESS,
    port=2049,
    speaks="nfs",
    main="rpc.mountd",
    prepare=prepare,
    numbers=numbers,
    check=check,
    hang_is_felt="exportfs -f",
    across=lock_goes_along,
)
