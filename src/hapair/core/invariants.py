"""What must hold after every step. A broken rule ends the deciding, never an application."""

from typing import Final

from hapair.core.applications import placement
from hapair.core.right import holding
from hapair.core.words.effects import Act, Do, Effect
from hapair.core.words.state import NodeState
from hapair.model.status import Standing

NEED_THE_RIGHT: Final = (
    Do.PROMOTE,
    Do.ADD_ADDRESSES,
    Do.RESTORE_ADDRESSES,
    Do.START_PROGRAM,
)


class BrokenInvariantError(Exception):
    """A bug: the daemon logs it and exits; systemd starts a new one, which adopts what runs."""


def check(condition: bool, sentence: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise BrokenInvariantError with the sentence when the condition does not hold."""
    if not condition:
        raise BrokenInvariantError(sentence)


def check_step(before: NodeState, after: NodeState, effects: tuple[Effect, ...]) -> None:
    """Check one step (rules R1 to R3 as far as one node can see them)."""
    check(after.stored.epoch >= before.stored.epoch, "an epoch never goes back")
    check(
        after.standing is not Standing.ALONE or after.stored.holds_right,
        "a node that acts alone has stored its right",
    )
    check(
        after.standing is not Standing.TOGETHER or not after.stored.holds_right,
        "a node that acts together has given up its right",
    )
    for effect in effects:
        if isinstance(effect, Act) and effect.do in NEED_THE_RIGHT:
            _check_start(after, effect)
            check(
                not effect.despite_peer or holding.may_take_addresses(after, effect.application),
                "no address is taken from a peer that may rightly have it",
            )


def _check_start(after: NodeState, act: Act) -> None:
    check(
        after.standing in (Standing.ALONE, Standing.TOGETHER),
        "nothing is started without the peer's agreement or the right to act alone",
    )
    record = after.record(act.application)
    check(record is not None and record.owner == after.me, "only the owner starts an application")
    if act.do is Do.PROMOTE:
        built = after.built.application(act.application).application
        seen = placement.view(after, built)
        check(seen.promotable, "only a current copy is promoted (R2)")
