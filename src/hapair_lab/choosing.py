"""Which snapshot a person means: the cache is shared by all clones of this user."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

from hapair_lab import cluster, snapshots
from hapair_lab.errors import LabError
from hapair_lab.guests import wanted
from hapair_lab.packages import installed_step, package_file
from hapair_lab.progress import say
from hapair_lab.saved import Saved, find

AGES: Final = ((86400, "days"), (3600, "h"), (60, "min"))


def chain_end() -> snapshots.Step:
    """Return the last link that needs no cluster: with the package of this clone, or without."""
    try:
        return installed_step(package_file())
    except LabError:
        return snapshots.OS_BOOTED


def _last_link() -> snapshots.Step:
    try:
        return cluster.formed_step()
    except LabError:
        return snapshots.OS_BOOTED


def named(name: str) -> Saved:
    """Return the snapshot of that name, this clone's own if there is one, and say if it is not.

    Raises:
        LabError: There is none.
    """
    find(name, wanted())  # Before anything is probed.
    last = _last_link()
    own = snapshots.keys_in_cache(last, wanted())
    saved = find(name, wanted(), key=own.get(name, ""))
    warning = not_own(saved, snapshots.keys_in_cache(last, saved.guests))
    if warning:
        say(warning)
    os.utime(saved.folder)  # Now it is the one that was used last.
    return saved


def not_own(saved: Saved, own: Mapping[str, str]) -> str:
    """Say that a snapshot, or what it stands on, has not the ``own`` key of its name; else nothing.

    ``own`` are the keys of this clone's chain by name, empty when nothing of it is built.
    """
    if own and all(own.get(each.name, each.key) == each.key for each in snapshots.line_of(saved)):
        return ""
    ago = age(time.time() - saved.folder.stat().st_mtime)
    return (
        f"the snapshot {saved.name} {saved.key}, last used {ago} ago,"
        " is of another package or image than this clone's (make formed builds its own)"
    )


def age(seconds: float) -> str:
    """Return a time in words, in the largest unit that fits."""
    for unit_s, unit in AGES:
        if seconds >= unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
