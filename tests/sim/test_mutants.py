"""Break it on purpose: each mutant of the core breaks a rule, and the simulator says which."""

import pytest

from tests.sim.every_mutant import EVERY
from tests.sim.mutants import Mutant, broken_by
from tests.sim.run import CORE

each_mutant = pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)


@each_mutant
def test_the_simulator_catches_the_mutant(mutant: Mutant) -> None:
    failures = broken_by(mutant, mutant.core())
    assert failures, "no rule was broken"
    assert any(mutant.rule in what for what in failures), failures[0]


@each_mutant
def test_the_real_core_breaks_no_rule_where_the_mutant_does(mutant: Mutant) -> None:
    assert broken_by(mutant, CORE) == ()
