"""Files that cannot be read, a stdout that cannot be written, options that contradict."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from hapair.cli.sessions.waiting import Request, Work
from hapair.config.built_json import dumps
from hapair.rpc.messages import ExitCode
from hapair.runtime.places import Places
from tests.cli import situations
from tests.cli.commands import MODULES, given
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.test_resolve import split_brain
from tests.config.reference import BUILT
from tests.processes import PATIENCE_S

PROGRAM: Final = "import sys; from hapair.cli.{0} import main; sys.exit(main(sys.argv[1:]))"


def in_shell(redirected: str, command: str, *words: str) -> tuple[int, str]:
    """Run a command with its output redirected by a shell; return exit code and stderr."""
    argv = ("sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-c",
            PROGRAM.format(command), *words)  # fmt: skip
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S, env={**os.environ}
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", [(), ("--json",), ("--help",)])
def test_a_full_disk_is_told_in_two_lines(words: tuple[str, ...], daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.status())
    code, err = in_shell(">/dev/full", "clstat", *words)
    assert code == ExitCode.REFUSED
    error, mend = err.splitlines()
    assert "could not be written to stdout (No space left on device)" in error
    assert mend.startswith("clstat: mend: ")


def test_an_order_is_carried_out_although_nobody_can_read_of_it(daemon: FakeDaemon) -> None:
    daemon.answer("run", {"text": "orders runs on node1"})
    for redirected in (">&-", ">&- 2>&-", "2>/dev/full"):
        assert in_shell(redirected, "clrunapp", "orders")[0] == ExitCode.DONE
    assert len(daemon.asked_for("run")) == 3


def test_a_page_that_nobody_can_read_ends_as_it_is(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.stuck())
    assert in_shell(">&-", "clstat") == (5, "")


def test_text_that_a_terminal_cannot_show_is_shown_escaped(daemon: FakeDaemon) -> None:
    daemon.happens("held", "/srv/\udcff is busy")
    code, err = in_shell(">/dev/null", "clevents")
    assert (code, err) == (ExitCode.DONE, "")


def folder(file: Path) -> None:
    file.mkdir(parents=True)


def link_to_itself(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(file)


def unreadable(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to("/proc/self/mem")  # The kernel refuses to read its begin, to root too.


def pipe(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(file)


def device(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to("/dev/zero")


def below_a_file(file: Path) -> None:
    file.parent.parent.mkdir(parents=True, exist_ok=True)
    file.parent.write_text("")


@pytest.mark.parametrize("made", [folder, link_to_itself, below_a_file, unreadable, pipe, device])
@pytest.mark.parametrize(
    ("line", "name"),
    [(("clbuild", "--plan"), "clconf.xml"), (("clstartup", "--check"), "clstart.xml")],
)
def test_a_file_that_cannot_be_read_is_a_wrong_configuration(
    made: Callable[[Path], None], line: tuple[str, ...], name: str, root: Path
) -> None:
    file = root / "etc/cluster" / name
    made(file)
    came = given(*line)
    assert came.code == ExitCode.USAGE
    assert f"error: {file}: " in came.err
    assert "mend: look what lies there: ls -ld" in came.err


@pytest.mark.parametrize(
    "content", [b"garbage", b"[" * 100_000, b'{"epoch": 1e999}', b"", b"\xff", b"[]", b"{"]
)
def test_a_damaged_memory_is_named(content: bytes, root: Path) -> None:
    places = Places(root)
    places.memory.mkdir(parents=True)
    (places.memory / "state.json").write_bytes(content)
    came = given("clstat")
    assert came.code == ExitCode.NOT_NOW
    assert "state.json is damaged" in " ".join(came.out.split())
    assert "state.json is damaged" in str(given("clstat", "--json").json["troubles"])


@pytest.mark.parametrize("command", MODULES)
def test_wrong_arguments_are_told_like_every_error(command: str) -> None:
    came = given(command, "--no-such-option", "--json")
    assert came.code == ExitCode.USAGE
    error, mend = came.err.splitlines()
    assert error.startswith(f"{command}: error: ")
    assert mend == f"{command}: mend: {command} --help tells what may be written"
    assert (came.json["exit_code"], came.json["mend"]) == (2, mend.partition("mend: ")[2])


@pytest.mark.parametrize(
    "line",
    [
        ("clevents", "--failovers", "--follow"),
        ("clevents", "--failovers", "--lines", "3"),
        ("clevents", "--lines", "0"),
        ("clevents", "--lines", "-1"),
        ("clevents", "--since", "0000-01-01"),
        ("clrestore", "--list", "cluster-1.tar.gz"),
        ("clhalt", "--shutdown", "--stop"),
        ("clrunapp", "orders", "--no-wait", "--timeout", "5s"),
        ("clresolve", "--plan", "--no-wait"),
        ("clconfirm", "peer-is-down", "--plan", "--yes", "node2"),
        ("clbuild", "--check-witness", "--force"),
        ("clrunapp", "orders", "--timeout", "99999999999999999999d"),
        ("clmoveapp", "orders", "--timeout", "8d"),
        ("clform", "--timeout", "8d"),
        ("clhalt", "--timeout", "9" * 5000),
    ],
)
def test_what_would_be_ignored_is_refused_in_one_sentence(
    line: tuple[str, ...], daemon: FakeDaemon
) -> None:
    came = given(*line)
    assert came.code == ExitCode.USAGE
    error, mend = came.err.splitlines()
    assert error.startswith(f"{line[0]}: error: ")
    assert mend
    assert daemon.requests == []


def test_giving_an_order_only_answers_in_json_too(daemon: FakeDaemon) -> None:
    daemon.answer("form", {"text": "node1 forms"})
    assert given("clform", "--no-wait", "--json").json["text"] == "node1 forms"


def test_nothing_to_leave_is_told_in_json_too(root: Path) -> None:
    assert "nothing to leave" in str(given("clhalt", "--shutdown", "--json").json["text"])
    places = Places(root)
    places.built.parent.mkdir(parents=True)
    places.built.write_bytes(dumps(BUILT))
    with FakeDaemon(root) as daemon:
        daemon.answer("status", situations.status(situations.node("node1", standing="halted")))
        assert "nothing to leave" in str(given("clhalt", "--shutdown", "--json").json["text"])


def test_a_bug_while_waiting_is_not_the_end_of_the_work() -> None:
    """It comes in a thread, where nobody would notice it."""

    def broken() -> None:
        raise ZeroDivisionError

    work = Work("run", {"application": "orders"}, "starting orders", "orders")
    request = Request(work, lambda _: None, begin=broken)
    request.start()
    request.join()
    with pytest.raises(ZeroDivisionError):
        request.ended()
    never = Request(work, lambda _: None)
    with pytest.raises(RuntimeError, match="without a result"):
        never.ended()


def test_a_resync_that_nobody_tells_of_is_not_complete(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    nodes = [situations.node(name, applications=[]) for name in ("node1", "node2")]
    daemon.answer("status", situations.status(*nodes))
    came = given("clresolve", "orders", "--victim", "node2")
    assert came.code == ExitCode.UNFINISHED
    assert "does not tell how far orders.data is" in came.err
