"""Agents of resource-agents, unchanged: started, looked at, killed and stopped in their group."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.groups import root_of_applications
from hapair.adapters.shared.process import ProcessRunner
from hapair.core.plan.agent_checks import objections
from hapair.model import ocf
from hapair.model.agent import ProgramAgent
from hapair.model.application import OcfAgent, Program, Script
from hapair.model.outcome import Done, Unknown
from hapair.runtime.jobs.agents import agent_facts
from tests.adapters.agents import LASTING, Machine, machine
from tests.adapters.namespaces import need_root
from tests.contract.test_programs import empty
from tests.processes import Started

pytestmark = pytest.mark.native
LIMIT_S: Final = 60.0

# Their parameters; WORLD is the folder of the test.
AGENTS: Final[dict[str, dict[str, str]]] = {
    "Dummy": {},
    "anything": {"binfile": f"/bin/{LASTING}", "cmdline_options": "1000"},
    "rsyncd": {"conffile": "WORLD/rsyncd.conf"},
    "nginx": {"configfile": "WORLD/nginx.conf"},
    "dovecot": {"pid_file": "WORLD/dovecot.pid"},
    "postfix": {},
    "redis": {
        "user": "root", "config": "WORLD/redis.conf", "rundir": "WORLD",
        "pidfile_name": "redis.pid", "bin": "/usr/bin/redis-server",
        "client_bin": "/usr/bin/redis-cli",
    },
    "pgsql": {"pgdba": "root", "pgdata": "WORLD", "logfile": "WORLD/log"},
    "mysql": {
        "user": "root", "group": "root", "datadir": "WORLD", "config": "WORLD/my.cnf",
        "pid": "WORLD/mysqld.pid", "socket": "WORLD/mysqld.sock", "log": "WORLD/log",
        "binary": "/usr/bin/mysqld_safe", "client_binary": "/usr/bin/mysql",
    },
    "VirtualDomain": {"config": "WORLD/domain.xml", "hypervisor": "qemu:///system"},
}  # fmt: skip
FILES: Final = {
    "rsyncd.conf": "pid file = WORLD/rsync.pid\n",
    "nginx.conf": "pid WORLD/nginx.pid;\nlisten 8080;\n",
    "redis.conf": "port 0\n",
    "my.cnf": "",
    "postgresql.conf": "",
    "PG_VERSION": "15\n",
    "domain.xml": "<domain>\n<name>shop</name>\n</domain>\n",
}
# What they start lives elsewhere, or nowhere.
OUTSIDE: Final = ("Dummy", "VirtualDomain")


@dataclass(frozen=True, slots=True)
class World:
    machine: Machine
    root: Path
    programs: ApplicationPrograms

    def agent(self, kind: str) -> OcfAgent:
        where = str(self.machine.folder)
        given = AGENTS[kind].items()
        return OcfAgent(
            "heartbeat", kind, tuple((key, value.replace("WORLD", where)) for key, value in given)
        )

    def pids(self) -> list[int]:
        procs = self.root / "shop" / "cgroup.procs"
        return [int(pid) for pid in procs.read_text().split()] if procs.exists() else []

    def kill_all(self) -> None:
        killed = self.pids()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() for pid in killed):
            signal.sigtimedwait([], 0.01)  # Init has to see its end.

    def is_of(self, pid: int) -> int:
        return Path(f"/proc/{pid}").stat().st_uid

    def log(self) -> str:
        return (self.machine.folder / "shop.log").read_text()

    async def starts(self, program: Program) -> None:
        outcome = await self.programs.start("shop", program, timeout_s=LIMIT_S)
        assert isinstance(outcome, Done), (outcome, self.log())
        assert await self.programs.running("shop", program) is True, self.log()

    async def stops(self, program: Program) -> None:
        outcome = await self.programs.stop("shop", program, timeout_s=LIMIT_S)
        assert isinstance(outcome, Done), (outcome, self.log())
        assert await self.programs.running("shop", program) is False, self.log()
        assert not self.pids()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    need_root()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("WORLD", str(tmp_path)))
    root = root_of_applications().parents[1] / f"hapair-agents-{os.getpid()}"
    root.mkdir()
    try:
        with machine(tmp_path) as made:
            programs = ApplicationPrograms(
                ProcessRunner(),
                "node1",
                root=root,
                notes=tmp_path / "notes",
                log_folder=tmp_path,
                own_commands=str(made.own_commands),
            )
            yield World(made, root, programs)
    finally:
        empty(root)


@pytest.mark.parametrize("kind", AGENTS)
async def test_an_agent_is_started_found_dead_and_stopped_unchanged(
    world: World, kind: str
) -> None:
    agent = world.agent(kind)
    assert await world.programs.running("shop", agent) is False, world.log()
    await world.starts(agent)
    await world.starts(agent)  # A start of what runs changes nothing.
    if kind in OUTSIDE:
        assert not world.pids()
    else:
        assert world.pids(), "what it started is where it can be found"
        world.kill_all()
        assert await world.programs.running("shop", agent) is not True
    if kind == "rsyncd":  # It never gets over that by itself.
        (world.machine.folder / "rsync.pid").unlink()
    await world.stops(agent)  # F13: that nothing is left to be stopped is a success.
    await world.starts(agent)
    await world.stops(agent)
    await world.stops(agent)
    assert not world.machine.asked_for_session()


@pytest.mark.parametrize("kind", AGENTS)
async def test_what_an_agent_says_of_itself_is_understood(world: World, kind: str) -> None:
    agent = world.agent(kind)
    facts = await agent_facts(agent, "shop", "node1", ProcessRunner())
    assert isinstance(facts, ProgramAgent)
    assert facts.code in (0, None) or kind in ("nginx", "rsyncd"), facts.said
    assert not list(objections(agent, facts))
    misspelt = replace(agent, parameters=(*agent.parameters, ("pot", "1")))
    ((what, _),) = objections(misspelt, facts)
    assert what == f"ocf:heartbeat:{kind} knows no parameter pot"


# How it is called, and whether it is a login.
CHANGES_OF_USER: Final = [
    ("su daemon -s /bin/sh -c", False),
    ("su - daemon -s /bin/sh -c", True),
    ("su -s /bin/sh -l daemon -c", True),
    ("runuser --login daemon -s /bin/sh -c", True),
    ("runuser daemon -s /bin/sh -c", False),
]


@pytest.mark.parametrize(("change", "is_login"), CHANGES_OF_USER)
async def test_who_becomes_another_user_stays_in_the_group(
    world: World, change: str, *, is_login: bool
) -> None:
    """FAIL: pam_systemd has it put into a scope of its own, which no stop of ours reaches."""
    script = world.machine.folder / "run"
    script.write_text(
        '#!/bin/sh\n[ "$1" = stop ] && exit 0\n'
        f'{change} "id -un; env; setsid sleep 1000 >/dev/null 2>&1 &"\n'
    )
    script.chmod(0o755)
    program = Script(str(script))
    await world.starts(program)
    said = world.log().split()
    assert "daemon" in said
    assert ("HAPAIR_NODE=node1" not in said) is is_login
    assert not [word for word in said if word.startswith(("DBUS", "XDG"))]
    (pid,) = world.pids()
    assert world.is_of(pid) == 1
    assert not world.machine.asked_for_session()
    assert isinstance(await world.programs.stop("shop", program, timeout_s=LIMIT_S), Unknown)
    assert isinstance(await world.programs.kill("shop", program, timeout_s=LIMIT_S), Done)
    assert not world.pids()


def test_without_our_commands_a_login_asks_for_a_session(world: World) -> None:
    """Else the test above would prove nothing."""
    login = ("/sbin/runuser", "-", "daemon", "-s", "/bin/sh", "-c", "exit 0")
    with Started(login, stdout=subprocess.PIPE, text=True) as asking:
        while not world.machine.asked_for_session():
            assert asking.poll() is None, "it has ended without"
            signal.sigtimedwait([], 0.01)
        asking.kill()


async def test_a_machine_that_still_runs_is_not_called_killed(world: World) -> None:
    agent = world.agent("VirtualDomain")
    await world.starts(agent)
    outcome = await world.programs.kill("shop", agent, timeout_s=LIMIT_S)
    assert isinstance(outcome, Unknown)
    assert "ocf:heartbeat:VirtualDomain says that shop runs" in outcome.why
    await world.stops(agent)
    assert isinstance(await world.programs.kill("shop", agent, timeout_s=LIMIT_S), Done)


async def test_an_agent_that_lost_its_configuration_is_belied_by_what_lives(world: World) -> None:
    """The one of pgsql says "not running" when it does not find its own client."""
    agent = world.agent("pgsql")
    await world.starts(agent)
    agent = replace(agent, parameters=(*agent.parameters, ("psql", "/no/such/psql")))
    assert await world.programs.running("shop", agent) is None
    assert isinstance(await world.programs.kill("shop", agent, timeout_s=LIMIT_S), Done)
    assert await world.programs.running("shop", agent) is False


async def test_the_agents_own_notes_have_their_folder(world: World) -> None:
    await world.starts(world.agent("Dummy"))
    assert stat.filemode(os.stat(ocf.STATE_FOLDER).st_mode) == "drwxr-xr-t"  # noqa: PTH116
    await world.stops(world.agent("Dummy"))
