"""What a node knows of its peer: by itself, by the witnesses, by what can switch it off."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hapair.core.words.events import Beat, PeerState
from hapair.model.witness import Answer


@dataclass(frozen=True, slots=True)
class PeerView:
    """What this node heard of its peer."""

    heard_at_s: Mapping[str, float] = field(default_factory=dict)  # Per network, echoed beats only.
    alive_at_s: float | None = None  # Any beat, also one that does not echo this node.
    alive_from_s: float = 0.0  # When any beat came after a silence of the detection time.
    not_understood_at_s: float | None = None  # Any beat whose content cannot be read.
    beat: Beat | None = None
    unable: Beat | None = None  # The last beat that said that it cannot store, believed or not.
    unable_at_s: float = 0.0
    seen_losses: int = 0  # Its losses up to the last beat whose list of resources came as a whole.
    state: PeerState | None = None  # Of the current incarnation only.
    unread: str = ""  # Why its newest state cannot be read; empty: it can, or there is none.
    incarnation: int = 0
    probed_at_s: float | None = None  # When the references were last asked in this silence.
    answered_at_s: float | None = None
    answering: tuple[str, ...] = ()  # Networks whose reference address answered then.
    unanswered: int = 0  # How many times in a row, in this silence, not all of them answered.


@dataclass(frozen=True, slots=True)
class WitnessView:
    """What the witnesses answered. Answers to a grant count for one silence only."""

    epoch: int = 0  # For which it was last asked; 0: not in this silence.
    answers: Mapping[int, Answer] = field(default_factory=dict)  # By index, for that epoch.
    waiting: tuple[int, ...] = ()  # Which have not answered yet.
    asked_at_s: float = 0.0  # When a question, or a look, was last sent.
    newest: int = 0  # The highest epoch that any of them told.
    holder: str = ""  # Who holds that epoch.
    seen: Mapping[int, bool] = field(default_factory=dict)  # Did it answer when last spoken to?
    missed: int = 0  # Looks in a row at which most of them did not answer.


@dataclass(frozen=True, slots=True)
class FencingView:
    """How it goes with switching the peer off, in this silence."""

    busy: bool = False
    void: bool = False  # The peer was heard since: what this agent will say counts for nothing.
    proven: bool = False
    tries: int = 0
    retry_at_s: float = 0.0
    text: str = ""  # What the last try said.
