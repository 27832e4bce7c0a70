"""Draws the faults of a round. Seed, number of the round and arbitration decide; nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from hapair.model.cluster import ArbitrationKind
from hapair_lab.soak.promise import refusal
from hapair_lab.soak.words import Fault, Kind, Role

MORE_FAULTS: Final = (0, 0, 1, 1, 2)  # After the first one of a round.
TRIES_MAX: Final = 40
LONGEST_FREEZE_S: Final = 20.0
# How long a fault stays, from and to.
STAYS_S: Final[dict[Kind, tuple[float, float]]] = {
    Kind.POWER_OFF: (2.0, 20.0),
    Kind.RESET: (0.0, 0.0),
    Kind.REBOOT: (0.0, 0.0),
    Kind.MOVE: (0.0, 0.0),
    Kind.KILL_DAEMON: (0.0, 0.0),
    Kind.FREEZE: (0.3, LONGEST_FREEZE_S),
    Kind.LOAD: (5.0, 20.0),
    Kind.CLOCK: (5.0, 15.0),
    Kind.HEARTBEATS: (5.0, 25.0),
    Kind.HANG_DAEMON: (5.0, 45.0),  # systemd replaces it after 30 s.
}
OTHERS_STAY_S: Final = (3.0, 20.0)
# The second fault comes at once, amid the answer to the first one, or after it.
PAUSES_S: Final = ((0.1, 2.0), (2.0, 6.0), (10.0, 20.0))


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What happens in one round."""

    number: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [str(self.faults[0])]
        for before, fault in zip(self.faults, self.faults[1:], strict=False):
            parts.append(f"after {fault.at_s - before.at_s:.1f} s {fault}")
        return ", ".join(parts)


def deck(seed: int, cycle: int, arbitration: ArbitrationKind) -> list[Kind]:
    """Return the first faults of the rounds of a cycle: each kind that can be borne, once."""
    kinds = [kind for kind in Kind if _can_be_first(kind, arbitration)]
    Random(f"deck {seed} {cycle} {arbitration}").shuffle(kinds)
    return kinds


def _can_be_first(kind: Kind, arbitration: ArbitrationKind) -> bool:
    shortest = Fault(kind, Role.ACTIVE, 0.0, _stays_s(kind)[0])
    return refusal(arbitration, shortest, ()) is None


def plan_round(seed: int, number: int, arbitration: ArbitrationKind) -> RoundPlan:
    """Return the faults of a round; the first round has number 1."""
    chance = Random(f"round {seed} {number} {arbitration}")
    kinds = deck(seed, 0, arbitration)
    cycle, place = divmod(number - 1, len(kinds))
    first = deck(seed, cycle, arbitration)[place]
    faults = [_drawn(chance, arbitration, (), kinds=(first,))]
    for _ in range(chance.choice(MORE_FAULTS)):
        faults.append(_drawn(chance, arbitration, faults, kinds=tuple(Kind)))
    return RoundPlan(number, tuple(fault for fault in faults if fault is not None))


def _drawn(
    chance: Random,
    arbitration: ArbitrationKind,
    earlier: Sequence[Fault | None],
    *,
    kinds: Sequence[Kind],
) -> Fault | None:
    """Draw until a fault is promised to be borne; None when none was found."""
    before = [fault for fault in earlier if fault is not None]
    begin_s = before[-1].at_s if before else 0.0
    for _ in range(TRIES_MAX):
        kind = chance.choice(kinds)
        pause_s = chance.uniform(*chance.choice(PAUSES_S)) if before else 0.0
        stays_s = chance.uniform(*_stays_s(kind))
        if chance.random() < 0.5:  # noqa: PLR2004 - Half of them are short.
            stays_s = min(stays_s, _stays_s(kind)[0] * 3)
        role = chance.choice((Role.ACTIVE, Role.ACTIVE, Role.STANDBY))
        fault = Fault(kind, role, round(begin_s + pause_s, 1), round(stays_s, 1))
        if refusal(arbitration, fault, before) is None:
            return fault
    return None


def _stays_s(kind: Kind) -> tuple[float, float]:
    return STAYS_S.get(kind, OTHERS_STAY_S)
