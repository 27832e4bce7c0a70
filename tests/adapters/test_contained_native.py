"""The data of a service in a container is found where this machine has it."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.services.folders import folders_of
from hapair.adapters.services.processes import seen
from tests.adapters.namespaces import need_root
from tests.processes import Started

pytestmark = pytest.mark.native

# As a container's: a root of its own, with a volume in it and one file of the machine.
CONTAINED: Final = """
set -e
cd "$1"
mkdir root volume config
mount -t tmpfs none root
mkdir root/old root/data root/usr root/app root/config.d root/proc
mount --bind volume root/data
mount --bind config root/config.d
mount --rbind /usr root/usr
mount --rbind /proc root/proc
for link in bin lib lib64; do ln -s usr/$link root/$link; done
cd root
pivot_root . old
cd /app
exec 3>/data/ledger 4>/app/scratch
umount -l /old
echo ready
exec cat
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Started]:
    need_root()
    line = ("unshare", "--mount", "--propagation", "private", "sh", "-c", CONTAINED, "sh")
    with Started(
        (*line, str(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.line()
        while Path(f"/proc/{started.pid}/comm").read_text() != "cat\n":
            time.sleep(0.01)
        yield started
        started.kill()


def test_the_volumes_of_a_container_are_its_data_and_nothing_else_of_it(
    container: Started, tmp_path: Path
) -> None:
    """FAIL: a draft that replicates /data or /app of the machine, which are others, or nothing."""
    found = folders_of(seen((container.pid,)), (), ("/usr", "/proc", str(tmp_path / "config")))
    assert {each.path: each.why for each in found} == {
        str(tmp_path / "volume"): "the container of cat has it as /data"
    }
