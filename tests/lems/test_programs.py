"""Checks as Nagios knows them, agents, clients of databases, units: what counts of it."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.programs.commands import OWN_COMMANDS
from hapair.lems.answers import Answer, Command, Finished, Probe, one_line
from hapair.lems.main import agent
from hapair.lems.probes import commands, tcp, units
from hapair.lems.probes.commands import judge_check, judge_ocf, judge_sql, printed
from hapair.lems.probes.processes import Processes
from hapair.lems.probes.units import UnitState
from hapair.model.application import OcfAgent
from hapair.model.environment import PLAIN
from hapair.model.monitor import CheckProbe, ProcessProbe, SqlProbe, TcpProbe, UnitProbe
from hapair.model.ocf import Code
from tests.lems.running import ask, script, with_programs_of

AGENT: Final = OcfAgent("heartbeat", "pgsql", (("pgdata", "/srv/db"),))


def check(path: str, arguments: str = "") -> Answer:
    facts = {"HAPAIR_APPLICATION": "orders", "HAPAIR_NODE": "node1"}
    return ask(commands.check(CheckProbe(path, arguments), facts), timeout_s=5.0)


@pytest.mark.parametrize(
    ("code", "state"), [(0, "good"), (1, "warning"), (2, "failed"), (3, "unknown"), (99, "failed")]
)
def test_the_exit_code_of_a_check_says_what_it_found(tmp_path: Path, code: int, state: str) -> None:
    path = script(tmp_path / "check", f"echo 'SOME - text'; exit {code}")
    assert check(path) == Answer(state, "SOME - text")


def test_a_check_gets_its_arguments_as_from_a_shell_but_no_shell_reads_them(tmp_path: Path) -> None:
    path = script(tmp_path / "check", 'echo "$#:$1:$2:$3"')
    assert check(path, "-w '5 %' $(id)").text == "3:-w:5 %:$(id)"


def test_a_check_finds_a_plain_world(tmp_path: Path) -> None:
    told = "$HAPAIR_APPLICATION $HAPAIR_NODE $LC_ALL $(umask) $PWD $(ls /proc/self/fd | wc -l)"
    path = script(tmp_path / "check", f'echo "{told}"')
    # Of ls: three streams and the folder that it reads.
    assert check(path).text == "orders node1 C 0022 / 4"


def test_a_check_that_cannot_be_run_is_no_failure_of_the_application(tmp_path: Path) -> None:
    missing, plain = tmp_path / "missing", tmp_path / "plain"
    plain.touch()
    assert check(str(missing)) == Answer(
        "unknown", f"it could not be run: {missing}: No such file or directory"
    )
    assert check(str(plain)).text.endswith("Permission denied")


def test_a_check_that_is_ended_by_a_signal_or_prints_without_end(tmp_path: Path) -> None:
    killed = check(script(tmp_path / "dies", "kill -9 $$"))
    assert (killed.state, killed.text) == ("unknown", "it was ended by signal 9")
    endless = script(tmp_path / "endless", "head -c 1000000 /dev/zero | tr '\\0' x; exit 2")
    answer = check(endless)
    assert answer.state == "failed"
    assert len(answer.text) == 400


def test_a_check_that_leaves_a_child_behind_is_not_waited_for_and_ends_it(tmp_path: Path) -> None:
    path = script(tmp_path / "check", f"sleep 1000 & echo $! >{tmp_path}/child; echo done")
    assert check(path).text == "done"
    until_ended(tmp_path / "child")


def test_a_check_is_killed_with_its_children_at_its_limit(tmp_path: Path) -> None:
    path = script(tmp_path / "check", f"sleep 1000 & echo $! >{tmp_path}/child; wait")
    probe = commands.check(CheckProbe(path), {})
    assert ask(probe, timeout_s=0.5) == Answer("failed", f"{path} gave no answer within 0.5 s")
    until_ended(tmp_path / "child")


def until_ended(named: Path) -> None:
    """Wait until the process that is named there has ended; it may not be buried."""
    line, until_s = Path(f"/proc/{named.read_text().strip()}/cmdline"), time.monotonic() + 10
    while line.exists() and line.read_bytes():
        assert time.monotonic() < until_s


def test_performance_data_of_plug_ins_is_read() -> None:
    ping = "PING OK - Packet loss = 0%, RTA = 0.04 ms|rta=0.042000ms;100.000;200.000;0 pl=0%;20;60"
    assert printed(ping) == (
        "PING OK - Packet loss = 0%, RTA = 0.04 ms",
        {"rta": "0.042000ms", "pl": "0%"},
    )
    disk = (
        "DISK OK|/=2643MB;5948;5958;0;5968\n/ 15272 MB (77%);\n/boot 68 MB|/boot=68MB;88 \n/v=9MB"
    )
    assert printed(disk)[1] == {"/": "2643MB", "/boot": "68MB", "/v": "9MB"}
    assert printed("OK | 'my label'=5 'it''s'=-1.5s")[1] == {"my label": "5", "it's": "-1.5s"}
    assert printed("") == ("", {})
    assert judge_check(Finished(2, "", "")).text == "it ended with 2"


def test_an_agent_gets_the_variables_of_the_standard(tmp_path: Path) -> None:
    argv, environment = agent(AGENT, "orders", "node1", 20.0)
    assert argv == ("/usr/lib/ocf/resource.d/heartbeat/pgsql", "monitor")
    assert environment["PATH"].startswith(f"{OWN_COMMANDS}:"), "its su opens no session"
    names = (
        "OCF_ROOT", "OCF_RESOURCE_INSTANCE", "OCF_RESOURCE_TYPE", "OCF_RESOURCE_PROVIDER",
        "OCF_RESKEY_pgdata", "OCF_CHECK_LEVEL", "OCF_RESKEY_CRM_meta_timeout",
        "OCF_RESKEY_CRM_meta_interval", "OCF_RESKEY_CRM_meta_name", "PATH",
    )  # fmt: skip
    told = " ".join(f"${name}" for name in names)
    path = script(tmp_path / "pgsql", f'echo "$1 {told}"; exit 1')
    answer = ask(commands.ocf((path, "monitor"), environment, 10, 30.0))
    said = "monitor /usr/lib/ocf orders pgsql heartbeat /srv/db 10 20000 30000 monitor"
    assert said in answer.text


@pytest.mark.parametrize(
    ("code", "state", "text"),
    [
        (0, "good", "the agent says that it runs"),
        (8, "good", "the agent says that it runs"),
        (7, "failed", "the agent ended with 7, it does not run: gone"),
        (1, "failed", "the agent ended with 1, it failed: gone"),
        (5, "failed", "the agent ended with 5, not installed: gone"),
        (77, "failed", "the agent ended with 77, it failed: gone"),
        (190, "warning", "degraded: gone"),
        (3, "unknown", "the agent has no monitor"),
    ],
)
def test_the_exit_code_of_an_agent_says_what_it_found(code: int, state: str, text: str) -> None:
    found = judge_ocf(Finished(code, "gone\n"))
    assert found == Answer(state, text, certain=code == Code.NOT_RUNNING)


def test_an_agent_that_cannot_be_run_is_no_failure_of_the_application() -> None:
    assert judge_ocf(Finished(127, "", "no such file")).state == "unknown"


PSQL: Final = "--no-psqlrc --no-password --tuples-only --no-align"
MYSQL: Final = "--batch --skip-column-names"


@pytest.mark.parametrize(
    ("probe", "argv"),
    [
        (SqlProbe("psql"), f"{PSQL} --dbname=postgres --command=SELECT 1"),
        (
            SqlProbe("psql", "shop", "", "::1", 5433, "SELECT 2"),
            f"{PSQL} --dbname=shop --host=::1 --port=5433 --command=SELECT 2",
        ),
        (SqlProbe("mysql"), f"{MYSQL} --execute=SELECT 1"),
        (
            SqlProbe("mysql", "shop", "", "127.0.0.1", 3306),
            f"{MYSQL} --host=127.0.0.1 --port=3306 --database=shop --execute=SELECT 1",
        ),
    ],
)
def test_a_database_is_asked_by_its_own_client(tmp_path: Path, probe: SqlProbe, argv: str) -> None:
    script(tmp_path / probe.client, 'echo "$@"; [ ! -e "$0.down" ]')
    run = commands.sql(probe, 5.0)
    run = replace(run, command=with_programs_of(tmp_path, run.command))
    assert ask(run) == Answer("good", f"answered {argv}")
    (tmp_path / f"{probe.client}.down").touch()
    assert ask(run) == Answer("failed", argv)


def test_a_client_that_is_not_installed_is_no_failure_of_the_application(tmp_path: Path) -> None:
    run = commands.sql(SqlProbe("mysql"), 5.0)
    run = replace(run, command=replace(run.command, environment={"PATH": str(tmp_path)}))
    assert ask(run).text == "the client could not be run: mysql: No such file or directory"


def test_mariadb_is_asked_by_its_client_where_that_has_no_other_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "SEARCH_PATH", f"/nonexistent:{tmp_path}")
    for name in ("mariadb", "mysql"):  # The second one is there as well then.
        script(tmp_path / name, f"echo {name}")
        run = commands.sql(SqlProbe("mysql"), 5.0)
        run = replace(run, command=with_programs_of(tmp_path, run.command))
        assert ask(run) == Answer("good", f"answered {name}")


@pytest.mark.native
def test_a_client_runs_as_the_account_that_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        folder.chmod(folder.stat().st_mode | 0o055)
    script(tmp_path / "psql", 'echo "$(id -un) $(id -Gn) $HOME"')
    run = commands.sql(SqlProbe("psql", user="nobody"), 5.0)
    run = replace(run, command=with_programs_of(tmp_path, run.command))
    assert ask(run) == Answer("good", "answered nobody nogroup /nonexistent")
    nobody = replace(run, command=replace(run.command, user="nobody-at-all"))
    assert ask(nobody).text.endswith("there is no account nobody-at-all")


def unit(tmp_path: Path, told: str, code: int = 0) -> Answer:
    script(tmp_path / "systemctl", f'echo "$@" >{tmp_path}/asked; printf "{told}"; exit {code}')
    probe = units.Unit(UnitProbe("a.service"))
    asked = probe.ask()
    assert isinstance(asked, Command)
    command = asked

    class Asked:
        trouble = probe.trouble

        def ask(self) -> Command:
            return with_programs_of(tmp_path, command)

        def asked(self) -> str:
            return probe.asked()

        def close(self) -> None: ...

    return ask(Asked())


@pytest.mark.parametrize(
    ("active", "sub", "state"),
    [
        ("active", "running", "good"),
        ("active", "exited", "good"),
        ("reloading", "reload", "good"),
        ("activating", "start", "warning"),
        ("activating", "auto-restart", "failed"),
        ("deactivating", "stop-sigterm", "warning"),
        ("inactive", "dead", "failed"),
        ("failed", "failed", "failed"),
    ],
)
def test_a_unit_is_as_systemd_says(tmp_path: Path, active: str, sub: str, state: str) -> None:
    told = f"MainPID=5\\nControlGroup=/a\\nActiveState={active}\\nSubState={sub}\\n"
    text = f"a.service is {active} ({sub})"
    assert unit(tmp_path, told) == Answer(state, text, certain=state == "failed")
    asked = (tmp_path / "asked").read_text()
    assert asked == "show --property=ActiveState,SubState,MainPID,ControlGroup -- a.service\n"


def test_a_systemd_that_does_not_tell_is_no_failure_of_the_application(tmp_path: Path) -> None:
    answer = unit(tmp_path, "Failed to connect to bus", 1)
    assert answer == Answer("unknown", "systemd does not tell: Failed to connect to bus")
    assert str(UnitState("active", "running", 0, "")) == "active (running)"


@pytest.mark.parametrize(
    "probe", [units.Unit(UnitProbe("a.service")), Processes(ProcessProbe(), "", "a.service")]
)
def test_a_systemd_that_is_silent_is_no_failure_of_the_application(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "systemctl", "sleep 30")
    path = f"{tmp_path}:{PLAIN['PATH']}"
    monkeypatch.setattr(units, "PLAIN", {**PLAIN, "PATH": path})
    answer = ask(probe, timeout_s=0.3)
    assert answer == Answer("unknown", "systemd gave no answer about it within 0.3 s")


@pytest.mark.parametrize(
    ("code", "state", "text"), [(0, "good", ""), (2, "failed", "?CRITICAL"), (127, "failed", "?no")]
)
def test_a_plug_in_may_print_what_it_likes(
    tmp_path: Path, code: int, state: str, text: str
) -> None:
    path = script(tmp_path / "check", f"printf '\\0{text[1:]}'; exit {code}")
    answer = check(path)
    if code == 127:  # What could not be run says so in this way.
        assert (answer.state, answer.text) == ("unknown", "it could not be run: no")
    else:
        assert (answer.state, answer.text) == (state, text or "?")


@pytest.mark.parametrize("letter", ["a", "'", "a=", "1", "a=1,"])
def test_performance_data_without_end_is_read_at_once(letter: str) -> None:
    """What tries each end for each beginning would not come back from so much."""
    assert len(printed(f"x|{letter * 500_000}")[1]) <= 32


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("FATAL:  sorry, too many clients already", "warning"),
        ('FATAL:  role "x" does not exist', "warning"),
        ("ERROR 1040 (HY000): Too many connections", "warning"),
        ("ERROR 1045 (28000): Access denied for user", "warning"),
        ("FATAL:  the database system is starting up", "failed"),
        ("ERROR 2002 (HY000): Can't connect to local server through socket", "failed"),
    ],
)
def test_a_database_that_refuses_this_client_lives(said: str, state: str) -> None:
    assert judge_sql(Finished(2, said)) == Answer(state, one_line(said))


def test_what_cannot_even_be_asked_ends_no_lems(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuses)
    answer = ask(tcp.Tcp(TcpProbe("::1", 80), 1.0))
    assert answer.state == "unknown"
    assert "Address family" in answer.text
