"""A watchdog device in a guest, as docs/operating/watchdog.md says."""

from typing import Final

from hapair_lab.machine import Machine

TIMEOUT_S: Final = 6
ELEMENT: Final = f'<watchdog timeout="{TIMEOUT_S}s"/>'
DEVICE: Final = "/sys/class/watchdog/watchdog0/state"


def give_watchdog(node: Machine) -> None:
    """Load a device now and at each boot."""
    node.put("/etc/modules-load.d/watchdog.conf", "softdog\n")
    node.check("modprobe softdog")


def is_fed(node: Machine) -> bool:
    """Tell whether the device is open: who does not feed it then is reset."""
    return node.check(f"cat {DEVICE}") == "active\n"
