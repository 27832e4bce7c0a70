"""Break it on purpose: each mutant of the core breaks a rule, and the simulator says which."""

import pytest

from tests.sim.mutants import MUTANTS, Mutant
from tests.sim.run import play


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_simulator_catches_the_mutant(mutant: Mutant) -> None:
    failures = [failure for plan in mutant.plans if (failure := play(plan, mutant.core()))]
    assert failures, "no rule was broken"
    assert any(mutant.rule in failure.what for failure in failures), failures[0].what


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_real_core_breaks_no_rule_where_the_mutant_does(mutant: Mutant) -> None:
    for plan in mutant.plans:
        assert play(plan) is None
