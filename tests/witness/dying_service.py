"""A witness that dies by SIGKILL when its first grant is on the disk, before it replies.

    python -m tests.witness.dying_service FOLDER

Prints its port and its pin as JSON.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hapair.witness.book import Ask, Book, Sighting
from hapair.witness.service import running
from hapair.witness.wire import Recorded, Reply
from tests.witness.parties import settings


class DyingBook(Book):
    def settle(
        self, asks: Sequence[Ask], sightings: Mapping[str, Sighting], now_s: float
    ) -> list[Reply]:
        replies = super().settle(asks, sightings, now_s)
        if any(isinstance(reply, Recorded) and reply.answer == "granted" for reply in replies):
            os.kill(os.getpid(), signal.SIGKILL)
        return replies


async def main(folder: Path) -> None:
    async with running(settings(folder), DyingBook(folder)) as run:
        print(json.dumps({"port": run.port, "pin": run.pin}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
