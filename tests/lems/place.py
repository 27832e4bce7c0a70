"""Places on this machine for tests of Lems."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hapair.adapters.programs.groups import root_of_applications


@contextmanager
def group_of(name: str) -> Iterator[Path]:
    """Make a control group; what still lives in it at the end is killed."""
    root = root_of_applications().parents[1]
    group = root / f"lems-test-{os.getpid()}-{name}"
    group.mkdir()
    try:
        yield group
    finally:
        (group / "cgroup.kill").write_text("1")
        while "populated 1" in (group / "cgroup.events").read_text():
            pass
        group.rmdir()
