"""A watchdog device in a guest, as docs/operating/watchdog.md says."""

from typing import Final

from hapair_lab.machine import Machine

DEVICES: Final = "/sys/class/watchdog"


def give_watchdog(node: Machine) -> str:
    """Load a device now and at each boot, and return its name.

    User Mode Linux has a device of another kind, which has the first name already.
    """
    node.put("/etc/modules-load.d/watchdog.conf", "softdog\n")
    node.check("modprobe softdog")
    return f"/dev/{node.check(f'ls {DEVICES}').strip()}"


def is_fed(node: Machine) -> bool:
    """Tell whether the device is open: who does not feed it then is reset."""
    return node.check(f"cat {DEVICES}/*/state") == "active\n"
