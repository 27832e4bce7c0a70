"""What systemd says of a unit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair.lems.answers import (
    Answer,
    Command,
    Finished,
    Said,
    failed,
    good,
    one_line,
    unknown,
    warning,
)
from hapair.model.environment import PLAIN
from hapair.model.monitor import Trouble, UnitProbe
from hapair.model.unit import UNIT_RUNS

PROPERTIES: Final = "ActiveState,SubState,MainPID,ControlGroup"


@dataclass(frozen=True, slots=True)
class UnitState:
    active: str
    sub: str
    main: int
    group: str

    @property
    def running(self) -> bool:
        return self.active in UNIT_RUNS

    def __str__(self) -> str:
        return f"{self.active} ({self.sub})"


def ask_unit(unit: str, then: Callable[[UnitState], Said]) -> Command:
    argv = ("systemctl", "show", f"--property={PROPERTIES}", "--", unit)
    return Command(argv, PLAIN, lambda finished: _judged(finished, then), asks="systemd")


def _judged(finished: Finished, then: Callable[[UnitState], Said]) -> Said:
    """What systemd does not tell is no failure of the application."""
    if finished.not_run or finished.code != 0:
        return unknown(f"systemd does not tell: {finished.not_run or one_line(finished.output)}")
    told = dict(each.split("=", 1) for each in finished.output.splitlines() if "=" in each)
    main = told.get("MainPID", "0")
    return then(
        UnitState(
            told.get("ActiveState", ""),
            told.get("SubState", ""),
            int(main) if main.isdigit() else 0,
            told.get("ControlGroup", ""),
        )
    )


@dataclass(frozen=True, slots=True)
class Unit:
    probe: UnitProbe
    trouble: Trouble = Trouble.PROGRAM

    def ask(self) -> Said:
        return ask_unit(self.probe.unit, self._judge)

    def asked(self) -> str:
        return f"systemd, about {self.probe.unit}"

    def close(self) -> None:
        """Keep nothing open."""

    def _judge(self, state: UnitState) -> Answer:
        text = f"{self.probe.unit} is {state}"
        if state.running:
            return good(text)
        # Between two states; one that systemd starts again after a failure has failed.
        between = state.active in {"activating", "deactivating"} and state.sub != "auto-restart"
        return warning(text) if between else failed(text, certain=True)
