"""Stories that ``cllab run`` plays: each is a function of a lab, restored from a snapshot."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from hapair_lab import scenarios
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.snapshots import Step


@dataclass(frozen=True, slots=True)
class Scenario:
    """One story. A module of ``hapair_lab.scenarios`` has it as ``SCENARIO``.

    ``starts_from`` returns the link of the snapshot chain that the story begins with; ``play``
    raises LabError (or fails an assertion) when the story ends badly.
    """

    name: str
    summary: str
    starts_from: Callable[[], Step]
    play: Callable[[Lab], None]


def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario that there is, by name."""
    found = []
    for module in pkgutil.iter_modules(scenarios.__path__):
        contents = vars(importlib.import_module(f"{scenarios.__name__}.{module.name}"))
        story = contents.get("SCENARIO")
        if not isinstance(story, Scenario):
            raise LabError(f"the module {module.name} of the scenarios has no SCENARIO")
        found.append(story)
    return tuple(sorted(found, key=lambda each: each.name))


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name; LabError lists what there is."""
    known = all_scenarios()
    for each in known:
        if each.name == name:
            return each
    raise LabError(
        f"there is no scenario {name!r}", hint=f"scenarios: {', '.join(s.name for s in known)}"
    )
