"""Carries one ssh connection into a guest whose network the host is not on: a proxy for ``ssh``.

It speaks to the agent on the guest's line for ssh, in requests of the same kind as all others.
"""

from __future__ import annotations

import base64
import os
import sys
import threading
from pathlib import Path
from typing import Final

from hapair_lab.channel import Channel
from hapair_lab.errors import LabError

SSH_PORT: Final = 22
READ_BYTES: Final = 16 * 1024
SEND_TIMEOUT_S: Final = 60.0
A_WEEK_S: Final = 7 * 86400.0  # A person may look at a screen for long.


def carry(guest: str, line: Path, window_bytes: int) -> None:
    """Connect standard input and output with the guest's ssh server until that ends.

    Raises:
        LabError: The guest does not answer: it boots, is frozen, or another session has the line.
    """
    channel = Channel(guest, line, window_bytes=window_bytes)
    if not channel.answers_hello():
        raise LabError(
            f"{guest} does not answer on its line for ssh",
            hint="it may be booting or frozen, or another cllab ssh to it is open",
        )
    stream = channel.answer({"do": "connect", "port": SSH_PORT}, SEND_TIMEOUT_S)["stream"]
    threading.Thread(target=_carry_in, args=(channel, stream), daemon=True).start()
    while True:
        answer = channel.answer({"do": "receive", "stream": stream}, A_WEEK_S)
        data = base64.b64decode(str(answer["data"]))
        if not data:
            return
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _carry_in(channel: Channel, stream: object) -> None:
    while True:
        data = os.read(sys.stdin.fileno(), READ_BYTES)
        encoded = base64.b64encode(data).decode()
        channel.answer({"do": "send", "stream": stream, "data": encoded}, SEND_TIMEOUT_S)
        if not data:
            return
