"""The table of everything that clbuild checks before it changes anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair.core.plan import arbitration_checks, machine_checks, network_checks, storage_checks
from hapair.core.plan.situation import Problems, Situation
from hapair.model.problem import Problem


@dataclass(frozen=True, slots=True)
class Check:
    title: str  # Shown by --verbose while it is checked.
    find: Callable[[Situation], Problems]


@dataclass(frozen=True, slots=True)
class Checked:
    title: str
    problems: tuple[Problem, ...]

    @property
    def failed(self) -> bool:
        return any(not problem.warning for problem in self.problems)


CHECKS: Final = (
    Check("two different machines", machine_checks.identities),
    Check("host names", machine_checks.host_names),
    Check("versions of hapair", machine_checks.versions),
    Check("DRBD module for the running kernel", machine_checks.drbd),
    Check("DRBD module for other installed kernels", machine_checks.installed_kernels),
    Check("a common DRBD protocol", machine_checks.drbd_protocols),
    Check("LVM", machine_checks.lvm),
    Check("LVM leaves DRBD devices alone", storage_checks.lvm_filter),
    Check("LVM activates what is built", storage_checks.activation),
    Check("DRBD's common section leaves ours alone", storage_checks.common_of_drbd),
    Check("nothing else brings up what is replicated", storage_checks.at_boot),
    Check("nothing is written below DRBD", storage_checks.scrubs),
    Check("tools", machine_checks.tools),
    Check("storage is local and has room", machine_checks.storage),
    Check("free space for configuration and archives", machine_checks.space),
    Check("clocks", machine_checks.clocks),
    Check("no other cluster manager", machine_checks.other_managers),
    Check("fence agents", arbitration_checks.fence_agents),
    Check("watchdog", arbitration_checks.watchdog),
    Check("files with secrets", arbitration_checks.secret_files),
    Check("no secret is readable by others", arbitration_checks.written_in_the_open),
    Check("a hung node can be reset", arbitration_checks.hung_node),
    Check("cards exist", network_checks.cards),
    Check("cards have a link and report it", network_checks.links),
    Check("static addresses on the default cards", network_checks.addresses),
    Check("stand-by cards have no address", network_checks.standby_cards),
    Check("networks have cables of their own", network_checks.cables),
    Check("separate subnets", network_checks.subnets),
    Check("names of the nodes", machine_checks.names),
    Check("SSH without a prompt between all addresses", network_checks.logins),
    Check("free ports", network_checks.ports),
    Check("ports are not given to outgoing connections", network_checks.ephemeral_ports),
    Check("firewall", network_checks.firewall),
)


def run_checks(situation: Situation) -> tuple[Checked, ...]:
    """Run all checks; one that fails keeps no other from running."""
    return tuple(Checked(check.title, tuple(check.find(situation))) for check in CHECKS)


def problems_of(results: tuple[Checked, ...]) -> tuple[Problem, ...]:
    """Return all problems sorted by node, errors first; each node's in the order of the checks."""
    found = [problem for result in results for problem in result.problems]
    return tuple(sorted(found, key=lambda problem: (problem.where, problem.warning)))
