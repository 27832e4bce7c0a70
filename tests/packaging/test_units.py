"""What the systemd units must say, because applications depend on it."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from hapair.cli import clstartup
from hapair.config.appconf import OWN_UNITS

UNITS: Final = Path(__file__).parents[2] / "packaging" / "systemd"
WITNESS: Final = "hapair-witness.service"
LEMS: Final = "hapair-lems.service"
NAMES: Final = (
    "hapaird.service", "hapair-alerts.path", "hapair-alerts.service", "hapair-apps.service",
    LEMS, "hapair-node.service", WITNESS,
)  # fmt: skip
# The commands are not installed where the tests run.
EXPECTED_COMPLAINT: Final = "is not executable: No such file or directory"


def settings(name: str) -> dict[str, list[str]]:
    """Return every setting of a unit with all the values it was given."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def words(name: str, key: str) -> set[str]:
    return {word for value in settings(name).get(key, []) for word in value.split()}


def test_no_application_has_one_of_our_units_as_its_program() -> None:
    assert {file.name for file in UNITS.glob("*.service")} == OWN_UNITS


def test_systemd_understands_every_line() -> None:
    files = [str(UNITS / name) for name in NAMES]
    verdict = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", *files),
        capture_output=True,
        check=False,
        text=True,
    )
    complaints = verdict.stderr.splitlines()
    assert [line for line in complaints if EXPECTED_COMPLAINT not in line] == []


def test_a_busy_machine_delays_no_start_of_the_daemon() -> None:
    """The peer counts silence until it is loaded; what it starts does not inherit it."""
    assert settings("hapaird.service")["Nice"] == ["-20"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("binding", ["Requires", "Requisite", "BindsTo", "PartOf", "Conflicts"])
def test_no_unit_is_dragged_along_when_another_is_restarted(name: str, binding: str) -> None:
    """``Requires=hapaird.service`` would halt the node whenever the daemon is upgraded."""
    assert binding not in settings(name)


@pytest.mark.parametrize("name", ["hapaird.service", "hapair-apps.service", LEMS])
def test_stopping_or_losing_a_unit_kills_nothing_but_its_own_process(name: str) -> None:
    assert settings(name)["KillMode"] == ["process"]
    assert settings(name)["Restart"] == ["always"]
    assert settings(name)["StartLimitIntervalSec"] == ["0"]


def test_an_upgrade_restarts_what_watches_and_tells_and_no_application() -> None:
    """A restart of hapair-apps.service or hapair-node.service would end or move them."""
    postinst = (UNITS.parent / "scripts" / "postinst").read_text()
    restarts = [line.split() for line in postinst.splitlines() if "invoke restart" in line]
    restarted = {word for line in restarts for word in line if word.endswith(".service")}
    assert restarted == {"hapaird.service", "hapair-alerts.service", LEMS, WITNESS}


def test_the_node_leaves_before_anything_that_leaving_needs_is_stopped() -> None:
    assert {
        "hapaird.service", "hapair-apps.service", "network-online.target", "ssh.service",
        "dbus.service", "local-fs.target", "remote-fs.target", "drbd.service",
        "resource-agents-deps.target",
    } <= words("hapair-node.service", "After")  # fmt: skip


def test_a_failed_start_of_the_node_does_not_skip_its_orderly_stop() -> None:
    """ExecStop of a oneshot is run only when ExecStart succeeded; hence the minus sign."""
    assert settings("hapair-node.service")["ExecStart"] == ["-/usr/sbin/clstartup"]
    assert settings("hapair-node.service")["RemainAfterExit"] == ["yes"]


def test_mounts_and_addresses_of_the_daemon_are_those_of_the_host() -> None:
    private = ("Private", "Protect", "ReadOnly", "Inaccessible", "BindPaths", "MountFlags", "Root")
    keys = settings("hapaird.service")
    assert not [key for key in keys if key.startswith(private)]


def test_a_hanging_daemon_is_ended_for_good_within_the_watchdog_and_a_few_seconds() -> None:
    """A stopped process (SIGSTOP) does not react to SIGABRT: SIGKILL must follow soon."""
    daemon = settings("hapaird.service")
    assert daemon["WatchdogSec"] == ["30"]
    assert int(daemon["TimeoutAbortSec"][0]) <= 5


def test_a_daemon_that_is_slow_to_start_is_waited_for_beyond_its_second_start() -> None:
    """Else a machine that boots slowly stays halted until a person types clform."""
    start_s = int(settings("hapaird.service")["TimeoutStartSec"][0])
    assert start_s >= 300
    assert 2 * start_s <= clstartup.DAEMON_START_S


def test_the_witness_has_no_rights_and_only_its_own_folder() -> None:
    assert settings(WITNESS)["User"] == ["hapair-witness"]
    assert settings(WITNESS)["CapabilityBoundingSet"] == [""]
    assert settings(WITNESS)["ProtectSystem"] == ["strict"]
    assert settings(WITNESS)["StateDirectory"] == ["hapair-witness"]


def test_the_witness_is_not_started_or_enabled_by_the_package() -> None:
    """A witness on a node would fail together with it."""
    postinst = (UNITS.parent / "scripts" / "postinst").read_text()
    (enabled,) = [line for line in postinst.splitlines() if line.startswith("UNITS=")]
    assert WITNESS not in enabled
    assert f"start {WITNESS}" not in postinst.replace("restart ", "")
