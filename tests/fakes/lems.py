"""Stand-ins for Lems and for the process that forks them."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from hapair.rpc.messages import JsonObject


@dataclass(slots=True)
class FakeGrip:
    """Holds nothing; remembers whom it was to end."""

    pid: int
    killed: bool = False
    closed: bool = False

    def kill(self) -> None:
        self.killed = True

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class FakeLems:
    """Talks to the daemon as Lems, or as their parent, would; ``told`` is what it was told."""

    told: list[JsonObject] = field(default_factory=list)
    ended: bool = False
    _writer: asyncio.StreamWriter | None = None
    _reading: asyncio.Future[None] | None = None

    @classmethod
    async def connect(cls, place: Path) -> Self:
        made = cls()
        reader, made._writer = await asyncio.open_unix_connection(str(place), limit=1 << 21)
        made._reading = asyncio.ensure_future(made._read(reader))
        return made

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            async for line in reader:
                self.told.append(json.loads(line))
        except ConnectionError:
            pass
        self.ended = True

    def says(self, **word: object) -> None:
        self.raw(json.dumps(word).encode() + b"\n")

    def raw(self, content: bytes) -> None:
        assert self._writer is not None
        self._writer.write(content)

    def hello(self, application: str = "orders", run: int = 0, version: str = "") -> None:
        self.says(hello="lems", application=application, pid=1, version=version, run=run)

    async def close(self) -> None:
        assert self._writer is not None
        assert self._reading is not None
        self._writer.close()
        await self._reading

    def words(self, name: str) -> list[object]:
        """Return what it was told of this word, in order."""
        return [word[name] for word in self.told if name in word]
