"""Finds out whether hardware virtualisation really works here, by booting something with it.

``/dev/kvm`` may exist and still hang a guest before its first line. The answer is remembered until
the host boots again.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from hapair_lab import initrd
from hapair_lab.errors import LabError
from hapair_lab.folders import BOOT_ID, cache_folder
from hapair_lab.images import Image
from hapair_lab.progress import say

PROBE_TIMEOUT_S: Final = 12
VARIABLE: Final = "HAPAIR_LAB_ACCELERATION"


class Acceleration(StrEnum):
    """How the guests' instructions are executed."""

    KVM = "kvm"
    TCG = "tcg"
    UML = "uml"  # By this machine's processor: the guest's kernel is a process.

    @property
    def arguments(self) -> tuple[str, ...]:
        """QEMU's arguments for it."""
        match self:
            case Acceleration.KVM:
                return ("-accel", "kvm", "-cpu", "host")
            case Acceleration.TCG:
                # The plainest processor is emulated fastest: "max" offers instructions (AVX, ERMS)
                # that programs choose because real processors are fast at them.
                return ("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "qemu64")
            case Acceleration.UML:
                return ()

    @property
    def can_freeze(self) -> bool:
        """Tell whether a running guest can be saved; one that cannot is halted for a snapshot."""
        return self is not Acceleration.UML

    @property
    def disk_format(self) -> str:
        """The format of the guests' disks, and the ending of their files' names."""
        return "ubd" if self is Acceleration.UML else "qcow2"


def _probe(image: Image) -> Acceleration:
    """Boot kernel and ram disk alone with KVM; they say one word and power off."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Acceleration.TCG
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        arguments = [
            "qemu-system-x86_64",
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "128"),
            *Acceleration.KVM.arguments,
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", f"console=ttyS0 quiet panic=-1 {initrd.PROBE_WORD}"),
            *("-serial", f"file:{console}"),
        ]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(arguments, capture_output=True, check=False, timeout=PROBE_TIMEOUT_S)
        said = console.read_text(errors="replace") if console.exists() else ""
    return Acceleration.KVM if initrd.PROBE_ANSWER in said else Acceleration.TCG


def acceleration_for(image: Image) -> Acceleration:
    """Return what works for QEMU here; the variable HAPAIR_LAB_ACCELERATION overrides it."""
    wanted = os.environ.get(VARIABLE)
    if wanted is not None:
        if wanted not in {Acceleration.KVM, Acceleration.TCG}:
            raise LabError(f"{VARIABLE} is {wanted!r}", hint="use kvm or tcg")
        return Acceleration(wanted)
    boot_id = BOOT_ID.read_text().strip()
    remembered = cache_folder() / "acceleration.json"
    try:
        answer = json.loads(remembered.read_text())
        if answer["boot_id"] == boot_id:
            return Acceleration(answer["acceleration"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _probe(image)
    say(f"hardware virtualisation was probed by booting with it: the guests will use {found}")
    remembered.write_text(json.dumps({"boot_id": boot_id, "acceleration": found}))
    return found
