"""Who owns the data of a volume, which knows users and groups by number alone."""

import contextlib
import grp
import pwd
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from hapair.model.storage import Account, AccountKind

ENTRIES_MAX: Final = 1000


def owners_at(place: str) -> tuple[Account, ...]:
    """Return who owns a mount point and what lies in it; whoever has no name here is left out."""
    found: list[Account] = []
    for kind, number in sorted(set(_numbers_at(place))):
        with contextlib.suppress(KeyError):
            user = kind is AccountKind.USER
            name = pwd.getpwuid(number).pw_name if user else grp.getgrgid(number).gr_name
            found.append(Account(kind, name, number))
    return tuple(found)


def _numbers_at(place: str) -> Iterator[tuple[AccountKind, int]]:
    with contextlib.suppress(OSError):
        for path in (Path(place), *islice(Path(place).iterdir(), ENTRIES_MAX)):
            with contextlib.suppress(OSError):
                was = path.lstat()
                yield AccountKind.USER, was.st_uid
                yield AccountKind.GROUP, was.st_gid
