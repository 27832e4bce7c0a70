"""Did the daemons stand still, or lose sight of each other, by their own doing?

Guests that get no time of a busy host stand still as a whole, and their daemons then say so,
rightly. A process that goes before all others in the guest tells the two apart.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from hapair_lab.recipe import PAYLOAD

PROGRAM: Final = "/usr/local/lib/hapair-lab/lateness.py"
LATENESS: Final = "/run/hapair-lab-lateness"
HISTORY: Final = "/var/lib/hapair/events.jsonl"
PAUSED: Final = "paused"
SILENT: Final = "detected"
PAUSE_S: Final = 0.5  # What a daemon calls standing still, with a detection time of one second.
DETECTION_S: Final = 1.0
WORTH_S: Final = 0.4  # So much of a silence has to be the host's.


@dataclass
class Quiet:
    """Watches the nodes of a lab from ``begin`` on; a node that booted begins anew."""

    lab: Lab
    _since: dict[str, int] = field(default_factory=dict)  # The number of the last line before.
    _late: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def begin(self, *nodes: Machine) -> None:
        for node in nodes:
            node.put(PROGRAM, (PAYLOAD / "lateness.py").read_bytes())
            node.check(
                f"setsid python3 -I -S {PROGRAM} {LATENESS} </dev/null >/run/lateness.log 2>&1 &"
            )
            self.lab.wait_until(
                f"the lateness of {node.name} is measured",
                lambda node=node: "begun" in node.run(f"cat {LATENESS}").stdout,  # type: ignore[misc]
                timeout_s=PATIENCE_S,
            )
            lines = history(node)
            self._since[node.name] = int(lines[-1]["number"]) if lines else 0

    def disturbed(self) -> list[str]:
        """Return the pauses and silences that were the nodes' own; the host's are only shown."""
        late = [moment for node in self.lab.nodes for moment in _moments(node)]
        own, excused = [], 0
        for node in self.lab.nodes:
            for line in history(node):
                number, at_s, text = int(line["number"]), float(line["wall_s"]), str(line["text"])
                if number <= self._since.get(node.name, 0):
                    continue
                if line["name"] == PAUSED:
                    theirs = _overlap(_moments(node), at_s - _paused_s(text) - PAUSE_S, at_s)
                    ours_s = _paused_s(text) - theirs
                elif line["name"] == SILENT:
                    theirs = _overlap(late, at_s - 2 * DETECTION_S, at_s)
                    ours_s = PAUSE_S if theirs < WORTH_S else 0.0
                else:
                    continue
                if ours_s >= PAUSE_S:
                    own.append(f"{node.name}: {text} (the host: {theirs:.1f} s)")
                else:
                    excused += 1
        if excused:
            say(f"the host let the guests stand still: {excused} pauses or silences are not ours")
        return own


def history(node: Machine) -> list[dict[str, Any]]:
    lines = []
    for text in node.get(HISTORY).decode(errors="replace").splitlines():
        try:
            lines.append(json.loads(text.strip("\0")))
        except ValueError:  # A power cut leaves half a line.
            continue
    return lines


def _moments(node: Machine) -> list[tuple[float, float]]:
    """Return when the guest stood still, each as (from, to) by the wall clock."""
    text = node.get(LATENESS).decode().replace("begun\n", "")
    found = (tuple(map(float, line.split())) for line in text.splitlines() if line.count(" ") == 1)
    return [(at_s - late_s, at_s) for at_s, late_s in found]


def _overlap(moments: list[tuple[float, float]], begin_s: float, end_s: float) -> float:
    return sum(max(0.0, min(end, end_s) - max(begin, begin_s)) for begin, end in moments)


def _paused_s(text: str) -> float:
    """Read "this node stood still for 1.2 s; ..."."""
    return float(text.partition(" stood still for ")[2].partition(" ")[0])
