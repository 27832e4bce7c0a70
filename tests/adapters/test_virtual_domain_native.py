"""A machine of libvirt by its unchanged agent: started, probed, lost, moved, and slow.

``virsh`` is a fake that speaks for two hosts. Their emulators are processes that look like QEMU's
and live where libvirtd would have them: outside of the application's control group.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.programs.adapter import ApplicationPrograms
from hapair.adapters.programs.groups import root_of_applications
from hapair.adapters.shared.process import ProcessRunner
from hapair.model import timing
from hapair.model.application import OcfAgent
from hapair.model.outcome import Done, Refused, Unknown
from tests.adapters.agents import FAKES, machine
from tests.adapters.namespaces import need_root
from tests.contract.test_programs import empty
from tests.processes import Started

pytestmark = pytest.mark.native

NODES: Final = ("node1", "node2")
LIMIT_S: Final = 60.0
# The agent asks a guest to shut down until five seconds before the limit.
STOP_S: Final = 8.0
# The agent finds emulators of the whole machine by that name.
GUEST: Final = f"shop{os.getpid()}"
DOMAIN: Final = f"""\
<domain>
<name>{GUEST}</name>
<devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator>
</devices>
</domain>
"""
# Each host has a folder: ``machine`` is the number of its emulator, the others say what is wrong.
VIRSH: Final = """
cd "$WORLD/$OCF_RESKEY_CRM_meta_on_node" || exit 1
lives() { [ -s machine ] && grep -qs . "/proc/$(cat machine)/cmdline"; }  # No zombie has one.
[ ! -e hangs ] || exec sleep 1000
[ ! -e down ] || { echo "error: failed to connect to the hypervisor" >&2; exit 1; }
case "$*" in
*domstate*) lives && echo running || { echo "error: failed to get domain" >&2; exit 1; } ;;
*dumpxml*) lives && cat "$WORLD/domain.xml" ;;
*create*) [ ! -e broken ] || { echo "error: no KVM" >&2; exit 1; }
    echo create >libvirtd; until lives; do sleep 0.05; done
    [ ! -e slow ] || { echo "error: Disconnected due to keepalive timeout" >&2; exit 1; } ;;
*shutdown*) [ -e deaf ] || kill "$(cat machine)" ;;
*destroy*) kill -9 "$(cat machine)" ;;
esac
"""
LIBVIRTD: Final = """
cd "$1" && mkfifo libvirtd && exec 3<>libvirtd && echo ready  # Closed between, it loses orders.
while read -r _ <&3; do
    bash -c 'exec -a "qemu-system-x86_64 -name guest='"$2"',debug-threads=on " sleep 1000' 3<&- &
    echo $! >machine
