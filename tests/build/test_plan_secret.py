"""Which secret DRBD's connections are proved with after a build."""

from dataclasses import replace

import pytest

from hapair.core.plan.cluster import plan
from hapair.model.node_facts import Daemon
from tests.build.hurts import fact
from tests.build.material import EMPTY, WITH_ORDERS, Hurt, formed
from tests.build.test_plan import lines, said, settled, side_changed


def test_a_cluster_of_an_older_version_gets_its_first_secret() -> None:
    old = replace(WITH_ORDERS, secret_number=0)
    decided = plan(settled(built=old))
    assert decided.built == replace(old, generation=old.generation + 1, secret_number=1)
    assert lines(decided.changes)[0] == (
        "cluster: DRBD connections: not authenticated -> proved with secret number 1"
    )


def test_a_secret_is_rotated_when_that_is_asked_for() -> None:
    decided = plan(replace(settled(), rotate_secret=True))
    assert decided.built == replace(EMPTY, generation=EMPTY.generation + 1, secret_number=2)
    assert lines(decided.changes)[0].endswith("secret number 1 -> proved with secret number 2")
    refused = plan(replace(settled(hurt=formed), rotate_secret=True))
    assert refused.refused
    assert "run clbuild --rotate-secret --force" in refused.problems[0].mend


@pytest.mark.parametrize("used", [0, 1])
@pytest.mark.parametrize("hurt", [fact(version="0.0.1"), fact(daemon=Daemon(version="0.0.1"))])
def test_nodes_of_different_versions_agree_on_no_secret(used: int, hurt: Hurt) -> None:
    """DRBD connects no two of which one asks for a secret that the other does not know."""
    state = settled(built=replace(EMPTY, secret_number=used))
    older = hurt(state.sides[1].facts)
    mixed = side_changed(state, 1, facts=older)
    assert plan(mixed).built.secret_number == used
    assert not plan(mixed).refused
    rotating = plan(replace(mixed, rotate_secret=True))
    assert rotating.built.secret_number == used
    assert "agree on no secret" in said(rotating)
