"""What the process of alerts meets: a daemon, and receivers that take it or not."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hapair.adapters.files import FileStorage
from hapair.alerts.process import Process
from hapair.model.alerts import Alerts, Kind, Letter, Level, Message, Method, Receiver
from hapair.model.built import Built
from hapair.model.timeline import Happening
from hapair.rpc.history import happening_object
from hapair.rpc.messages import DaemonDown, JsonObject
from tests.cli import situations
from tests.config.reference import BUILT

ADMINS: Final = Receiver("admins", Method.MAIL, "root")
PAGER: Final = Receiver("pager", Method.HOOK, "/bin/pager", least=Level.ALARM)
CONFIGURED: Final = replace(BUILT, cluster=replace(BUILT.cluster, alerts=Alerts((ADMINS, PAGER))))


@dataclass
class Clock:
    now_s: float = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s

    def wall_s(self) -> float:
        return 1e9 + self.now_s


@dataclass
class Carried:
    answer: str | None
    refused: bool = False

    def outcome(self) -> str | None:
        return self.answer


@dataclass
class World:
    """A daemon that answers what the test says, and receivers that take it or not."""

    storage: FileStorage
    name: str = "node1"
    clock: Clock = field(default_factory=Clock)
    status: JsonObject = field(default_factory=situations.status)
    lines: list[Happening] = field(default_factory=list)
    orders: list[object] = field(default_factory=list)
    there: object = None
    down: bool = False
    step_s: float = 1.0  # Of a round.
    outcomes: dict[str, str | None] = field(default_factory=dict)
    refuses: Callable[[Letter], bool] = lambda _: False  # For good, as pager does.
    letters: list[tuple[str, Letter]] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)  # By pager.
    done: list[object] = field(default_factory=list)
    given_up: list[object] = field(default_factory=list)
    board: JsonObject = field(default_factory=dict)
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.process = Process(
            lambda: CONFIGURED,
            self._ask,
            self.storage,
            self.clock,
            self._begin,
            self.name,
            lambda _: None,
        )

    def _ask(self, verb: str, args: JsonObject, timeout_s: float) -> JsonObject:
        assert (verb, timeout_s > 0) == ("alerts-round", True)
        if self.down:
            self.clock.now_s += timeout_s
            raise DaemonDown("it does not answer", "start it")
        since, done, board = args["since"], args["done"], args["board"]
        assert isinstance(since, int)
        assert isinstance(done, list)
        assert isinstance(board, dict)
        self.done += done
        given_up = args["given_up"]
        assert isinstance(given_up, list)
        self.given_up += given_up
        self.board = board
        self.clock.now_s += self.step_s
        fresh = [each for each in self.lines if each.number > since >= 0]
        newest = max((each.number for each in self.lines), default=0)
        orders, self.orders = self.orders, []
        return {
            "node": self.name,
            "status": self.status,
            "events": [happening_object(each) for each in fresh],
            "newest": newest,
            "peer": self.there,
            "orders": orders,
        }

    def _begin(self, receiver: Receiver, letter: Letter) -> Carried:
        self.letters.append((receiver.name, letter))
        if receiver == PAGER and self.refuses(letter):
            return Carried("413 too large", refused=True)
        self.taken += letter.messages if receiver == PAGER else ()
        return Carried(self.outcomes.get(receiver.name, ""))

    def pass_rounds(self, count: int, built: Built = CONFIGURED) -> None:
        for _ in range(count):
            self.process.round(built)

    def happens(self, name: str, severity: str = "alarm", application: str = "") -> None:
        number = len(self.lines) + 1
        self.lines.append(
            Happening(
                number, self.clock.wall_s(), self.clock.now_s, "node1", name, f"{name} {number}",
                application, severity,
            )
        )  # fmt: skip

    def receivers(self) -> dict[object, JsonObject]:
        """Return how the receivers are, as the process says it."""
        listed = self.board["receivers"]
        assert isinstance(listed, list)
        return {each["receiver"]: each for each in listed}

    def told(self, receiver: str) -> list[Kind]:
        messages = (m for name, letter in self.letters if name == receiver for m in letter.messages)
        return [message.kind for message in messages]
