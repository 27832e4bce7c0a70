"""Third places in memory, and who asks them for one node."""

from dataclasses import dataclass, field

from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.witness import Answer, WitnessAnswer

CODE = "7Q2M-9XKD"


@dataclass(slots=True)
class FakeThirdPlaces:
    """What all witnesses have recorded, by their place and the cluster's name."""

    records: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    joined: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    generous: bool = False  # Gives each epoch to everybody.
    answers_lost: int = 0  # Of the next joins; they were done all the same.
    asked: list[str] = field(default_factory=list)
    open: int = 0


@dataclass(slots=True)
class FakeAccess:
    places: FakeThirdPlaces
    cluster: str
    node: str

    def __post_init__(self) -> None:
        self.places.open += 1

    def close(self) -> None:
        self.places.open -= 1

    def _trouble(self, witness: Witness) -> str:
        places = self.places
        if witness.at in places.silent:
            return "no answer within 5 s"
        if witness.kind is WitnessKind.CLWITNESS and witness.at not in places.joined:
            return "it does not know this node's certificate"
        if witness.kind is WitnessKind.FILE and witness.at not in places.prepared:
            return f"there is no folder {witness.at}"
        return ""

    async def look(self, witness: Witness, *, timeout_s: float) -> WitnessAnswer:
        del timeout_s
        self.places.asked.append(f"look {witness.at}")
        if why := self._trouble(witness):
            return WitnessAnswer(Answer.UNREACHABLE, why=why)
        epoch, holder = self.places.records.get((witness.at, self.cluster), (0, ""))
        return WitnessAnswer(Answer.SEEN, epoch, holder)

    async def grant(self, witness: Witness, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        del timeout_s
        self.places.asked.append(f"grant {epoch} to {self.node} at {witness.at}")
        if why := self._trouble(witness):
            return WitnessAnswer(Answer.UNREACHABLE, why=why)
        key = (witness.at, self.cluster)
        newest, holder = self.places.records.get(key, (0, ""))
        same = epoch == newest and (holder == self.node or self.places.generous)
        if epoch > newest or same:
            self.places.records[key] = (epoch, self.node)
            return WitnessAnswer(Answer.GRANTED, epoch, self.node)
        return WitnessAnswer(Answer.DENIED, newest, holder)

    async def prepare(self, witness: Witness, *, timeout_s: float) -> Outcome:
        del timeout_s
        if witness.kind is WitnessKind.FILE and witness.at not in self.places.silent:
            self.places.prepared.add(witness.at)
        return Done()

    async def join(self, witness: Witness, code: str, *, timeout_s: float) -> Outcome:
        """Take the code that belongs to this place: its number is the last one of the place."""
        del timeout_s
        self.places.asked.append(f"join {witness.at}")
        if code != code_of(witness.at):
            return Refused("this code is not known, or it was used")
        self.places.joined.add(witness.at)
        if self.places.answers_lost:
            self.places.answers_lost -= 1
            return Unknown("no answer within 15 s")
        return Done()


def code_of(at: str) -> str:
    return f"{CODE}-{at}"
