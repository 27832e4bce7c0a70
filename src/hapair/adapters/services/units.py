"""Ask systemd about a unit that runs, and OCF agents about themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.adapters.services.processes import in_group, named, seen, with_children
from hapair.model.meta_data import elements
from hapair.model.service import SeenProcess, SeenUnit
from hapair.model.unit import Unusable
from hapair.ports.programs import CommandRunner, Finished

LIMIT_S: Final = 20.0
INSTANCES_SHOWN_MAX: Final = 8
AGENTS: Final = Path("/usr/lib/ocf/resource.d")
PROPERTIES: Final = (
    "Id", "LoadState", "ActiveState", "SubState", "MainPID", "ControlGroup", "Type",
    "WorkingDirectory", "RootDirectory", "StateDirectory", "RequiresMountsFor", "TimeoutStartUSec",
    "TimeoutStopUSec", "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic",
)  # fmt: skip
_UNITS_S: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
MICRO: Final = 1e-6
# Agents whose program has another name.
PROGRAMS: Final = {
    "apache": ("apache2", "httpd"),
    "mysql": ("mysqld", "mariadbd"),
    "mariadb": ("mariadbd", "mysqld"),
    "pgsql": ("postgres",),
    "pgsqlms": ("postgres",),
    "redis": ("redis-server", "valkey-server"),
    "postfix": ("master",),
    "Squid": ("squid",),
    "tomcat": ("java",),
    "portblock": (),
    "rabbitmq-cluster": ("beam.smp",),
}
NAME_SIGNS_MAX: Final = 15  # The kernel keeps no more of a process's name.


@dataclass(frozen=True, slots=True)
class Running:
    """A program that runs, and the folders that its unit names."""

    unit: SeenUnit | None
    processes: tuple[SeenProcess, ...]
    folders: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


async def running_unit(name: str, run: CommandRunner) -> Running | Unusable:
    """Return what a unit runs, or why it cannot be looked at."""
    argv = ("systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", name)
    answer = await run(argv, timeout_s=LIMIT_S)
    if not isinstance(answer, Finished) or answer.exit_code != 0:
        mend = "systemctl status; where the machine has no systemd, name an OCF agent"
        return Unusable(f"systemd gives no answer about {name}", mend)
    told = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    if told.get("LoadState") == "not-found" or not told.get("LoadState"):
        if instances := await _instances(name, run):
            return _several(name, instances)
        mend = "systemctl list-units --type=service shows those that run"
        return Unusable(f"systemd has no unit {name}", mend)
    if told.get("ActiveState") not in {"active", "reloading"}:
        state = told.get("ActiveState", "inactive")
        return Unusable(f"{name} does not run: it is {state}", f"systemctl start {name}")
    unit, group = _seen_unit(told), told.get("ControlGroup", "")
    # A group that cannot be looked into, as of another name space, still has its main process.
    numbers = (in_group(group) if group else ()) or with_children({unit.main_pid} - {0})
    processes = seen(numbers)
    if not processes:
        if instances := await _instances(name, run):
            return _several(name, instances)
        what = f"{name} runs no process of its own ({told.get('SubState', '')})"
        mend = f"name the unit that does: systemctl list-dependencies {name}"
        return Unusable(what, mend)
    return Running(unit, processes, _folders(told))


async def _instances(name: str, run: CommandRunner) -> tuple[str, ...]:
    """Return the instances of a template, or of a unit that only holds them together."""
    stem = name.removesuffix(".service").partition("@")[0]
    argv = ("systemctl", "list-units", "--no-legend", "--plain", "--state=active", "--full",
            "--", f"{stem}@*.service")  # fmt: skip
    answer = await run(argv, timeout_s=LIMIT_S)
    if not isinstance(answer, Finished):
        return ()
    return tuple(line.split()[0] for line in answer.stdout.splitlines() if line.strip())


def _several(name: str, instances: tuple[str, ...]) -> Unusable:
    listed = ", ".join(instances[:INSTANCES_SHOWN_MAX])
    count = "one instance runs" if len(instances) == 1 else f"{len(instances)} instances run"
    what = f"{name} itself runs nothing; {count}: {listed}"
    return Unusable(what, f"name the one that is meant: clnewapp {instances[0]}")


def _seen_unit(told: dict[str, str]) -> SeenUnit:
    begun, ended = (
        int(text) if text.isdigit() else 0
        for text in (
            told.get("InactiveExitTimestampMonotonic", ""),
            told.get("ActiveEnterTimestampMonotonic", ""),
        )
    )
    main = told.get("MainPID", "")
    return SeenUnit(
        told["Id"],
        int(main) if main.isdigit() else 0,
        max(ended - begun, 0) * MICRO,
        _span_s(told.get("TimeoutStartUSec", "")),
        _span_s(told.get("TimeoutStopUSec", "")),
        told.get("Type", ""),
    )


def _span_s(text: str) -> float:
    """Read systemd's "1min 30s"; 0 for "infinity" and what is no time."""
    total_s = 0.0
    for word in text.split():
        digits = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        factor = _UNITS_S.get(word.removeprefix(digits))
        if factor is None or not digits.replace(".", "", 1).isdigit():
            return 0.0
        total_s += float(digits) * factor
    return total_s


def _folders(told: dict[str, str]) -> tuple[str, ...]:
    own = [f"/var/lib/{each}" for each in told.get("StateDirectory", "").split()]
    others = [
        word.lstrip("-!")
        for key in ("WorkingDirectory", "RootDirectory", "RequiresMountsFor")
        for word in told.get(key, "").split()
    ]
    return tuple(each for each in (*own, *others) if each.startswith("/"))


async def running_agent(
    agent: str, run: CommandRunner, agents: Path = AGENTS
) -> Running | Unusable:
    """Return what an OCF agent would find running, or why it cannot be looked at."""
    _, provider, kind = agent.split(":")
    program = agents / provider / kind
    if not program.is_file():
        mend = f"the package resource-agents brings most of them: ls {agents}"
        return Unusable(f"there is no OCF agent {agent} ({program})", mend)
    names = {each[:NAME_SIGNS_MAX] for each in PROGRAMS.get(kind, (kind,))}
    found = named(names)
    if not found:
        listed = " or ".join(sorted(names)) or "it starts"
        return Unusable(f"no process {listed} runs", "start the service first, by hand")
    every = {each.pid: each for each in seen(with_children(found))}
    roots = [every[pid] for pid in found if pid in every and every[pid].parent not in found]
    if len(roots) > 1:
        listed = "; ".join(f"{each.pid}: {each.command[:60]}" for each in roots[:8])
        mend = f"name the unit of the one that is meant: systemctl status {roots[0].pid}"
        return Unusable(f"{len(roots)} instances run: {listed}", mend)
    required = await _required(program, run)
    return Running(None, tuple(every.values()), required=required)


async def _required(program: Path, run: CommandRunner) -> tuple[str, ...]:
    """Return the parameters without which the agent does nothing, by its own description."""
    argv = ("env", f"OCF_ROOT={program.parents[2]}", str(program), "meta-data")
    answer = await run(argv, timeout_s=LIMIT_S)
    found = elements(answer.stdout) if isinstance(answer, Finished) else None
    required = (
        has.get("name", "")
        for name, has in found or ()
        if name == "parameter" and has.get("required") in {"1", "true", "yes"}
    )
    return tuple(each for each in required if each)
