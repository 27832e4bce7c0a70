"""Reset this machine at once: no process is asked, nothing is written back."""

from contextlib import suppress
from pathlib import Path
from typing import Final

from hapair.model.outcome import Refused, Unknown

TRIGGER: Final = Path("/proc/sysrq-trigger")
CONSOLE: Final = Path("/dev/kmsg")
CONTAINER: Final = Path("/run/systemd/container")  # If it is there, others share the kernel.
REBOOT: Final = b"b"  # Works for root whatever kernel.sysrq says.
EMERGENCY: Final = "<0>"


def reset_machine(
    why: str, *, trigger: Path = TRIGGER, console: Path = CONSOLE, container: Path = CONTAINER
) -> Refused | Unknown:
    """Let the kernel begin anew, and its console say why. Returns only when it did not."""
    if container.exists():
        return not_a_machine(why)
    with suppress(OSError):
        _write(console, f"{EMERGENCY}hapair resets this node: {why}\n".encode())
    try:
        _write(trigger, REBOOT)
    except OSError as error:
        return Refused(f"{trigger}: {error.strerror}; take its power away by hand")
    return Unknown("the kernel goes on although it was told to; take its power away by hand")


def not_a_machine(why: str) -> Refused:
    """Refuse to reset what shares its kernel with others: the nodes of tests on one host."""
    return Refused(f"only a machine of its own is reset, although {why}")


def _write(place: Path, content: bytes) -> None:
    with place.open("wb", buffering=0) as file:
        file.write(content)
