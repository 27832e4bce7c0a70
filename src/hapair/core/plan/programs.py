"""What clbuildapp warns of in an application's program, which it does not refuse."""

from collections.abc import Iterator

from hapair.core.plan import agent_checks, unit_checks
from hapair.model.application import Application, OcfAgent
from hapair.model.problem import Problem
from hapair.model.storage import NodeStorage


def warnings(application: Application, here: NodeStorage, peer: NodeStorage) -> Iterator[Problem]:
    for storage, other in ((here, peer), (peer, here)):
        found: Iterator[tuple[str, str]] = iter(())
        if storage.unit is not None:
            found = unit_checks.warnings(storage.unit, other.unit, other.node)
        elif storage.agent is not None and isinstance(application.program, OcfAgent):
            found = agent_checks.warnings(
                application.program,
                storage.agent,
                application.limits,
                has_data=storage is here,
            )
        for what, mend in found:
            yield Problem(storage.node, "run", what, mend, warning=True)
