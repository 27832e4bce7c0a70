"""What is being done to programs while somebody asks for a status, and what systemd waits for."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from hapair.core.words.effects import Do
from hapair.model.application import Unit
from hapair.ports.machine import Clock
from hapair.rpc.messages import JsonObject
from hapair.runtime.node.node import Node
from hapair.runtime.node.views import UnderWay

# A status waits no longer for words, and its peer neither: what comes later is told next time.
PATIENCE_S: Final = 0.5
# However often a status is asked for: each answer about a unit is a process, or two.
FRESH_S: Final = 3.0
DIGITS: Final = 1
WORDS: Final = {Do.START_PROGRAM: "start", Do.STOP_PROGRAM: "stop", Do.KILL_PROGRAM: "kill"}


@dataclass(frozen=True, slots=True)
class Said:
    of: UnderWay
    at_s: float
    text: str


@dataclass(slots=True)
class ProgramsUnderWay:
    """Asks about units one after the other, only while a status is wanted: never for nothing."""

    node: Callable[[], Node]
    ask: Callable[[str], Awaitable[str]]  # What a unit waits for; takes seconds at most.
    clock: Clock
    _said: dict[str, Said] = field(default_factory=dict)
    _asking: "asyncio.Task[None] | None" = None

    async def look(self) -> dict[str, JsonObject]:
        """Return the member ``under_way`` of each application whose program is worked on."""
        if any(self._due()):
            if self._asking is None or self._asking.done():
                self._asking = asyncio.get_running_loop().create_task(self._ask_all())
            await asyncio.wait({self._asking}, timeout=PATIENCE_S)
        now_s, under_way = self.clock.boot_s(), self.node().programs_under_way()
        return {
            name: {"under_way": self._object(name, each, now_s)} for name, each in under_way.items()
        }

    def _object(self, name: str, each: UnderWay, now_s: float) -> JsonObject:
        said = self._said.get(name)
        return {
            "do": WORDS[each.do],
            "since_s": round(now_s - each.began_s, DIGITS),
            "limit_s": each.limit_s,
            "waits": said.text if said is not None and said.of is each else "",
        }

    def _due(self) -> list[tuple[str, UnderWay, str]]:
        """Return the units that nobody has asked about lately: whose, why, and which."""
        node, now_s = self.node(), self.clock.boot_s()
        due: list[tuple[str, UnderWay, str]] = []
        for name, each in node.programs_under_way().items():
            built, said = node.built.by_name.get(name), self._said.get(name)
            fresh = said is not None and said.of is each and now_s - said.at_s < FRESH_S
            if built is not None and isinstance(built.application.program, Unit) and not fresh:
                due.append((name, each, built.application.program.name))
        return due

    async def _ask_all(self) -> None:
        due = self._due()
        current = self.node().programs_under_way()
        self._said = {name: said for name, said in self._said.items() if name in current}
        for name, each, unit in due:
            self._said[name] = Said(each, self.clock.boot_s(), await self.ask(unit))
