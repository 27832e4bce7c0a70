"""What takes a guest's power away really does: a fence agent by the power strip, a watchdog."""

import io
import tarfile
import time
from pathlib import Path
from typing import Final

import pytest

import hapair
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.strip import AGENT_PATH, Manner, Setting
from tests.lab.story import boot_of

pytestmark = pytest.mark.lab(seconds=20)

SOURCE: Final = Path(hapair.__file__).parent
FOLDER: Final = "/opt/test"
DRIVER: Final = Path(__file__).with_name("power_driver.py")
WATCHDOG_S: Final = 10
STATE: Final = "/sys/class/watchdog/watchdog0/state"
HOLD: Final = f"exec python3 {FOLDER}/{DRIVER.name} hold {WATCHDOG_S}"


def give_adapters(node: Machine) -> None:
    """Copy our adapters and the driver to a guest that knows nothing of us."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for file in sorted(SOURCE.rglob("*.py")):
            archive.add(file, Path("hapair") / file.relative_to(SOURCE))
        archive.add(DRIVER, DRIVER.name)
    node.check(f"mkdir -p {FOLDER}; tar -C {FOLDER} -xzf -", stdin=content.getvalue())


def fence(node: Machine, what: str, plug: str, *, timeout_s: float = 180.0) -> str:
    argv = ["python3", f"{FOLDER}/{DRIVER.name}", what, str(timeout_s), plug]
    return node.check(argv, timeout_s=PATIENCE_S).strip()


def agent(node: Machine, *lines: str) -> tuple[int, str]:
    """Run the agent by hand; return its exit code and all it said."""
    stdin = "".join(f"{line}\n" for line in lines).encode()
    finished = node.run([AGENT_PATH], stdin=stdin)
    return finished.exit_code, finished.stdout + finished.stderr


def signal_feeder(node: Machine, name: str) -> None:
    """Without a shell, which ``pkill`` would find by its command line too."""
    node.check(["pkill", f"-{name}", "-f", f"{DRIVER.name} hold"])


def booted_at_s(node: Machine) -> float:
    """Return when the guest's kernel began, on this machine's clock: at most too late."""
    uptime_s = float(node.check("cat /proc/uptime").split()[0])
    return time.monotonic() - uptime_s  # A slow answer must not make it too early.


def test_a_node_switches_its_peer_off_and_on_by_an_agent(booted_lab: Lab) -> None:
    lab = booted_lab
    lab.install_fence_agent()
    give_adapters(lab.node2)
    assert fence(lab.node2, "check", "node1").startswith("Done")

    lab.set_strip(Setting(Manner.DEAD))
    said = fence(lab.node2, "off", "node1", timeout_s=4.0)
    assert said.startswith("Unknown"), said
    assert "within 4 s" in said
    code, said = agent(lab.node2, "action=off", "plug=node1", "shell_timeout=1")
    assert (code, "timed out" in said) == (1, True)
    lab.set_strip(Setting(Manner.REFUSES))
    said = fence(lab.node2, "off", "node1")
    assert said.startswith("Unknown"), said
    assert "locked" in said
    assert lab.node1.is_on()

    lab.set_strip(Setting(delay_s=2.0))
    assert fence(lab.node2, "off", "node1").startswith("Done")
    assert not lab.node1.is_on()
    lab.set_strip(Setting())
    assert agent(lab.node2, "action=status", "plug=node1") == (2, "Status: OFF\n")
    assert agent(lab.node2, "action=status", "plug=node2") == (0, "Status: ON\n")
    assert "another machine" in fence(lab.node2, "check", "node1")

    assert agent(lab.node2, "action=on", "plug=node1")[0] == 0
    assert lab.node1.is_on()
    lab.node1.wait_until_booted()


@pytest.mark.qemu_only("the kernel of other guests has a watchdog of another kind")
def test_a_feeder_that_stands_still_lets_the_watchdog_reset_the_node(booted_lab: Lab) -> None:
    lab, node = booted_lab, booted_lab.node1
    give_adapters(node)
    missing = node.check(HOLD)
    assert "there is no /dev/watchdog" in missing
    assert "modprobe softdog" in missing

    node.check("modprobe softdog")
    node.begin(HOLD, timeout_s=600)
    lab.wait_until(
        "it is held", lambda: node.check(f"cat {STATE}") == "active\n", timeout_s=PATIENCE_S
    )
    assert "another process holds /dev/watchdog" in node.check(HOLD)
    signal_feeder(node, "TERM")
    lab.wait_until(
        "released", lambda: node.check(f"cat {STATE}") == "inactive\n", timeout_s=PATIENCE_S
    )

    node.begin(HOLD, timeout_s=600)
    lab.wait_until(
        "it is held", lambda: node.check(f"cat {STATE}") == "active\n", timeout_s=PATIENCE_S
    )
    before = boot_of(node)
    signal_feeder(node, "STOP")
    stopped_s = time.monotonic()
    lab.wait_until(
        "the watchdog resets the node",
        lambda: boot_of(node) not in ("", before),
        timeout_s=PATIENCE_S,
    )
    assert booted_at_s(node) > stopped_s, "it was no reset after the feeder had stopped"
    node.wait_until_booted()
