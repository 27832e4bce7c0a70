"""What clbuild checks of fence agents, watchdogs and secrets on both nodes."""

from typing import Final

from hapair.core.plan.situation import CLCONF, Problems, Side, Situation, on
from hapair.model.cluster import Cluster
from hapair.model.problem import Problem
from hapair.model.secret import secret_files as files_of
from hapair.model.secret import written_secrets

DAEMON: Final = "hapaird"
SYSTEMD: Final = "systemd"
SOFTDOG_MEND: Final = (
    "load the driver of the machine's watchdog, or: modprobe softdog; for the boot: echo softdog"
    " > /etc/modules-load.d/softdog.conf"
)


def fence_agents(situation: Situation) -> Problems:
    wanted = dict.fromkeys(method.agent for method in situation.cluster.fence_methods)
    for side in situation.sides:
        for agent in wanted:
            if agent not in side.facts.fence_agents:
                yield Problem(
                    side.node,
                    agent,
                    "this fence agent is not installed",
                    on(side.node, "apt-get install fence-agents; then: ls /usr/sbin/fence_*"),
                )


def watchdog(situation: Situation) -> Problems:
    wanted = situation.cluster.watchdog
    if wanted is None:
        return
    for side in situation.sides:
        facts = side.facts.watchdog
        if not facts.exists:
            yield Problem(
                side.node, wanted.device, "there is no such device", on(side.node, SOFTDOG_MEND)
            )
        elif facts.holder not in {"", DAEMON}:
            yield Problem(
                side.node,
                wanted.device,
                f"{facts.holder} has it open, and only one program can",
                on(side.node, _release_mend(facts.holder)),
            )


def _release_mend(holder: str) -> str:
    if holder == SYSTEMD:
        return "write RuntimeWatchdogSec=off into /etc/systemd/system.conf; systemctl daemon-reexec"
    return f"systemctl disable --now {holder}, or name another device in <watchdog>"


def secret_files(situation: Situation) -> Problems:
    for side in situation.sides:
        found = {file.path: file for file in side.facts.secret_files}
        for path in files_of(situation.cluster):
            file = found.get(path)
            if file is None or not file.exists:
                yield Problem(
                    side.node,
                    path,
                    "this file of a secret is not there",
                    on(side.node, f"umask 077; cat > {path}  (the value alone, in one line)"),
                )
            elif not file.private:
                yield Problem(
                    side.node,
                    path,
                    "others than root can read this file of a secret",
                    on(side.node, f"chown root: {path}; chmod 600 {path}"),
                )


def written_in_the_open(situation: Situation) -> Problems:
    """Warn of a secret in a clconf.xml that others than root can read."""
    written = written_secrets(situation.cluster)
    for side in situation.sides:
        if written and _shows(side, situation):
            method, name = written[0]
            yield Problem(
                side.node,
                CLCONF,
                f"others than root can read it, and it holds a secret ({name} of {method.agent})",
                on(side.node, "chmod 600 /etc/cluster/clconf.xml") + "; better: move the secret"
                ' into a file and write file="..."',
                warning=True,
            )


def _shows(side: Side, situation: Situation) -> bool:
    """Tell whether others can read the file there, and it stays: another one is replaced."""
    stays = side.fingerprint == situation.fingerprint
    return stays and not side.facts.configuration.clconf_private


def hung_node(situation: Situation) -> Problems:
    """Find out whether a node of which only the kernel answers could be reset (row 4b)."""
    if situation.cluster.watchdog is None and not _all_can_be_switched_off(situation.cluster):
        yield Problem(
            CLCONF,
            "<watchdog>",
            "a node whose software hangs while its kernel still answers cannot be reset: nothing"
            " is taken over from it until a person switches it off",
            f"add <watchdog/>; on both nodes {SOFTDOG_MEND}",
            warning=True,
        )


def _all_can_be_switched_off(cluster: Cluster) -> bool:
    return all(cluster.methods_against(node) for node in cluster.nodes)
