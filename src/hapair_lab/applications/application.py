"""What an application is for the story that is played with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.snapshots import OS_BOOTED, Step

SAMPLES: Final = "/usr/share/hapair/samples"


@dataclass(frozen=True, slots=True)
class RealApplication:
    """An application with an example of its name in our package.

    ``prepare`` does on both nodes what the example's README.md says, once the volume is mounted on
    node1; ``numbers`` reads on the node that runs it all numbers that are stored, those that are
    there twice two times; ``check`` raises LabError when the data is damaged.
    """

    name: str
    mount_point: str
    address: str
    port: int
    speaks: str  # How ``payload/client.py`` writes to it.
    main: str  # The unit, the file with the number, or the name of its main process.
    prepare: Callable[[Lab], None]
    numbers: Callable[[Machine], list[int]]
    check: Callable[[Machine], None]
    # It ends at the first write that fails, and may fail to start before it is known why: it moves.
    ends_when_full: bool = False
    booted: Step = OS_BOOTED  # Guests that have its packages.
    hang_is_felt: str = "true"  # What makes a hang of its main process one of the service at once.
    # What a client of its own does while it is moved by the function.
    across: Callable[[Lab, Callable[[], object]], object] = lambda _, move: move()

    def main_process(self, node: Machine) -> int:
        """Return the number of its main process; 0 where it does not run."""
        if self.main.startswith("/"):
            command = f"pid=$(tr -d ' ' <{self.main}) && kill -0 $pid && echo $pid; true"
        elif self.main.endswith(".service"):
            command = f"systemctl show --value --property=MainPID {self.main}"
        else:
            command = f"pgrep -o -x {self.main}; true"
        return int(node.run(command).stdout.strip() or 0)
