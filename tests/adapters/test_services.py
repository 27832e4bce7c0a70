"""A real process with files and sockets is seen as it is."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.services.folders import logical_volume
from hapair.adapters.services.look import look
from hapair.adapters.services.ports import address_of
from hapair.adapters.services.processes import in_group
from hapair.adapters.services.units import Running, running_agent
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.service import SeenService
from hapair.model.unit import Unusable
from hapair.ports.programs import Finished
from tests.processes import Started

SERVER: Final = """
import http.server, os, socket, sys, threading
os.chdir(sys.argv[1])
kept = open("journal.db", "w")
read = open("/etc/passwd")
plain = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(403)
        self.end_headers()
    def log_message(self, *_):
        pass
web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
def refuse():
    while True:
        plain.accept()[0].close()
threading.Thread(target=refuse, daemon=True).start()
child = os.fork()
if child == 0:
    plain.close(); web.socket.close(); udp.close()
    inner = open(os.path.join(sys.argv[1], "inner", "log"), "w")
    os.read(0, 1)
    os._exit(0)
print(plain.getsockname()[1], web.server_port, udp.getsockname()[1], child, flush=True)
web.serve_forever()
"""


class Machine:
    """Answers of systemd, and of ``ip``, as one wants them."""

    def __init__(self, **units: Mapping[str, object]) -> None:
        self.units = units
        self.instances = ""

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Finished:
        assert timeout_s > 0
        assert stdin == b""
        if argv[0] == "ip":
            return Finished(0, '[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]}]', "")
        if "list-units" in argv:
            return Finished(0, self.instances, "")
        unit = self.units.get(argv[-1].removesuffix(".service"), {"LoadState": "not-found"})
        return Finished(0, "".join(f"{name}={value}\n" for name, value in unit.items()), "")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Started, list[int]]]:
    (tmp_path / "inner").mkdir()
    line = (sys.executable, "-c", SERVER, str(tmp_path))
    with Started(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started, [int(each) for each in started.line().split()]
        started.kill()


def unit_of(pid: int) -> dict[str, object]:
    return {
        "Id": "shop.service",
        "LoadState": "loaded",
        "ActiveState": "active",
        "MainPID": pid,
        "ControlGroup": "",
        "Type": "simple",
        "TimeoutStartUSec": "1min 30s",
        "TimeoutStopUSec": "infinity",
        "InactiveExitTimestampMonotonic": "1000000",
        "ActiveEnterTimestampMonotonic": "3500000",
    }


def seen_by(machine: Machine, name: str = "shop.service") -> SeenService | Unusable:
    return asyncio.run(look(name, machine, no_data=("/dev", "/proc", "/etc")))


def test_processes_files_and_ports_of_a_service_are_seen(
    server: tuple[Started, list[int]], tmp_path: Path
) -> None:
    started, (plain, web, udp, child) = server
    seen = seen_by(Machine(shop=unit_of(started.pid)))
    assert isinstance(seen, SeenService)
    assert [each.pid for each in seen.processes] == sorted((started.pid, child))
    assert {each.parent for each in seen.processes} == {os.getpid(), started.pid}
    assert [each.path for each in seen.folders] == [str(tmp_path)]
    assert seen.folders[0].mount is not None
    ports = {(each.protocol, each.port): each.http_status for each in seen.ports}
    assert ports == {("tcp", plain): 0, ("tcp", web): 403, ("udp", udp): 0}
    assert seen.unit is not None
    assert (seen.unit.start_s, seen.unit.start_limit_s, seen.unit.stop_limit_s) == (2.5, 90.0, 0.0)


def test_what_cannot_be_looked_at_is_said_with_its_mend() -> None:
    idle = {"Id": "idle.service", "LoadState": "loaded", "ActiveState": "inactive"}
    hull = {**unit_of(0), "Id": "hull.service", "SubState": "exited"}
    machine = Machine(idle=idle, hull=hull)
    said = {name: seen_by(machine, f"{name}.service") for name in ("none", "idle", "hull")}
    assert all(isinstance(each, Unusable) and each.mend for each in said.values())
    texts = {name: each.what for name, each in said.items() if isinstance(each, Unusable)}
    assert texts["none"] == "systemd has no unit none.service"
    assert texts["idle"] == "idle.service does not run: it is inactive"
    assert texts["hull"] == "hull.service runs no process of its own (exited)"
    machine.instances = "hull@a.service loaded active running A\nhull@b.service loaded active B\n"
    several = seen_by(machine, "hull.service")
    assert isinstance(several, Unusable)
    assert "2 instances run: hull@a.service, hull@b.service" in several.what


def test_an_agent_that_is_not_there_is_named() -> None:
    seen = seen_by(Machine(), "ocf:heartbeat:no-such-agent")
    assert isinstance(seen, Unusable)
    assert "there is no OCF agent ocf:heartbeat:no-such-agent" in seen.what


AGENT: Final = """#!/bin/sh
[ "$1" = meta-data ] && echo '<resource-agent><parameters>
<parameter name="datadir" required="1"/><parameter name="port" required="0"/>
</parameters></resource-agent>'
"""


def test_an_agent_finds_its_one_process_and_refuses_to_choose(tmp_path: Path) -> None:
    name = f"hapair-{os.getpid()}"  # The kernel keeps 15 signs of it.
    agent = tmp_path / "ocf/resource.d/test" / name
    agent.parent.mkdir(parents=True)
    agent.write_text(AGENT)
    agent.chmod(0o755)

    def found() -> Running | Unusable:
        agents = agent.parents[1]
        return asyncio.run(running_agent(f"ocf:test:{name}", ProcessRunner(), agents))

    absent = found()
    assert isinstance(absent, Unusable)
    assert absent.what == f"no process {name[:15]} runs"
    program = tmp_path / name
    shutil.copy(shutil.which("sleep") or "", program)
    with Started((program, "600")) as one:
        running = found()
        with Started((program, "601")) as two:
            several = found()
            two.kill()
        one.kill()
    assert isinstance(running, Running)
    assert [each.pid for each in running.processes] == [one.pid]
    assert running.required == ("datadir",)
    assert isinstance(several, Unusable)
    assert several.what.startswith("2 instances run: ")


def test_a_control_group_that_is_not_there_has_no_processes() -> None:
    assert in_group("/system.slice/no-such.service") == ()


@pytest.mark.parametrize(
    ("uuid", "name", "volume"),
    [
        ("LVM-0123abcd", "vg_shop-data", ("vg_shop", "data")),
        ("LVM-0123abcd", "vg--a-lv--b", ("vg-a", "lv-b")),
        ("CRYPT-LUKS2-0123", "vg-lv", ("", "")),
        ("LVM-0123abcd", "odd", ("", "")),
    ],
)
def test_a_logical_volume_is_known_by_its_mapping(
    uuid: str, name: str, volume: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "uuid").write_text(f"{uuid}\n")
    (tmp_path / "name").write_text(f"{name}\n")
    assert logical_volume(tmp_path) == volume
    assert logical_volume(tmp_path / "no-mapping") == ("", "")


@pytest.mark.parametrize(
    ("digits", "address"),
    [
        ("0100007F", "127.0.0.1"),
        ("00000000", "0.0.0.0"),  # noqa: S104 - nothing is bound
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
def test_addresses_are_read_as_the_kernel_lists_them(digits: str, address: str) -> None:
    assert address_of(digits) == address
