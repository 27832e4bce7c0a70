"""So many volumes that their names do not fit one heartbeat; only the replication link fails.

Runbook 03: nothing moves, whoever decides. The heartbeats must go on and say all of it.
"""

import pytest

from hapair.core.words.events import Beat
from hapair.model.cluster import ArbitrationKind
from hapair.runtime.codec import loads
from hapair.runtime.node.beats import Listener, bodies
from tests.sim.large import LARGE, loses_the_link
from tests.sim.stage import WITNESS, Stage, with_kind


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
