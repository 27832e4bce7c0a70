"""Programs that root runs to tell alerts: they must be there, and nobody else may change them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from hapair.config.clconf import HOOK
from hapair.core.plan.cluster_checks import Checked
from hapair.core.plan.situation import CLCONF, Situation, on
from hapair.model.alerts import Alerts
from hapair.model.node_facts import HookFile, NodeFacts
from hapair.model.problem import Problem

TITLE: Final = "programs that tell alerts"


def checked(situation: Situation, places: Mapping[str, str]) -> Checked:
    """Look at both nodes' programs. One that the other node lacks may come later: a warning."""
    return Checked(
        TITLE,
        tuple(
            replace(
                problem,
                what=f"{problem.what} ({places.get(HOOK + problem.field, CLCONF)} names it)",
                warning=problem.warning and side.node != situation.me,
            )
            for side in situation.sides
            for problem in objections(side.node, side.facts, situation.cluster.alerts)
        ),
    )


def objections(node: str, facts: NodeFacts, alerts: Alerts) -> Iterator[Problem]:
    """Say what is wrong with a node's programs; those that are not there are warnings."""
    found = {file.path: file for file in facts.hooks}
    for path in alerts.hooks:
        if file := found.get(path):  # An older version looks for none.
            for what, mend in _faults(file):
                yield Problem(node, path, what, on(node, mend), warning=not file.exists)


def _faults(file: HookFile) -> Iterator[tuple[str, str]]:
    if not file.exists:
        yield "there is no such file for the <hook>", f"put it there, then: chmod 755 {file.path}"
        return
    if not file.executable:
        yield "the <hook> is not executable", f"chmod 755 {file.path}"
    if not file.protected:
        what = "root runs this <hook>, and others than root can change it"
        yield what, f"chown root:root {file.path}; chmod go-w {file.path}"
