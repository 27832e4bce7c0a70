"""Stand-ins for a disk, clocks and programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hapair.ports.programs import Finished, TimedOut


@dataclass
class FakeStorage:
    contents: dict[str, bytes] = field(default_factory=dict)

    def load(self, name: str) -> bytes | None:
        return self.contents.get(name)

    def store(self, name: str, content: bytes) -> None:
        self.contents[name] = content

    def forget(self, name: str) -> None:
        self.contents.pop(name, None)


@dataclass
class FakeClock:
    """Time passes when a test says so."""

    now_s: float = 1000.0
    suspended_s: float = 0.0
    wall_offset_s: float = 1.7e9

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_s(self) -> float:
        return self.now_s + self.suspended_s

    def wall_s(self) -> float:
        return self.now_s + self.wall_offset_s

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds


Answer = Finished | TimedOut


@dataclass
class FakeRunner:
    """Answers by the first words of the command line; notes what was run."""

    answers: dict[str, Answer | Callable[[Sequence[str]], Answer]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    async def __call__(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> Answer:
        del timeout_s, stdin
        line = " ".join(argv)
        self.ran.append(line)
        for words, answer in self.answers.items():
            if line.startswith(words):
                return answer(argv) if callable(answer) else answer
        return Finished(0, "", "")
