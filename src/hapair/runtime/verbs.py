"""What a handler of a request gets and gives, wherever the request came from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError


def _nobody(_: Progress) -> None:
    """Drop the progress of a request that nobody watches."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. A handler is cancelled when the caller goes away: it must roll back then."""

    args: JsonObject = field(default_factory=dict)
    on_progress: Callable[[Progress], None] = _nobody
    from_peer: bool = False

    def progress(self, text: str, done: int | None = None, of: int | None = None) -> None:
        self.on_progress(Progress(text, done, of))

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text argument; RpcError when it is missing or no text."""
        value = self.args.get(name, default)
        if isinstance(value, str):
            return value
        raise _wrong(name, "a text")

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.args.get(name, default)
        if isinstance(value, bool):
            return value
        raise _wrong(name, "true or false")

    def number(self, name: str, default: float | None = None) -> float:
        value = self.args.get(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise _wrong(name, "a number")


def _wrong(name: str, expected: str) -> RpcError:
    return RpcError(
        f'argument "{name}" must be {expected}',
        "daemon and commands may be of different versions: systemctl restart hapaird",
        exit_code=ExitCode.USAGE,
    )


# Returns the result; raises RpcError to refuse.
Handler: TypeAlias = Callable[[Call], Awaitable[JsonObject]]


class Rights(StrEnum):
    READ = "read"  # Members of group hapair may.
    CHANGE = "change"  # Only root may.


@dataclass(frozen=True, slots=True)
class Verb:
    handler: Handler
    rights: Rights = Rights.CHANGE
    cancellable: bool = False  # A caller that goes away cancels it; else it is carried through.
    by_kernel: bool = False  # DRBD's handlers ask for it, one for each volume.


Verbs: TypeAlias = dict[str, Verb]
