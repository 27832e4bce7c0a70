"""The device that resets this node when nobody feeds it any more.

The kernel keeps it running when it is closed without the letter V before: a crash of the daemon
does not stop it, but such a close feeds it once more. Its descriptor is a plain number, so that
nothing closes it behind our back.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import Final, Protocol

from hapair.model.cluster import Watchdog
from hapair.model.outcome import Done, Outcome, Refused

GET_SUPPORT: Final = 0x80285700  # linux/watchdog.h: WDIOC_GETSUPPORT and so on.
SET_TIMEOUT: Final = 0xC0045706
GET_TIMEOUT: Final = 0x80045707
INFO_BYTES: Final = 40  # struct watchdog_info.
RUNS_ON: Final = 0x0100  # WDIOF_MAGICCLOSE: only the letter V before the close stops it.
NUMBER: Final = struct.Struct("i")
FLAGS: Final = struct.Struct("I")
FOOD: Final = b"\0"
RELEASE: Final = b"V"
DRIVERS: Final = Path("/sys/class/watchdog")
DEFAULT_DEVICE: Final = "watchdog"  # The old name of watchdog0.
NOT_OFFERED: Final = (errno.EOPNOTSUPP, errno.ENOTTY)
MISSING: Final = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
LOAD_DRIVER: Final = (
    "load the driver of this machine's watchdog, or modprobe softdog, and name it in a file of "
    "/etc/modules-load.d so that the next boot does"
)


class Kernel(Protocol):
    """What is asked of the kernel; each raises OSError."""

    def open(self, device: str) -> int: ...
    def is_character_device(self, descriptor: int) -> bool: ...
    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes: ...
    def write(self, descriptor: int, data: bytes) -> None: ...
    def close(self, descriptor: int) -> None: ...

    def cannot_stop(self, device: str) -> bool:
        """Tell whether the driver was loaded so that nothing stops the device (nowayout)."""
        ...

    def counts(self, device: str) -> bool:
        """Tell whether somebody started the device, and nobody has stopped it since."""
        ...


class SystemKernel:
    """The kernel of this machine."""

    def open(self, device: str) -> int:
        return os.open(device, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)

    def is_character_device(self, descriptor: int) -> bool:
        return stat.S_ISCHR(os.fstat(descriptor).st_mode)

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        return fcntl.ioctl(descriptor, request, argument)

    def write(self, descriptor: int, data: bytes) -> None:
        os.write(descriptor, data)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def cannot_stop(self, device: str) -> bool:
        return self._attribute(device, "nowayout") == "1"

    def counts(self, device: str) -> bool:
        return self._attribute(device, "state") == "active"

    def _attribute(self, device: str, attribute: str) -> str:
        name = Path(device).resolve().name
        driver = DRIVERS / (f"{DEFAULT_DEVICE}0" if name == DEFAULT_DEVICE else name)
        return (driver / attribute).read_text().strip()


class KernelWatchdog:
    """Holds the device from ``open`` to ``release``."""

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or SystemKernel()
        self._descriptor: int | None = None

    def runs(self, watchdog: Watchdog) -> bool:
        """Ask the kernel without opening the device, which would feed it."""
        with contextlib.suppress(OSError):
            return self._descriptor is None and self._kernel.counts(watchdog.device)
        return False

    def open(self, watchdog: Watchdog) -> Outcome:
        """Open the device and set its time-out; from now on it must be fed.

        Done also when it is open already. After Refused it does not run because of us.
        """
        if self._descriptor is not None:
            return Done(f"{watchdog.device} is open")
        # Opening starts it: what cannot be stopped again must not be opened by a try.
        with contextlib.suppress(OSError):
            if self._kernel.cannot_stop(watchdog.device):
                return Refused(
                    f"{watchdog.device} cannot be stopped again: every restart of the daemon "
                    f"might reset the node; load its driver with nowayout=0"
                )
        try:
            descriptor = self._kernel.open(watchdog.device)
        except OSError as error:
            return Refused(_why_not_opened(watchdog.device, error))
        flags = self._flags(descriptor)
        if flags is None:
            self._kernel.close(descriptor)  # The letter V is for watchdogs only.
            return Refused(f"{watchdog.device} is no watchdog; {LOAD_DRIVER}")
        self._descriptor = descriptor
        if why := self._unfit(descriptor, flags, watchdog):
            self.release()
            return Refused(why)
        self.feed()
        return Done(
            f"{watchdog.device} resets this node {_seconds(watchdog)} s after the last feed"
        )

    def feed(self) -> None:
        """Put the reset off. A device that does not take it resets the node, as it should."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._kernel.write(self._descriptor, FOOD)

    def release(self) -> None:
        """Stop the device and close it. It stays open when it cannot be stopped: feed it on."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._kernel.write(self._descriptor, RELEASE)
            descriptor, self._descriptor = self._descriptor, None
            self._kernel.close(descriptor)

    def _flags(self, descriptor: int) -> int | None:
        """Return what the driver can do; None when this is no watchdog."""
        try:
            if not self._kernel.is_character_device(descriptor):
                return None
            info = self._kernel.ioctl(descriptor, GET_SUPPORT, bytes(INFO_BYTES))
        except OSError:
            return None
        flags: int = FLAGS.unpack_from(info)[0]
        return flags

    def _unfit(self, descriptor: int, flags: int, watchdog: Watchdog) -> str:
        """Say why the device that was just opened is of no use; empty when it is of use."""
        device = watchdog.device
        wanted_s = _seconds(watchdog)
        if not flags & RUNS_ON:
            return f"a crash of the daemon would stop {device}; use another device, e.g. softdog"
        try:
            taken_s = self._set_timeout(descriptor, wanted_s)
        except OSError as error:
            return (
                f"{device} takes no time-out of {wanted_s} s ({error.strerror}); write another "
                f"one in clconf.xml"
            )
        if taken_s != wanted_s:
            return (
                f'{device} takes {taken_s} s instead of {wanted_s} s; write timeout="{taken_s}" '
                f"in clconf.xml if that is short enough, or use another device"
            )
        return ""

    def _set_timeout(self, descriptor: int, wanted_s: int) -> int:
        """Return the seconds that the driver really waits."""
        try:
            self._kernel.ioctl(descriptor, SET_TIMEOUT, NUMBER.pack(wanted_s))
        except OSError as error:
            if error.errno not in NOT_OFFERED:
                raise
        answer = self._kernel.ioctl(descriptor, GET_TIMEOUT, NUMBER.pack(0))
        taken_s: int = NUMBER.unpack(answer)[0]
        return taken_s


def _seconds(watchdog: Watchdog) -> int:
    """Return whole seconds, rounded down: a later reset than asked for would be too late."""
    return max(int(watchdog.timeout_s), 1)


def _why_not_opened(device: str, error: OSError) -> str:
    if error.errno in MISSING:
        return f"there is no {device}: {LOAD_DRIVER}"
    if error.errno == errno.EBUSY:
        return (
            f"another process holds {device} (fuser {device} names it): set RuntimeWatchdogSec=0 "
            f"in /etc/systemd/system.conf if it is systemd, or name another device"
        )
    return f"{device} cannot be opened: {error.strerror}; the daemon must run as root"
