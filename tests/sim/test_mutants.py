"""Break it on purpose: each mutant of the core breaks a rule, and the simulator says which."""

from pathlib import Path
from typing import Final

import pytest

from tests.sim.every_mutant import EVERY
from tests.sim.mutants import Mutant, broken_by
from tests.sim.run import CORE

DOCUMENT: Final = Path(__file__).parents[2] / "docs/internals/simulator.md"

each_mutant = pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name)


@each_mutant
def test_the_simulator_catches_the_mutant(mutant: Mutant) -> None:
    failures = broken_by(mutant, mutant.core())
    assert failures, "no rule was broken"
    assert any(mutant.rule in what for what in failures), failures[0]


@each_mutant
def test_the_real_core_breaks_no_rule_where_the_mutant_does(mutant: Mutant) -> None:
    assert broken_by(mutant, CORE) == ()


def test_the_document_counts_the_mutants() -> None:
    text = DOCUMENT.read_text("utf-8")
    table = text.split("| what is broken | mutants | caught by |")[1].split("\n\n")[0]
    counts = [int(row.split("|")[2]) for row in table.strip().splitlines()[1:]]
    assert sum(counts) == len(EVERY)
    assert f"| mutants | {len(EVERY)}, all caught" in text
    assert len({mutant.name for mutant in EVERY}) == len(EVERY)
