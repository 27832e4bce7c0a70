"""What is run for a script, an agent and a unit, and how a unit's state is read."""

import os
from pathlib import Path

import pytest

from hapair.adapters.programs import commands
from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.units import Units, state
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.application import OcfAgent, Script, Unit
from hapair.model.outcome import Done, Refused, Unknown
from hapair.ports.programs import Finished, TimedOut
from tests.fakes.small import FakeRunner
from tests.processes import PATIENCE_S

SCRIPT = Script("/etc/cluster/orders/run")
AGENT = OcfAgent("heartbeat", "pgsql", (("pgdata", "/srv/orders"),))
UNIT = Unit("orders.service")


def test_a_script_gets_its_verb_and_what_it_may_rely_on() -> None:
    assert commands.action(SCRIPT, "start") == ("/etc/cluster/orders/run", "start")
    environment = commands.environment({"PATH": "/bin"}, SCRIPT, "orders", "node1")
    assert environment == {
        "PATH": "/bin",
        "HAPAIR_APPLICATION": "orders",
        "HAPAIR_NODE": "node1",
    }
    assert commands.limit(SCRIPT, 60) == {"HAPAIR_TIMEOUT": "60"}


def test_an_agent_gets_the_variables_of_its_standard() -> None:
    assert commands.action(AGENT, "monitor") == (
        "/usr/lib/ocf/resource.d/heartbeat/pgsql",
        "monitor",
    )
    environment = commands.environment({}, AGENT, "orders", "node1")
    assert environment["OCF_ROOT"] == "/usr/lib/ocf"
    assert environment["OCF_RESOURCE_INSTANCE"] == "orders"
    assert environment["OCF_RESKEY_pgdata"] == "/srv/orders"
    assert environment["OCF_RESKEY_CRM_meta_interval"] == "0", "a look is a probe"
    assert environment["OCF_RESKEY_CRM_meta_on_node"] == "node1"
    assert environment["OCF_CHECK_LEVEL"] == "0"
    assert commands.limit(AGENT, 20) == {"OCF_RESKEY_CRM_meta_timeout": "20000"}


async def test_what_begins_when_its_daemon_is_gone_does_nothing(tmp_path: Path) -> None:
    """FAIL: a start that hung with its disk runs beside the peer's application, hours later."""
    entrance, ran, note = (tmp_path / name for name in ("procs", "ran", "note"))
    run = ProcessRunner()
    for daemon, code in ((os.getppid(), commands.GROUP_NOT_ENTERED), (os.getpid(), 0)):
        for argv in (
            commands.entering(str(entrance), daemon, ("touch", str(ran))),
            commands.starting(str(entrance), daemon, str(note), ("touch", str(ran))),
        ):
            ended = await run(argv, timeout_s=PATIENCE_S)
            assert isinstance(ended, Finished)
            assert ended.exit_code == code
            assert entrance.read_text() == "0\n", "the next daemon sees it there meanwhile"
        assert ran.exists() is note.exists() is (code == 0)


def test_words_are_passed_as_words() -> None:
    argv = commands.entering("/sys/fs/cgroup/x/cgroup.procs", 7, ("/a b", "start"))
    assert argv[:2] == ("/bin/sh", "-c")
    assert argv[-4:] == ("/sys/fs/cgroup/x/cgroup.procs", "7", "/a b", "start")
    argv = commands.starting("/e", 7, "/note", ("/a", "start"))
    assert argv[-5:] == ("/e", "7", "/note", "/a", "start")


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        ("active", True),
        ("reloading", True),
        ("inactive", False),
        ("failed", False),
        ("activating", None),
        ("deactivating", None),
    ],
)
def test_the_state_of_a_unit(active: str, *, expected: bool | None) -> None:
    assert state(f"LoadState=loaded\nActiveState={active}\nSubState=x\n") is expected


def programs(run: FakeRunner) -> ApplicationPrograms:
    return ApplicationPrograms(run, "node1", root=Path("/nowhere"), notes=Path("/nowhere"))


async def test_a_unit_is_started_stopped_and_looked_at_by_systemctl() -> None:
    run = FakeRunner({"systemctl show": Finished(0, "ActiveState=active\n", "")})
    made = programs(run)
    assert isinstance(await made.start("orders", UNIT, timeout_s=5), Done)
    assert await made.running("orders", UNIT) is True
    assert isinstance(await made.stop("orders", UNIT, timeout_s=5), Done)
    assert run.ran == [
        "systemctl --no-ask-password restart orders.service",
        "systemctl show --property=LoadState,ActiveState,SubState orders.service",
        "systemctl --no-ask-password stop orders.service",
    ]


async def test_a_unit_that_fails_to_start_is_refused_with_the_place_to_look() -> None:
    run = FakeRunner(
        {
            "systemctl --no-ask-password restart": Finished(
                1, "", "Job for orders.service failed."
            ),
            "systemctl show": Finished(0, "ActiveState=failed\n", ""),
        }
    )
    outcome = await programs(run).start("orders", UNIT, timeout_s=5)
    assert isinstance(outcome, Refused)
    assert "journalctl -u orders.service" in outcome.why


async def test_a_unit_that_is_still_starting_is_unknown() -> None:
    run = FakeRunner(
        {
            "systemctl --no-ask-password restart": TimedOut(5),
            "systemctl show": Finished(0, "ActiveState=activating\n", ""),
        }
    )
    assert isinstance(await programs(run).start("orders", UNIT, timeout_s=5), Unknown)
    assert await programs(run).running("orders", UNIT) is None


async def test_a_killed_unit_is_stopped_too_or_systemd_would_start_it_again() -> None:
    run = FakeRunner()
    assert isinstance(await programs(run).kill("orders", UNIT, timeout_s=5), Done)
    assert [line.split()[1] for line in run.ran] == ["kill", "--no-ask-password"]


@pytest.mark.parametrize("answer", [TimedOut(10), Finished(1, "", "Failed to connect to bus")])
async def test_what_systemd_does_not_tell_says_nothing_of_the_unit(
    answer: Finished | TimedOut,
) -> None:
    """It does not mean "partly up", which would be stopped."""
    run = FakeRunner({"systemctl show": answer, "systemctl --no-ask-password restart": TimedOut(5)})
    with pytest.raises(OSError, match=r"orders\.service"):
        await Units(run).running(UNIT)
    assert isinstance(await programs(run).start("orders", UNIT, timeout_s=5), Unknown)
