"""What the daemon tells a Lems to watch, and the probes for it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TypeAlias

from hapair.config.codec import DamagedError, decode, encode
from hapair.lems.answers import Probe
from hapair.lems.probes import commands
from hapair.lems.probes.filesystem import FileSystems, Mounted
from hapair.lems.probes.http import Http
from hapair.lems.probes.logs import Log
from hapair.lems.probes.processes import Processes
from hapair.lems.probes.resources import Resources
from hapair.lems.probes.tcp import Tcp
from hapair.lems.probes.units import Unit
from hapair.model.application import Application, OcfAgent, ServiceAddress
from hapair.model.application import Unit as UnitProgram
from hapair.model.monitor import (
    CheckProbe,
    FileSystemProbe,
    HttpProbe,
    LogProbe,
    Monitor,
    OcfProbe,
    ProcessProbe,
    ResourcesProbe,
    SqlProbe,
    TcpProbe,
    UnitProbe,
)

# Given agent, application, node and time limit in seconds: what to run, and its variables.
Agents: TypeAlias = Callable[[OcfAgent, str, str, float], tuple[tuple[str, ...], Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Watch:
    """The whole state of one message."""

    run: int
    node: str
    application: Application
    mounts: tuple[Mounted, ...]
    group: str
    lives: bool  # Its start left processes in the group.
    monitors: tuple[tuple[Monitor, bool], ...]  # Each with whether it is halted.


def read(told: object) -> Watch:
    """Return what was told; DamagedError. A probe of a newer version is passed over."""
    if not isinstance(told, dict):
        raise DamagedError("this is no watch")
    return Watch(
        int(told.get("run", 0)),
        str(told.get("node", "")),
        decode(Application, told.get("application")),
        tuple(_mounts(told.get("mounts"))),
        str(told.get("group", "")),
        bool(told.get("lives")),
        tuple(_monitors(told.get("monitors"))),
    )


def _monitors(told: object) -> Sequence[tuple[Monitor, bool]]:
    found: list[tuple[Monitor, bool]] = []
    for each in told if isinstance(told, list) else ():
        try:
            found.append((decode(Monitor, each), bool(each.get("halted"))))
        except DamagedError:
            continue
    return found


def _mounts(told: object) -> Sequence[Mounted]:
    return [
        Mounted(str(each["device"]), str(each["mount_point"]))
        for each in (told if isinstance(told, list) else ())
        if isinstance(each, dict) and {"device", "mount_point"} <= set(each)
    ]


def probe_of(monitor: Monitor, watch: Watch, agents: Agents) -> Probe | None:
    """Return what asks; None where there is nothing that could be asked."""
    program, timeout_s = watch.application.program, monitor.timeout_s
    unit = program.name if isinstance(program, UnitProgram) else ""
    match monitor.probe:
        case FileSystemProbe() as probe:
            return FileSystems(probe, watch.mounts) if watch.mounts else None
        case ProcessProbe() as probe:
            return Processes(probe, watch.group, unit, watch.lives)
        case TcpProbe() as probe:
            return Tcp(probe, timeout_s)
        case HttpProbe() as probe:
            return Http(probe, timeout_s)
        case CheckProbe() as probe:
            facts = {"HAPAIR_APPLICATION": watch.application.name, "HAPAIR_NODE": watch.node}
            return commands.check(probe, facts)
        case UnitProbe() as probe:
            return Unit(probe)
        case OcfProbe(level):
            return _ocf(monitor, level, watch, agents)
        case LogProbe() as probe:
            return Log(probe)
        case ResourcesProbe() as probe:
            return Resources(probe, "" if unit else watch.group, unit)
        case SqlProbe() as probe:
            return commands.sql(probe, timeout_s)


def warm_up(agents: Agents) -> None:
    """Read a watch of every kind, so that what reading leaves in memory is there once for all."""
    probes = (
        FileSystemProbe(),
        ProcessProbe(match="a"),
        TcpProbe("::1", 1),
        HttpProbe("http://a"),
        CheckProbe("/a"),
        UnitProbe("a.service"),
        OcfProbe(),
        LogProbe("/a", "a"),
        ResourcesProbe(),
        SqlProbe("psql"),
    )
    agent = OcfAgent("heartbeat", "a", (("a", "b"),))
    address = ServiceAddress("a", IPv4Interface("192.0.2.1/24"))
    application = Application("a", "a", agent, addresses=(address,), volume_groups=("a",))
    told = {
        "run": 1,
        "application": encode(application),
        "mounts": [{"device": "/a", "mount_point": "/a"}],
        "monitors": [encode(Monitor("a", each)) for each in probes],
    }
    made = read(json.loads(json.dumps(told)))
    for monitor, _ in made.monitors:
        probe_of(monitor, made, agents)


def _ocf(monitor: Monitor, level: int, watch: Watch, agents: Agents) -> Probe | None:
    program = watch.application.program
    if not isinstance(program, OcfAgent):
        return None
    told = agents(program, watch.application.name, watch.node, monitor.timeout_s)
    return commands.ocf(*told, level, monitor.interval_s)
