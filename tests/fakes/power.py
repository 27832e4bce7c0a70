"""Stand-ins for what takes a node's power away: fence devices and a watchdog."""

import errno
import os
from dataclasses import dataclass, field

from hapair.adapters.watchdog import (
    FLAGS,
    FOOD,
    GET_SUPPORT,
    INFO_BYTES,
    NUMBER,
    RELEASE,
    RUNS_ON,
    SET_TIMEOUT,
)
from hapair.model.cluster import FenceMethod, Watchdog
from hapair.model.outcome import Done, Outcome, Refused, Unknown


@dataclass
class FakeFencing:
    """Nodes have power until somebody switches them off."""

    off: set[str] = field(default_factory=set)
    missing_agents: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)  # Agents whose device does not answer.
    asked: list[FenceMethod] = field(default_factory=list)

    async def switch_off(self, method: FenceMethod) -> Outcome:
        self.asked.append(method)
        if method.agent in self.missing_agents:
            return Refused(f"there is no {method.agent}: apt-get install fence-agents")
        if method.agent in self.silent:
            return Unknown(f"{method.agent} gave no answer within {method.timeout_s} s")
        self.off.add(method.node)
        return Done(f"{method.agent} confirmed that {method.node} is off")


@dataclass
class FakeWatchdog:
    is_open: bool = False
    missing: bool = False
    fed: int = 0
    left_running: bool = False

    def runs(self, watchdog: Watchdog) -> bool:  # noqa: ARG002 - there is only one
        return self.left_running and not self.is_open and not self.missing

    def open(self, watchdog: Watchdog) -> Outcome:
        if self.missing:
            return Refused(f"there is no {watchdog.device}: modprobe softdog")
        self.is_open = True
        return Done()

    def crash(self) -> None:
        """Let a daemon have it open, and be killed."""
        self.left_running = True

    def feed(self) -> None:
        self.fed += self.is_open

    def release(self) -> None:
        self.is_open = self.left_running = False


DESCRIPTOR = 7


@dataclass
class FakeKernel:
    """A watchdog driver as the adapter sees it."""

    flags: int = RUNS_ON
    longest_s: int = 600
    step_s: int = 1  # It takes multiples of this only.
    fails_to_open: int = 0  # An errno.
    kind: str = "watchdog"
    nowayout: bool = False
    write_fails: bool = False
    timeout_s: int = 60
    written: list[bytes] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    def open(self, device: str) -> int:
        if self.fails_to_open:
            raise OSError(self.fails_to_open, os.strerror(self.fails_to_open), device)
        self.opened += 1
        return DESCRIPTOR

    def is_character_device(self, descriptor: int) -> bool:
        return descriptor == DESCRIPTOR and self.kind != "file"

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        if descriptor != DESCRIPTOR or self.kind != "watchdog":
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        if request == GET_SUPPORT:
            return FLAGS.pack(self.flags).ljust(INFO_BYTES, b"\0")
        if request == SET_TIMEOUT:
            wanted_s = int(NUMBER.unpack(argument)[0])
            if wanted_s > self.longest_s:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            self.timeout_s = -(-wanted_s // self.step_s) * self.step_s
        return NUMBER.pack(self.timeout_s)

    def write(self, descriptor: int, data: bytes) -> None:
        if self.write_fails or descriptor != DESCRIPTOR:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.written.append(data)

    def close(self, descriptor: int) -> None:
        self.closed += descriptor == DESCRIPTOR

    def crash(self) -> None:
        """Let a process have it open, and end without a word."""
        descriptor = self.open("/dev/watchdog")
        self.write(descriptor, FOOD)
        self.close(descriptor)

    def cannot_stop(self, device: str) -> bool:
        if self.fails_to_open:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), device)
        return self.nowayout

    def counts(self, device: str) -> bool:
        if self.fails_to_open:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), device)
        return self.runs

    @property
    def runs(self) -> bool:
        """Tell whether it would reset the node unless somebody feeds it."""
        held = self.opened > self.closed
        return held or bool(self.closed and self.written[-1:] not in ([RELEASE], []))
