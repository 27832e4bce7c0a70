"""What a daemon says, as its heart sends it: in bodies of the real size, which take turns."""

from dataclasses import dataclass, field

from hapair.adapters.heartbeat.heart import Turns
from hapair.core.words.events import Beat
from hapair.runtime.node import beats


@dataclass(slots=True)
class Speaker:
    turns: Turns = field(default_factory=Turns)

    def say(self, beat: Beat) -> tuple[bytes, ...]:
        """Return what is sent with the next heartbeat."""
        return self.turns.of(beats.bodies(beat))
