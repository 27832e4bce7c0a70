"""What a person at a terminal sees, what a pipe gets, and what a bug looks like."""

import argparse
import os
import pty
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from hapair.cli.main import run
from hapair.cli.screen import parsers
from hapair.cli.screen.progress import line_of
from hapair.cli.screen.terminal import columns, filled, seen_length, size_text, span_text
from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError
from tests.cli import situations
from tests.cli.commands import MAINS, given, started
from tests.cli.fake_daemon import FakeDaemon, Talk
from tests.cli.test_resolve import split_brain
from tests.processes import PATIENCE_S, Started

SEARCH = f"import sys; sys.path[:0] = [{str(Path(__file__).parents[2] / 'src')!r}]; "
PROGRAM = "import sys; from hapair.cli.{0} import main; sys.exit(main(sys.argv[1:]))"
# Each of them costs a start of a command tens of milliseconds, in a guest a second.
SLOW_TO_IMPORT = {"asyncio", "lxml", "rich", "ssl", "subprocess", "logging", "pathlib", "email"}


def at_a_terminal(*line: str, typed: str = "", **variables: str) -> tuple[int, str]:
    """Run a command at a pseudo terminal; return its exit code and all that it wrote there."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **variables}
    with Started(
        (sys.executable, "-c", PROGRAM.format(line[0]), *line[1:]),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        if typed:
            os.write(controller, typed.encode())
        seen = b""
        while True:
            try:
                chunk = os.read(controller, 4096)
            except OSError:  # The last one has closed the terminal.
                break
            if not chunk:
                break
            seen += chunk
        os.close(controller)
        return process.wait(PATIENCE_S), seen.decode()


def test_at_a_terminal_the_page_is_coloured(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.stuck())
    _, seen = at_a_terminal("clstat")
    assert "\x1b[1;31mALARM" in seen


def test_in_a_pipe_it_is_not(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    daemon.answer("status", situations.stuck())
    assert "\x1b" not in given("clstat").out


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_declined(name: str, value: str, daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.stuck())
    _, seen = at_a_terminal("clstat", **{name: value})
    assert "ALARM" in seen
    assert "\x1b" not in seen


def test_at_a_terminal_progress_is_one_line_that_is_wiped(daemon: FakeDaemon) -> None:
    def run_it(talk: Talk) -> JsonObject:
        talk.progress("mounting", 1, 4)
        return {"text": "orders runs on node1"}

    daemon.scripts["run"] = run_it
    code, seen = at_a_terminal("clrunapp", "orders")
    assert code == ExitCode.DONE
    assert "mounting: 25 %" in seen
    assert re.sub(r"\x1b\[[0-9;]*[mK]", "", seen).split("\r")[-2].endswith(" s)")


def test_a_statement_is_typed_at_a_terminal(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.cut())
    daemon.answer("loss", situations.loss())
    daemon.answer("confirm", {"text": "the operator confirmed that node2 is down"})
    code, seen = at_a_terminal("clconfirm", "peer-is-down", typed="node2\n")
    assert code == ExitCode.DONE
    assert "Is node2 off? Type its name" in seen
    assert daemon.asked_for("confirm") == [{}]


def test_a_statement_that_is_typed_wrong_is_none(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.cut())
    daemon.answer("loss", situations.loss())
    code, _ = at_a_terminal("clconfirm", "peer-is-down", typed="yes\n")
    assert code == ExitCode.USAGE
    assert daemon.asked_for("confirm") == []


EVIL = "held by \x1b]0;evil\x07\x1b[8m\x9b2J\r\u202e (process 7)"


@pytest.mark.parametrize("words", [("clstat",), ("clevents",), ("clrunapp", "orders")])
def test_a_terminal_obeys_nobody_but_us(words: tuple[str, ...], daemon: FakeDaemon) -> None:
    """Any user gives his process a name; root reads it in colour all the same."""
    page = situations.stuck()
    page["nodes"]["node1"]["alarms"][0]["text"] = EVIL  # type: ignore[index]
    daemon.answer("status", page)
    daemon.happens("held", EVIL)

    def refuse(_: Talk) -> JsonObject:
        raise RpcError(EVIL, "end it")

    daemon.scripts["run"] = refuse
    _, seen = at_a_terminal(*words)
    assert "held by \\x1b]0;evil\\x07\\x1b[8m\\x9b2J" in " ".join(seen.split())
    assert "\\u202e" in seen
    assert not set(seen) & set("\x07\x9b\u202e")
    assert {*re.findall("\x1b[^a-zA-Z]*[a-zA-Z]", seen)} <= {
        *(f"\x1b[{style}m" for style in ("0", "1", "2", "32", "33", "1;31")), "\x1b[K",
    }  # fmt: skip


def test_watching_in_a_pipe_prints_each_page(daemon: FakeDaemon) -> None:
    daemon.scripts["watch"] = _one_page
    with started("clstat", "--watch") as process:
        assert process.line().startswith("CLUSTER shop")
        process.interrupted()
    assert process.returncode == ExitCode.DONE


@pytest.mark.parametrize("block", ["", "import sys; sys.modules['rich.live'] = None; "])
def test_watching_at_a_terminal_redraws_with_and_without_rich(
    block: str, daemon: FakeDaemon
) -> None:
    daemon.scripts["watch"] = _one_page
    controller, terminal = pty.openpty()
    with Started(
        (sys.executable, "-c", block + PROGRAM.format("clstat"), "--watch"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
    ) as process:
        os.close(terminal)
        seen = b""
        while b"APPLICATIONS" not in seen:
            seen += os.read(controller, 4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):
            # A person presses it again when nothing happens: Python drops one that meets a
            # finalizer.
            while process.poll() is None or select.select([controller], [], [], 0)[0]:
                if select.select([controller], [], [], PATIENCE_S / 2)[0]:
                    seen += os.read(controller, 4096)
                else:
                    process.send_signal(signal.SIGINT)
        os.close(controller)
        assert process.wait(PATIENCE_S) == ExitCode.DONE
    assert b"Traceback" not in seen
    assert (b"\x1b[3J" in seen) is bool(block), "without rich the screen is cleared by hand"


def test_watching_goes_on_while_the_daemon_is_down(root: Path) -> None:
    with started("clstat", "--watch", "--json") as process:
        assert '"daemon": "down"' in process.line()
        with FakeDaemon(root) as daemon:
            daemon.scripts["watch"] = _one_page
            process.line('"daemon": "up"')
        process.interrupted()
    assert process.returncode == ExitCode.DONE


def _one_page(talk: Talk) -> JsonObject:
    talk.send(Progress(status=situations.status()))
    talk.wait_until_gone()
    return {}


def test_a_reader_that_has_seen_enough_is_no_error(daemon: FakeDaemon) -> None:
    for number in range(2000):
        daemon.happens("note", f"line {number} " + "x" * 200)
    with started("clevents", "--lines", "2000") as process:
        process.line()
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == ExitCode.DONE
    assert err == ""


def test_a_bug_is_a_clear_message_too(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_: argparse.Namespace) -> int:
        raise ZeroDivisionError("division by zero")

    code = run(argparse.ArgumentParser(prog="clthing"), body, [])
    err = capsys.readouterr().err
    assert code == ExitCode.REFUSED
    assert "Traceback" in err
    assert "clthing: mend: this is a bug in hapair" in err


@pytest.mark.parametrize("command", MAINS)
def test_a_command_starts_fast(command: str) -> None:
    code = f"import hapair.cli.{command}, sys; print(*sorted(sys.modules))"
    loaded = subprocess.check_output((sys.executable, "-ISc", SEARCH + code), text=True).split()
    assert set(loaded) & SLOW_TO_IMPORT == set()


@pytest.mark.parametrize("command", MAINS)
def test_help_teaches_and_fits(command: str) -> None:
    came = given(command, "--help")
    assert came.code == ExitCode.DONE
    assert [line for line in came.out.splitlines() if len(line) > 80] == []
    for heading in ("What it never does:", "Examples:", "Exit codes:", "See also:"):
        assert heading in came.out


@pytest.mark.parametrize("command", MAINS)
def test_wrong_arguments_end_with_2(command: str) -> None:
    assert given(command, "--no-such-option").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (20 * 1024**2, "20 MiB"),
        (1024**4, "1.0 TiB"),
        (2000 * 1024**5, "2000 PiB"),
    ],
)
def test_sizes_read_well(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("span_s", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (59.4, "59 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 0 min"),
        (190000, "2 d 4 h"),
    ],
)
def test_spans_read_well(span_s: float, text: str) -> None:
    assert span_text(span_s) == text


@pytest.mark.parametrize(
    ("text", "span_s"), [("90", 90), ("90s", 90), ("400ms", 0.4), ("5m", 300), ("2h", 7200)]
)
def test_durations_are_read(text: str, span_s: float) -> None:
    assert parsers.duration_s(text) == pytest.approx(span_s)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 weeks", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parsers.duration_s(text)


def test_columns_are_aligned_whatever_their_colours() -> None:
    painted, plain = columns([["\x1b[1mab\x1b[0m", "x"], ["abcd", "y"]])
    assert (painted, plain) == ("\x1b[1mab\x1b[0m    x", "abcd  y")
    assert seen_length(painted) == seen_length(plain)


def test_long_words_are_not_broken() -> None:
    path = "/srv/" + "x" * 90
    assert filled(f"see {path}", "  ") == ["  see", f"  {path}"]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("copying"), "copying"),
        (Progress("copying", 3), "copying: 3"),
        (Progress("copying", 1, 3), "copying: 33 %"),
    ],
)
def test_progress_is_a_percentage_where_the_whole_is_known(progress: Progress, text: str) -> None:
    assert line_of(progress) == text


def test_the_victim_is_typed_at_a_terminal(daemon: FakeDaemon) -> None:
    split_brain(daemon)
    code, seen = at_a_terminal("clresolve", "orders", typed="node2\n")
    assert code == ExitCode.DONE
    assert "Type the victim's name (node2)" in seen
