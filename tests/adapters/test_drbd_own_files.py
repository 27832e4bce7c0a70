"""drbdadm reads the file of one resource and the common section, where nothing else is said."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from hapair.adapters.drbd.own_files import OwnFiles
from hapair.ports.programs import Finished, TimedOut

SHIPPED = '# As shipped.\n\ninclude "drbd.d/global_common.conf";\ninclude "drbd.d/*.res";\n'


class Recorder:
    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished | TimedOut:
        assert (timeout_s, stdin) == (3.0, b"x")
        self.ran.append(tuple(argv))
        return Finished(0, "", "")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    (etc / "drbd.d").mkdir(parents=True)
    (etc / "drbd.conf").write_text(SHIPPED)
    (etc / "drbd.d/hapair-orders.data.res").write_text("resource orders.data {}\n")
    return etc


async def ran(etc: Path, *argv: str) -> tuple[str, ...]:
    run = Recorder()
    files = OwnFiles(run, etc=etc, made=etc.parent / "run/drbd")
    assert await files(argv, timeout_s=3.0, stdin=b"x") == Finished(0, "", "")
    return run.ran[0]


async def test_only_the_files_of_the_resource_are_read(etc: Path) -> None:
    """FAIL: each handler reads the files of all resources, and stops at a broken one of them."""
    made = etc.parent / "run/drbd/orders.data.conf"
    for _ in range(2):
        assert await ran(etc, "drbdadm", "--dry-run", "adjust", "orders.data") == (
            "drbdadm", "-c", str(made), "--dry-run", "adjust", "orders.data",
        )  # fmt: skip
        common, own = f"{etc}/drbd.d/global_common.conf", f"{etc}/drbd.d/hapair-orders.data.res"
        assert made.read_text() == f'include "{common}";\ninclude "{own}";\n'
        made.write_text("half of")  # Of a machine that stopped amid it.


async def test_other_programs_and_resources_are_left_alone(etc: Path) -> None:
    """FAIL: drbdsetup gets an option that it does not know, or a resource a file without it."""
    assert await ran(etc, "drbdsetup", "down", "orders.data") == (
        "drbdsetup",
        "down",
        "orders.data",
    )
    assert await ran(etc, "drbdadm", "down", "theirs") == ("drbdadm", "down", "theirs")


@pytest.mark.parametrize(
    "text",
    [
        SHIPPED + 'include "site/drbd.conf";\n',
        "common { }\n" + SHIPPED,
        "",
        "caf\xe9".encode("latin1"),
    ],
)
async def test_where_somebody_says_more_all_of_it_is_read(etc: Path, text: str | bytes) -> None:
    """FAIL: what an administrator has put into drbd.conf is passed over."""
    raw = text if isinstance(text, bytes) else text.encode()
    (etc / "drbd.conf").write_bytes(raw)
    assert await ran(etc, "drbdadm", "adjust", "orders.data") == (
        "drbdadm",
        "adjust",
        "orders.data",
    )


async def test_where_nothing_can_be_written_all_of_it_is_read(etc: Path) -> None:
    """FAIL: a full or read-only /run keeps a resource from coming up."""
    (etc.parent / "run").write_text("a file, where a folder should be")
    assert await ran(etc, "drbdadm", "adjust", "orders.data") == (
        "drbdadm",
        "adjust",
        "orders.data",
    )


async def test_a_disk_that_hangs_is_waited_for_no_longer_than_the_program(etc: Path) -> None:
    """FAIL: who asks for drbdadm waits for ever, or the daemon waits with it."""
    (etc / "drbd.conf").unlink()
    os.mkfifo(etc / "drbd.conf")  # Opened to read it waits until somebody writes.
    files = OwnFiles(Recorder(), etc=etc, made=etc.parent / "run/drbd")
    assert await files(("drbdadm", "adjust", "orders.data"), timeout_s=0.05) == TimedOut(0.05)
    (etc / "drbd.conf").write_text("")
