"""What an OCF agent says of itself on a node. Facts only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    kind: str = ""  # "string", "integer", "boolean" or another word of the agent's.
    required: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    advised_s: float = 0.0  # The time limit that its author advises at least; 0: none.


@dataclass(frozen=True, slots=True)
class ProgramAgent:
    parameters: tuple[Parameter, ...] = ()
    actions: tuple[Action, ...] = ()
    code: int | None = None  # How validate-all ended; None: it was not asked, or not in time.
    said: str = ""  # In its own words.

    def action(self, name: str) -> Action | None:
        return next((each for each in self.actions if each.name == name), None)
