"""The terms by which a right is given: new ones count once the peer has them too."""

from dataclasses import replace

import pytest

from hapair.core.words.effects import Note
from hapair.core.words.events import Configured, SaidTerms
from hapair.core.words.stored import Stored, Terms
from hapair.model.cluster import ArbitrationKind
from tests.core.bench import Bench, built

NEWER = built(kind=ArbitrationKind.WITNESS, generation=2)


def changed(bench: Bench) -> Bench:
    bench.do(Configured(bench.now_s, NEWER))
    return bench


def test_the_first_ones_are_shared() -> None:
    assert Bench().state.stored.terms == Terms(("paths",), since=1, number=1)


def test_new_ones_are_shared_once_a_peer_that_has_them_is_together() -> None:
    bench = Bench()
    bench.running()
    changed(bench)
    terms = bench.state.stored.terms
    assert (terms.words[0], terms.since, terms.shared) == ("witness", 2, False)
    bench.wait(3.0)
    assert not bench.state.stored.terms.shared
    bench.peer_says(generation=2)
    assert bench.state.stored.terms == replace(terms, shared=True), "a former version says no more"


OTHERS, SAME = ("operator",), ("witness", "clwitness w0:7790")


@pytest.mark.parametrize(
    ("words", "answers", "shared"),
    [(SAME, 2, True), (OTHERS, 2, False), (SAME, 1, False), (SAME, 0, False)],
)
def test_a_number_of_a_configuration_proves_nothing_beside_a_word(
    words: tuple[str, ...], answers: int, *, shared: bool
) -> None:
    """A build that was taken back had the same number; an old word is about former terms."""
    bench = Bench()
    bench.running()
    changed(bench)
    ours = bench.state.stored.terms.words
    said = SaidTerms(ours if words is SAME else words, answers=answers)
    bench.peer_says(generation=2, terms=said)
    assert bench.state.stored.terms.shared is shared


def test_it_asks_as_long_as_it_does_not_know_and_answers_what_the_peer_asks() -> None:
    bench = Bench()
    bench.running()
    changed(bench)
    published = bench.state.published
    assert published is not None
    ours = bench.state.stored.terms.words
    assert published.terms == SaidTerms(ours, asks=2)
    bench.peer_says(generation=2, terms=SaidTerms(ours, asks=7, answers=2))
    published = bench.state.published
    assert published is not None
    assert published.terms == SaidTerms(ours, asks=0, answers=7)


def test_a_configuration_with_the_same_ones_changes_nothing() -> None:
    bench = Bench()
    bench.running()
    before = bench.state.stored.terms
    bench.do(Configured(bench.now_s, built(generation=2)))
    assert bench.state.stored.terms == before


def test_a_peer_that_is_only_heard_does_not_count() -> None:
    bench = Bench(stored=Stored(terms=Terms(("operator",), since=1)))
    assert not bench.state.stored.terms.shared
    bench.peer_says(generation=2)
    assert not bench.state.stored.terms.shared


@pytest.mark.parametrize("kind", ArbitrationKind)
def test_nothing_is_granted_by_new_ones(kind: ArbitrationKind) -> None:
    bench = Bench()
    bench.running()
    bench.do(Configured(bench.now_s, built(kind=kind, generation=2)))
    bench.disconnect()
    bench.wait(30.0, hearing=False)
    same = kind is ArbitrationKind.PATHS
    assert (bench.state.reasons["arbitration"] == "new-terms") is not same


def test_it_is_told_once() -> None:
    bench = changed(Bench())
    effects = bench.do(Configured(bench.now_s, NEWER))
    assert not [e for e in effects if isinstance(e, Note) and e.name == "new-terms"]
