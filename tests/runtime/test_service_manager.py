"""What systemd is told, and how the daemon protects itself."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hapair.adapters.systemd_notify import SystemdSupervisor


def test_lines_reach_the_socket_that_systemd_names(tmp_path: Path) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        supervisor = SystemdSupervisor({"NOTIFY_SOCKET": str(place)})
        supervisor.notify("READY=1", "STATUS=node1 is together")
        assert manager.recv(1000) == b"READY=1\nSTATUS=node1 is together"


def test_abstract_sockets_are_understood() -> None:
    name = f"hapair-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        SystemdSupervisor({"NOTIFY_SOCKET": "@" + name}).notify("READY=1")
        assert manager.recv(1000) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_who_listens_is_no_trouble(environment: dict[str, str]) -> None:
    SystemdSupervisor(environment).notify("READY=1")
    assert SystemdSupervisor(environment).watchdog_s() is None


@pytest.mark.parametrize(
    ("environment", "expected_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_meant_for_this_process_only(
    environment: dict[str, str], expected_s: float | None
) -> None:
    assert SystemdSupervisor(environment).watchdog_s() == expected_s


def test_protection_is_raised_as_far_as_permitted_and_children_do_not_inherit_it() -> None:
    """Run in a process of its own: what it changes cannot be taken back."""
    program = """
import os, subprocess, sys
from hapair.runtime.priority import protect, settle_memory
before = len(protect())
settle_memory()
child = subprocess.run(
    [sys.executable, "-c", "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER)"],
    capture_output=True, text=True, check=True)
print(before >= 0, child.stdout.strip())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["True", "True"], done.stderr
