"""Collect figures and show them as a table and as JSON."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median


@dataclass(slots=True)
class Figures:
    """All values of each measure, in the order in which they were measured."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def table(self) -> str:
        """Return name, minimum, median and maximum as a table for the documents."""
        lines = ["| measure | runs | min | median | max |", "|---|---|---|---|---|"]
        lines += [
            f"| {name} | {len(v)} | {min(v):.2f} | {median(v):.2f} | {max(v):.2f} |"
            for name, v in self.values.items()
        ]
        return "\n".join(lines)

    def tell(self, file: Path | None) -> None:
        """Print the table, and write all values into ``file`` if there is one."""
        print(self.table())
        if file:
            file.write_text(self.as_json())

    def as_json(self) -> str:
        summary = {
            name: {"min": min(v), "median": median(v), "max": max(v), "values": v}
            for name, v in self.values.items()
        }
        return json.dumps(summary, indent=1)
