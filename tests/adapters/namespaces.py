"""Network and mount namespaces of this machine, for tests that run as root.

They live in this process only: nothing has a name, so nothing is left behind.
"""

import contextlib
import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.processes import PATIENCE_S

_NEW_NETWORK: Final = 0x40000000
_NEW_MOUNTS: Final = 0x00020000
_PRIVATE: Final = 1 << 18
_RECURSIVE: Final = 16384
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def need_root() -> None:
    """Fail with the mend, instead of skipping in silence."""
    assert os.geteuid() == 0, 'native tests need root: run them as root, or pytest -m "not native"'


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(frozen=True, slots=True)
class Network:
    """One network namespace, held open by a descriptor."""

    descriptor: int

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Within this block everything that this thread opens belongs to the namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _checked(_LIBC.setns(self.descriptor, _NEW_NETWORK))
            try:
                yield
            finally:
                _checked(_LIBC.setns(before, _NEW_NETWORK))
        finally:
            os.close(before)

    def ip(self, *words: str) -> str:
        with self.entered():
            done = subprocess.run(("ip", *words), capture_output=True, check=False, text=True)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
        return done.stdout


@contextlib.contextmanager
def new_network() -> Iterator[Network]:
    need_root()
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _checked(_LIBC.unshare(_NEW_NETWORK))
        network = Network(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
        _checked(_LIBC.setns(before, _NEW_NETWORK))
    finally:
        os.close(before)
    try:
        network.ip("link", "set", "lo", "up")
        yield network
    finally:
        os.close(network.descriptor)


def cable(one: Network, one_card: str, two: Network, two_card: str) -> None:
    """Connect two namespaces by a pair of cards."""
    one.ip("link", "add", one_card, "type", "veth", "peer", "name", two_card, "netns", two.path)
    for network, card in ((one, one_card), (two, two_card)):
        network.ip("link", "set", card, "up")


def _back_to_mounts(before: int) -> None:
    """Go back when no thread that was begun meanwhile is left.

    Python has joined it before the kernel has ended it: on a busy host there is time in between.
    """
    until_s = time.monotonic() + PATIENCE_S
    while _LIBC.setns(before, _NEW_MOUNTS) != 0:
        if ctypes.get_errno() != errno.EINVAL or time.monotonic() > until_s:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        time.sleep(0.01)


@contextlib.contextmanager
def own_mounts() -> Iterator[None]:
    """Within this block mounts of this process are seen by nobody else."""
    need_root()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    folder = os.open(".", os.O_RDONLY)
    try:
        _checked(_LIBC.unshare(_NEW_MOUNTS))
        _checked(_LIBC.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None))
        try:
            yield
        finally:
            _back_to_mounts(before)
            os.fchdir(folder)
    finally:
        os.close(folder)
        os.close(before)
