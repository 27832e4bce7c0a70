"""A client of the emulator's control socket (QMP): one command, one answer."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hapair_lab.errors import LabError

CONNECT_TIMEOUT_S: Final = 20.0
ANSWER_TIMEOUT_S: Final = 60.0
RETRY_S: Final = 0.02

Message = dict[str, object]


class QmpClient:
    """A connection to one emulator. The emulator serves one client at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = self._connect()
        self._lines = self._socket.makefile("rb")
        self._read()  # The greeting.
        self.execute("qmp_capabilities")

    def _connect(self) -> socket.socket:
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            attempt = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            attempt.settimeout(ANSWER_TIMEOUT_S)
            try:
                attempt.connect(str(self._path))
            except OSError as error:
                attempt.close()
                if time.monotonic() > deadline_s:
                    raise LabError(f"no emulator answers at {self._path}: {error}") from error
                time.sleep(RETRY_S)
            else:
                return attempt

    def _read(self) -> Message:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise LabError(f"the emulator at {self._path} does not answer: {error}") from error
        if not line:
            raise LabError(f"the emulator at {self._path} ended")
        message = json.loads(line)
        if not isinstance(message, dict):
            raise LabError(f"the emulator at {self._path} sent what is no answer: {message!r}")
        return message

    def execute(self, command: str, **arguments: object) -> object:
        """Run a command and return its answer; LabError if the emulator refuses it."""
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): arguments[name] for name in arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LabError(f"the emulator at {self._path} ended: {error}") from error
        while True:
            message = self._read()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise LabError(f"{command} was refused by the emulator: {message['error']}")

    def field(self, command: str, name: str) -> str:
        """Run a command without arguments and return one field of its answer as text."""
        answer = self.execute(command)
        return str(answer.get(name, "")) if isinstance(answer, dict) else ""

    def close(self) -> None:
        """Close the connection; the emulator goes on."""
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
