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
    """Tell whether somebody holds the device open: who does not feed it then is reset."""
    return node.run("find /proc/[0-9]*/fd -lname '/dev/watchdog*' 2>&1 | grep -q /fd/").ok
