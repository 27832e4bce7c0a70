"""Fence agents, the watchdog device, files that hold secrets, and hooks. Nothing is opened."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hapair.adapters.scan.holders import holders
from hapair.adapters.scan.software import FOLDERS
from hapair.model.node_facts import HookFile, SecretFile, WatchdogFacts

# The first device has two names, and only one of them can be open.
FIRST: Final = ("/dev/watchdog", "/dev/watchdog0")


def fence_agents(root: Path, wanted: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        agent
        for agent in wanted
        if any(os.access(root / folder / agent, os.X_OK) for folder in FOLDERS)
    )


def watchdog(root: Path, device: str) -> WatchdogFacts:
    """Look at a device without opening it: a watchdog that was opened resets the machine."""
    if not device or not (root / device.lstrip("/")).exists():
        return WatchdogFacts()
    names = FIRST if device in FIRST else (device,)
    held = holders(root, dict.fromkeys(names, device))
    return WatchdogFacts(exists=True, holder=held.get(device, ""))


def secret_file(root: Path, path: str) -> SecretFile:
    """Tell who can read a file; its content is not read."""
    try:
        # A link is refused when the secret is read, so it is none here either.
        status = (root / path.lstrip("/")).lstat()
    except OSError:
        return SecretFile(path)
    ours = status.st_uid in {0, os.geteuid()} and not status.st_mode & 0o077
    return SecretFile(path, exists=stat.S_ISREG(status.st_mode), private=ours)


def hook_file(root: Path, path: str) -> HookFile:
    try:
        status = (root / path.lstrip("/")).stat()
    except OSError:
        return HookFile(path)
    mode, group = status.st_mode, status.st_gid
    others_write = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and group not in {0, os.getegid()})
    return HookFile(
        path,
        exists=stat.S_ISREG(mode),
        executable=bool(mode & stat.S_IXUSR),
        protected=status.st_uid in {0, os.geteuid()} and not others_write,
    )
