"""Cores, and what lies around them, broken on purpose. The simulator must catch each of them.

A mutant stands between the world and the real core: it changes what the core is told, what it
remembers or what it asks for. Or it changes a limit, a time or a function where it is defined.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.checkers.rules import BrokenRuleError
from tests.sim import messages
from tests.sim.distortions import Broken
from tests.sim.faults import Fault
from tests.sim.machine import Core
from tests.sim.run import BROKEN, Plan, play
from tests.sim.schedule import Timed
from tests.sim.settings import Shape
from tests.sim.stage import Stage


def plan(shape: Shape, *timed: tuple[float, Fault]) -> Plan:
    return Plan("mutant", shape, tuple(Timed(at_s, fault) for at_s, fault in timed))


Value = tuple[object, str, object]  # Module or class, name, and what it is changed to.


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    rule: str  # Which check catches it.
    broken: Broken = field(default_factory=Broken)
    plans: tuple[Plan, ...] = field(default=(), repr=False)
    # For mutants that endanger no data, only progress: a story in which somebody waits in vain.
    story: Callable[[Core], None] | None = None
    values: tuple[Value, ...] = field(default=(), repr=False)

    def core(self) -> Core:
        return self.broken


def broken_by(mutant: Mutant, core: Core) -> tuple[str, ...]:
    """Return what goes wrong with this core in everything that brings the mutant to light."""
    with changed(mutant.values if core is mutant.broken else ()):
        return _broken_by(mutant, core)


@contextmanager
def changed(values: tuple[Value, ...]) -> Iterator[None]:
    """Change the values for a while; nothing is remembered of what was said before, or then."""
    before = [(where, name, getattr(where, name)) for where, name, _ in values]
    for where, name, value in values:
        setattr(where, name, value)
    forget()
    try:
        yield
    finally:
        for where, name, value in before:
            setattr(where, name, value)
        forget()


def forget() -> None:
    messages.as_received.cache_clear()
    messages.as_kept.cache_clear()
    messages.as_installed.cache_clear()
    messages.opened.cache_clear()


def _broken_by(mutant: Mutant, core: Core) -> tuple[str, ...]:
    failures = [failure.what for plan in mutant.plans if (failure := play(plan, core))]
    if mutant.story is not None:
        try:
            mutant.story(core)
        except BROKEN as error:
            failures.append(str(error))
    return tuple(failures)


def in_time(stage: Stage, within_s: float, what: str, reached: Callable[[], bool]) -> None:
    try:
        stage.waits_for(reached, within_s)
    except AssertionError as error:
        raise BrokenRuleError(f"R8: {what}: {error}") from error
