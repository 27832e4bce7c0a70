"""Samba: each number is a file of the share; and a large file is copied while it moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.more_packages import MORE_BOOTED
from hapair_lab.payload.client import PASSWORD

DATA: Final = "/srv/samba"
FILES: Final = f"{DATA}/files"
UNIT: Final = "smbd.service"
ADDRESS: Final = "10.77.1.57"
LARGE: Final = "/var/tmp/large"  # noqa: S108 - a path in a guest of ours.
LARGE_MIB: Final = 64
COPIED: Final = f"{LARGE}.copied"
# As somebody does it who is told that a copy failed.
COPY: Final = (
    f"until smbclient //{ADDRESS}/files -U ledger%{PASSWORD} -c 'put {LARGE} large'; "
    f"do sleep 0.5; done; touch {COPIED}"
)


def prepare(lab: Lab) -> None:
    """Do what the README says."""
    for node in lab.nodes:
        node.check(
            f"cp {SAMPLES}/samba/smb.conf /etc/samba/smb.conf && "
            "useradd -u 5001 -M -s /usr/sbin/nologin ledger && "
            f"systemctl -q unmask {UNIT} && systemctl -q disable {UNIT}"
        )
    lab.node1.check(
        f"mkdir -m 700 {DATA}/private && mkdir {DATA}/state {FILES} && chown ledger: {FILES} && "
        f"printf '{PASSWORD}\\n{PASSWORD}\\n' | smbpasswd -s -a ledger"
    )


def numbers(node: Machine) -> list[int]:
    """Return the names of all files that are whole."""
    return [int(name) for name in node.check(f"cd {FILES} && find [0-9]* -size +0").split()]


def check(node: Machine) -> None:
    """Let Samba read its accounts."""
    if not node.check("pdbedit -L").startswith("ledger:"):
        raise LabError(f"{node.name}: Samba does not know the account any more")


def copy_across(lab: Lab, move: Callable[[], object]) -> None:
    """Copy a large file while it moves: in the end all of it is there, wherever that is."""
    outside = lab.outside
    outside.check(f"rm -f {COPIED}; head -c {LARGE_MIB}M /dev/urandom >{LARGE}")
    outside.check(["systemd-run", "--collect", "sh", "-c", COPY])

    def there() -> list[str]:
        sizes = [node.run(f"stat -c %s {FILES}/large").stdout.strip() for node in lab.nodes]
        return [size for size in sizes if size not in ("", "0")]

    lab.wait_until("a part of the file is there", lambda: bool(there()), timeout_s=PATIENCE_S)
    if outside.run(["test", "-e", COPIED]).ok:
        raise LabError("the file was copied before the move began")
    move()
    lab.wait_until(
        "the client has copied the file",
        lambda: outside.run(["test", "-e", COPIED]).ok,
        timeout_s=PATIENCE_S,
    )
    wanted = outside.check(f"sha256sum <{LARGE}")
    if all(node.run(f"sha256sum <{FILES}/large").stdout != wanted for node in lab.nodes):
        raise LabError("the file that was copied during the move is not what was copied")
    outside.check(["rm", LARGE])


SAMBA: Final = RealApplication(
    name="samba",
    mount_point=DATA,
    address=ADDRESS,
    port=445,
    speaks="samba",
    main=UNIT,
    prepare=prepare,
    numbers=numbers,
    check=check,
    booted=MORE_BOOTED,
    across=copy_across,
)
