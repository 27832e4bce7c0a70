"""What a soak found out: one line for each round, the summary, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from hapair_lab.soak.words import Kind

WIDTH: Final = 46


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round that the cluster survived, or the one in which it did not."""

    number: int
    at_s: float  # Since the begin of the soak.
    plan: str
    kinds: tuple[str, ...]
    outages_s: Mapping[str, float]  # Of each application.
    redundant_after_s: float  # After the last mend.
    broken: str = ""  # What went wrong; empty: nothing.
    reset_again: tuple[str, ...] = ()  # Whom the lab did not reach: their outage is the lab's.

    @property
    def outage_s(self) -> float:
        """The longest time without an answer, of any application."""
        return max(self.outages_s.values(), default=0.0)

    def line(self) -> str:
        """Say it in one line."""
        minutes, seconds = divmod(int(self.at_s), 60)
        begin = f"{minutes:3d}:{seconds:02d}  round {self.number:<3d}"
        outages = " ".join(f"{name} {gap_s:.1f} s" for name, gap_s in self.outages_s.items())
        end = f"redundant after {self.redundant_after_s:.0f} s"
        if self.broken:
            end = f"FAILED: {self.broken.splitlines()[0]}"
        again = f" (the lab reset once more: {', '.join(self.reset_again)})"
        return f"{begin} outage {outages:<28} {end}  {self.plan}{again if self.reset_again else ''}"


@dataclass(slots=True)
class Figures:
    """All rounds so far, and what was promised to the clients."""

    seed: int
    arbitration: str
    rounds: list[RoundResult] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    two_writers: list[str] = field(default_factory=list)
    samples: int = 0
    compared: tuple[str, ...] = ()  # The applications whose two copies were compared at the end.
    differ: tuple[str, ...] = ()  # The volumes whose copies were not equal.
    took_s: float = 0.0
    ended_by: str = ""  # Why the lab itself could not go on; empty: it could.

    @property
    def ok(self) -> bool:
        """Tell whether nothing at all went wrong."""
        broken = any(each.broken for each in self.rounds)
        return not (broken or self.lost or self.two_writers or self.differ or self.ended_by)

    def survived(self) -> dict[str, int]:
        """Return how many faults of each kind were borne."""
        counted = Counter(k for each in self.rounds if not each.broken for k in each.kinds)
        return {kind.value: counted[kind.value] for kind in Kind if counted[kind.value]}

    def summary(self) -> str:
        """Return the last words, in lines."""
        survived = self.survived()
        longest = max(self.rounds, key=lambda each: each.outage_s, default=None)
        minutes, seconds = divmod(int(self.took_s), 60)
        how_long = f"{len(self.rounds)} rounds in {minutes} min {seconds:02d} s"
        lines = [
            f"soak: seed {self.seed}, arbitration by {self.arbitration}, {how_long}",
            *_table("faults survived", sum(survived.values())),
            *(line for kind, count in survived.items() for line in _table(f"  {kind}", count)),
        ]
        if longest is not None:
            lines += _table("longest outage", f"{longest.outage_s:.1f} s (round {longest.number})")
        for name, count in self.acknowledged.items():
            lines += _table(f"acknowledged writes, {name}", count)
        lines += _table("acknowledged writes lost", self.lost)
        lines += _table(
            "moments with two writable sides",
            f"{len(self.two_writers)} (of {self.samples} samples)",
        )
        lines += [f"  {text}" for text in self.two_writers]
        if self.compared:
            said = ", ".join(self.differ) or "none"
            lines += _table(f"copies that differ (of {len(self.compared)})", said)
        lines.append("nothing went wrong" if self.ok else "SOMETHING WENT WRONG")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return the figures for programs."""
        return {
            "seed": self.seed,
            "arbitration": self.arbitration,
            "ok": self.ok,
            "took_s": round(self.took_s, 1),
            "ended_by": self.ended_by,
            "survived": self.survived(),
            "acknowledged": self.acknowledged,
            "acknowledged_lost": self.lost,
            "two_writable_sides": list(self.two_writers),
            "samples": self.samples,
            "copies_compared": list(self.compared),
            "copies_that_differ": list(self.differ),
            "longest_outage_s": max((each.outage_s for each in self.rounds), default=0.0),
            "rounds": [asdict(each) for each in self.rounds],
        }


def _table(name: str, value: object) -> Sequence[str]:
    return (f"{name:<{WIDTH}} {value}",)
