"""What all kinds of witness share: who asks, what a record says, how a failure is told."""

import json
from dataclasses import dataclass
from typing import Final, TypeAlias

from hapair.model.witness import Answer, WitnessAnswer

JsonObject: TypeAlias = dict[str, object]

EPOCH_MAX: Final = 2**63 - 1  # What a database's whole number holds.


@dataclass(frozen=True, slots=True)
class Asker:
    cluster: str
    node: str


@dataclass(frozen=True, slots=True)
class Record:
    epoch: int = 0  # 0: nothing has been recorded.
    holder: str = ""


class NoAnswer(Exception):  # noqa: N818 - a fact about a conversation
    """There is no answer that could be used. Says what is wrong and, where known, the mend."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what}; {mend}" if mend else what)


def unreachable(why: object) -> WitnessAnswer:
    return WitnessAnswer(Answer.UNREACHABLE, why=str(why))


def seen(record: Record) -> WitnessAnswer:
    return WitnessAnswer(Answer.SEEN, record.epoch, record.holder)


def granted(epoch: int, node: str) -> WitnessAnswer:
    return WitnessAnswer(Answer.GRANTED, epoch, node)


def denied(record: Record) -> WitnessAnswer:
    return WitnessAnswer(Answer.DENIED, record.epoch, record.holder)


def may_hold(record: Record, epoch: int, node: str) -> bool:
    """Tell whether ``node`` may be recorded for ``epoch`` after ``record``."""
    return epoch > record.epoch or (epoch == record.epoch and node == record.holder)


def object_of(text: bytes, what: str) -> JsonObject:
    """Read one JSON object; NoAnswer when it is none. ``what`` names where it came from."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NoAnswer(f"{what} is not JSON: {text[:60]!r}") from None
    if not isinstance(found, dict):
        raise NoAnswer(f"{what} is no JSON object: {text[:60]!r}")
    return found


def record_of(content: JsonObject, what: str) -> Record:
    """Read "epoch" and "holder"; NoAnswer when they are not what a witness records."""
    epoch, holder = content.get("epoch"), content.get("holder")
    if type(epoch) is not int or not 0 <= epoch <= EPOCH_MAX:
        raise NoAnswer(f"{what} names no epoch: {str(epoch)[:60]!r}")
    if not isinstance(holder, str) or bool(holder) != (epoch > 0):
        raise NoAnswer(f"{what} names no holder of epoch {epoch}: {str(holder)[:60]!r}")
    return Record(epoch, holder)