done
"""
AGENT: Final = "VirtualDomain"


@dataclass(frozen=True, slots=True)
class Host:
    folder: Path
    programs: ApplicationPrograms
    agent: OcfAgent

    def suffers(self, what: str) -> None:
        (self.folder / what).touch()

    def recovers(self, what: str) -> None:
        (self.folder / what).unlink()

    def loses_its_machine(self) -> None:
        os.kill(int((self.folder / "machine").read_text()), signal.SIGKILL)

    async def runs(self) -> bool | None:
        return await self.programs.running("shop", self.agent)

    async def starts(self) -> None:
        outcome = await self.programs.start("shop", self.agent, timeout_s=LIMIT_S)
        assert isinstance(outcome, Done), outcome
        assert await self.runs() is True

    async def stops(self) -> None:
        outcome = await self.programs.stop("shop", self.agent, timeout_s=STOP_S)
        assert isinstance(outcome, Done), outcome
        assert await self.runs() is False


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Host, Host]]:
    need_root()
    monkeypatch.setitem(FAKES, "bin/virsh", VIRSH)
    (tmp_path / "domain.xml").write_text(DOMAIN)
    (tmp_path / "libvirtd").write_text(LIBVIRTD)  # Its text would look like an emulator to ps.
    agent = OcfAgent(
        "heartbeat",
        AGENT,
        (("config", str(tmp_path / "domain.xml")), ("hypervisor", "qemu:///system")),
    )
    groups = root_of_applications().parents[1]
    roots = [groups / f"hapair-{node}-{os.getpid()}" for node in NODES]
    made, services = [], []
    try:
        with machine(tmp_path) as fake:
            for node, root in zip(NODES, roots, strict=True):
                folder = tmp_path / node
                folder.mkdir()
                root.mkdir()
                line = ("bash", str(tmp_path / "libvirtd"), str(folder), GUEST)
                services.append(
                    Started(line, stdout=subprocess.PIPE, text=True, start_new_session=True)
                )
                services[-1].line()
                programs = ApplicationPrograms(
                    ProcessRunner(),
                    node,
                    root=root,
                    notes=folder / "notes",
                    log_folder=folder,
                    own_commands=str(fake.own_commands),
                )
                made.append(Host(folder, programs, agent))
            yield made[0], made[1]
    finally:
        for service in services:
            os.killpg(service.pid, signal.SIGKILL)
            service.communicate()
        for root in roots:
            empty(root)


async def test_a_machine_is_started_lost_started_again_and_moved(hosts: tuple[Host, Host]) -> None:
    here, there = hosts
    assert (await here.runs(), await there.runs()) == (False, False)
    await here.starts()
    await here.starts()  # A start of what runs changes nothing.
    assert await there.runs() is False
    here.loses_its_machine()
    assert await here.runs() is False
    await here.starts()
    await here.stops()
    await here.stops()  # F13: that nothing is left to be stopped is a success.
    await there.starts()
    assert await here.runs() is False
    await there.stops()


async def test_where_its_volume_is_not_mounted_it_does_not_run(hosts: tuple[Host, Host]) -> None:
    """Its description lies on the volume."""
    (hosts[0].folder.parent / "domain.xml").unlink()
    assert await hosts[1].runs() is False


async def test_a_guest_that_heeds_no_shutdown_is_switched_off_within_the_limit(
    hosts: tuple[Host, Host],
) -> None:
    """FAIL: the agent learns no limit, and the stop ends at ours, with a machine that runs."""
    here, _ = hosts
    await here.starts()
    here.suffers("deaf")
    began_s = time.monotonic()
    await here.stops()
    assert time.monotonic() - began_s < STOP_S


async def test_a_start_that_fails_says_why_and_leaves_nothing(hosts: tuple[Host, Host]) -> None:
    here, _ = hosts
    here.suffers("broken")
    outcome = await here.programs.start("shop", here.agent, timeout_s=LIMIT_S)
    assert isinstance(outcome, Refused)
    assert f"Failed to start virtual domain {GUEST}" in (here.folder / "shop.log").read_text()
    assert await here.runs() is False


async def test_a_libvirtd_that_is_down_is_no_machine_that_is_lost(hosts: tuple[Host, Host]) -> None:
    """The agent looks for the emulator itself; FAIL: a second one is started beside it."""
    here, _ = hosts
    await here.starts()
    here.suffers("down")
    assert await here.runs() is True
    here.loses_its_machine()
    assert await here.runs() is False
    here.recovers("down")
    await here.starts()
    await here.stops()


async def test_a_libvirtd_that_hangs_proves_nothing(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAIL: a machine that runs counts as stopped, or a start as one that has left nothing."""
    monkeypatch.setattr(timing, "MONITOR_S", 1.0)
    here, _ = hosts
    await here.starts()
    here.suffers("hangs")
    for act in (here.programs.stop, here.programs.start):
        outcome = await act("shop", here.agent, timeout_s=1.0)
        assert isinstance(outcome, Unknown)
        assert "was not ready after 1.0 s" in outcome.why
    with pytest.raises(TimeoutError):
        await here.runs()
    here.recovers("hangs")
    assert await here.runs() is True
    await here.stops()


async def test_a_start_that_failed_only_for_the_agent_may_have_happened(
    hosts: tuple[Host, Host],
) -> None:
    """FAIL: it counts as down, and what the machine lies on is taken away under it."""
    here, _ = hosts
    here.suffers("slow")
    outcome = await here.programs.start("shop", here.agent, timeout_s=LIMIT_S)
    assert isinstance(outcome, Unknown)
    assert await here.runs() is True
    await here.stops()
