"""The reset of a machine, on files that stand for the kernel's."""

from pathlib import Path

from hapair.adapters.reset import not_a_machine, reset_machine
from hapair.model.outcome import Refused, Unknown


def test_the_console_says_why_before_the_kernel_is_told(tmp_path: Path) -> None:
    trigger, console = tmp_path / "sysrq-trigger", tmp_path / "kmsg"
    outcome = reset_machine(
        "orders cannot be stopped", trigger=trigger, console=console, container=tmp_path / "no"
    )
    assert isinstance(outcome, Unknown), "only a kernel that does nothing returns"
    assert trigger.read_bytes() == b"b"
    assert console.read_text() == "<0>hapair resets this node: orders cannot be stopped\n"


def test_a_kernel_without_that_trigger_is_told_with_the_mend(tmp_path: Path) -> None:
    trigger = tmp_path / "nothing" / "sysrq-trigger"
    outcome = reset_machine(
        "orders cannot be stopped", trigger=trigger, console=tmp_path, container=tmp_path / "no"
    )
    assert isinstance(outcome, Refused)
    assert "No such file or directory; take its power away by hand" in outcome.why


def test_a_container_does_not_reset_its_host(tmp_path: Path) -> None:
    trigger = tmp_path / "sysrq-trigger"
    outcome = reset_machine("orders", trigger=trigger, console=tmp_path / "x", container=tmp_path)
    assert isinstance(outcome, Refused)
    assert not trigger.exists()


def test_nodes_that_share_a_kernel_reset_nobody() -> None:
    assert isinstance(not_a_machine("orders cannot be stopped"), Refused)
