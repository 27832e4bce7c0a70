"""So many volumes that their names do not fit one heartbeat; only the replication link fails.

Runbook 03: nothing moves, whoever decides. The heartbeats must go on and say all of it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from hapair.adapters.heartbeat import Sealer
from hapair.core.words.events import Beat
from hapair.model.cluster import ArbitrationKind
from hapair.ports.peer import TooLongError
from hapair.runtime.codec import dumps, loads
from hapair.runtime.node.beats import Listener, Speaker, bodies
from tests.checkers.rules import BrokenRuleError
from tests.sim.faults import Cut
from tests.sim.messages import SEALERS, SEQUENCE
from tests.sim.settings import NODES, PRIVATE, application
from tests.sim.stage import LONG_S, ONE_APPLICATION, PATHS, WITNESS, Stage, with_kind

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


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_nothing_moves(kind: ArbitrationKind) -> None:
    stage = Stage(with_kind(kind, LARGE)).begin()
    loses_the_link(stage)
    beat = stage.state("node1").beaten
    assert beat is not None
    assert len(bodies(beat)) > 1


class FormerListener(Listener):
    """Of the version before pages: each datagram is all that the peer says."""

    def read(self, body: bytes) -> Beat:
        return loads(Beat, body)


def test_nothing_moves_while_the_peer_is_of_the_version_that_knows_no_pages() -> None:
    stage = Stage(with_kind(WITNESS, LARGE)).begin()
    daemon = stage.world.machines["node2"].daemon
    assert daemon is not None
    daemon.listener = FormerListener()
    loses_the_link(stage)


# --- Senders that are broken on purpose --------------------------------------------------------


def without_a_limit(sender: str, network: str, incarnation: int, body: bytes) -> bytes:
    """Seal as ``Sealer.seal`` would if it did not look at the length."""
    sealer: Sealer = SEALERS[sender]
    header = sealer.seal(network, incarnation, SEQUENCE, b"")[:28]
    return header + sealer._tag(network, header, body) + body  # noqa: SLF001 - broken on purpose


def in_one_heartbeat(_speaker: Speaker, beat: Beat) -> tuple[bytes, ...]:
    return (dumps(beat),)


def only_the_first_page(_speaker: Speaker, beat: Beat) -> tuple[bytes, ...]:
    return bodies(beat)[:1]


def test_a_heartbeat_that_would_not_be_heard_is_not_sent() -> None:
    stage = Stage(with_kind(PATHS, LARGE)).begin()
    stage.world.beats.say = in_one_heartbeat
    with pytest.raises(TooLongError):
        loses_the_link(stage)


@pytest.mark.parametrize("say", [in_one_heartbeat, only_the_first_page])
def test_the_rules_break_when_what_is_said_is_not_heard(
    say: Callable[[Speaker, Beat], tuple[bytes, ...]],
) -> None:
    stage = Stage(with_kind(PATHS, LARGE)).begin()
    stage.world.beats.say, stage.world.beats.seal = say, without_a_limit
    with pytest.raises(BrokenRuleError, match=r"R1|R8"):
        loses_the_link(stage)
