"""The status of the witness, as text for people and as JSON, and the port that shows it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Final, TypeAlias

from hapair.rpc.messages import JsonObject
from hapair.witness.book import Row

Source: TypeAlias = Callable[[], Awaitable[tuple[list[Row], JsonObject]]]

JSON_FORMAT: Final = 1
REQUEST_BYTES_MAX: Final = 4096
READERS_MAX: Final = 4
PATIENCE_S: Final = 5.0
AGES: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
HEADINGS: Final = ("cluster", "epoch", "holder", "granted", "last asked", "from", "nodes known")


def ago(then_s: float | None, now_s: float) -> str:
    if then_s is None:
        return "never"
    for unit_s, name in AGES:
        if now_s - then_s >= unit_s:
            return f"{int((now_s - then_s) // unit_s)} {name} ago"
    return "just now"


def text(rows: Sequence[Row], facts: JsonObject, now_s: float) -> str:
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()]
    table = [HEADINGS] + [
        (
            row.cluster,
            str(row.epoch) if row.epoch else "-",
            row.holder or "-",
            ago(row.granted_s, now_s),
            ago(row.asked_s, now_s),
            row.asked_from or "-",
            str(row.certificates),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    lines.append("")
    lines += [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    if not rows:
        lines.append("no cluster has joined; clwitness invite CLUSTER admits one")
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Row], facts: JsonObject) -> str:
    content = {"format": JSON_FORMAT, **facts, "clusters": [asdict(row) for row in rows]}
    return json.dumps(content, indent=2) + "\n"


class StatusPage:
    """Answers ``GET /status`` and ``GET /status.json``; a few readers at a time are enough."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._turns = asyncio.Semaphore(READERS_MAX)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S), self._turns:
                head = await reader.readuntil(b"\r\n")
                status, kind, body = await self._found(head.split(b" "))
                lines = (
                    f"HTTP/1.0 {status}",
                    f"Content-Type: {kind}; charset=utf-8",
                    f"Content-Length: {len(body)}",
                    "Connection: close",
                )
                writer.write("\r\n".join((*lines, "", "")).encode() + body)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    async def _found(self, words: list[bytes]) -> tuple[str, str, bytes]:
        match words:
            case [b"GET", b"/status", *_]:
                rows, facts = await self._source()
                return "200 OK", "text/plain", text(rows, facts, time.time()).encode()
            case [b"GET", b"/status.json", *_]:
                rows, facts = await self._source()
                return "200 OK", "application/json", as_json(rows, facts).encode()
            case _:
                return "404 Not Found", "text/plain", b"here are /status and /status.json\n"
