"""Where the output of applications goes, and that nobody waits for it."""

import os
import socket
from pathlib import Path

from hapair.adapters.programs.journal import output


def test_a_journal_that_takes_no_connection_holds_nobody_up(tmp_path: Path) -> None:
    """Its queue is full, as that of a journald that hangs is after a while."""
    place = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX) as journal, socket.socket(socket.AF_UNIX) as first:
        journal.bind(str(place))
        journal.listen(0)
        first.connect(str(place))
        with output("orders", None, place) as descriptor:
            assert Path(f"/proc/self/fd/{descriptor}").readlink() == Path(os.devnull)


def test_the_application_writes_to_the_journal_as_to_a_file(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX) as journal:
        journal.bind(str(place))
        journal.listen(1)
        with output("orders", None, place) as descriptor:
            assert os.get_blocking(descriptor)
            os.write(descriptor, b"hello")
        accepted, _ = journal.accept()
        with accepted:
            assert accepted.recv(1000) == b"hapair-orders\n\n6\n0\n0\n0\n0\nhello"
