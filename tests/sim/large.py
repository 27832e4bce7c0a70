"""So many volumes that their names do not fit one heartbeat."""

from dataclasses import replace
from typing import Final

from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Cut
from tests.sim.settings import NODES, PRIVATE, application
from tests.sim.stage import LONG_S, ONE_APPLICATION, Stage

NAME: Final = "an-application-with-a-long-name"
LARGE: Final = replace(ONE_APPLICATION, applications=(application(NAME, volumes=34),))
GOES_ON_WITHIN_S: Final = 15.0


def loses_the_link(stage: Stage) -> None:
    """Cut the replication network, and demand what the runbook promises."""
    stage.suffers(Cut(PRIVATE, NODES, LONG_S))
    stage.waits_for(lambda: any(stage.copy("node1", r).suspended for r in stage.world.resources), 5)
    before = {name: stage.acknowledged(name) for name in stage.world.resources}
    stage.run_for(GOES_ON_WITHIN_S)
    frozen = [name for name, count in before.items() if stage.acknowledged(name) == count]
    if frozen or stage.served_by(NAME) != "node1":
        raise BrokenRuleError(f"R8: served by {stage.served_by(NAME)!r}, frozen: {frozen}")
    moved = [deed for deed in stage.acts if deed[0] != "node1"]
    if moved or not stage.is_together():
        raise BrokenRuleError(f"R8: {moved} although the nodes heard each other")
