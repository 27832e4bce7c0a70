"""The language of the control socket: one JSON object per line.

A request is ``{"verb": ..., "args": {...}}``. It is answered with any number of
``{"progress": {...}}`` lines and exactly one ``{"ok": true, "verb": ..., "result": {...}}`` or
``{"ok": false, "error": ..., "mend": ..., "problems": [...], "exit_code": ...}``. ``verb`` is the
one of the request; a daemon of another version may leave it out.
"""

import json
import math
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

JsonObject: TypeAlias = dict[str, object]

LINE_BYTES_MAX: Final = 16 * 1024 * 1024  # 200 applications with all their volumes fit well.
REQUEST_BYTES_MAX: Final = 64 * 1024
WHOLE_CHARACTERS_MAX: Final = 20  # 64 bits: a larger number is none that anybody counts.
# Half of a pair of surrogates: JSON can write it by itself, no name of anything can have it.
_HALF: Final = re.compile(r"[\ud800-\udfff]")


class ExitCode(IntEnum):
    """What a command's exit code says; the same for all commands."""

    DONE = 0
    REFUSED = 1  # Or failed; the text says why and the mend.
    USAGE = 2  # Wrong arguments or configuration.
    NOT_NOW = 3  # The daemon is down, the peer not reachable, the cluster not formed.
    UNFINISHED = 4  # Done in part, or timed out while waiting; it goes on.
    INTERRUPTED = 130


class RpcError(Exception):
    """A request was not carried out. Says why and how to mend it."""

    def __init__(
        self,
        error: str,
        mend: str = "",
        *,
        exit_code: ExitCode = ExitCode.REFUSED,
        problems: tuple[JsonObject, ...] = (),
    ) -> None:
        super().__init__(error)
        self.error = error
        self.mend = mend
        self.exit_code = exit_code
        self.problems = problems

    def __str__(self) -> str:
        return f"{self.error}. Mend: {self.mend}" if self.mend else self.error


class DaemonDown(RpcError):  # noqa: N818 - a fact, and the word that its readers use
    """Nobody answers at the control socket: it is not there, it ended, or it is silent."""

    def __init__(self, error: str, mend: str) -> None:
        super().__init__(error, mend, exit_code=ExitCode.NOT_NOW)


class Malformed(ValueError):  # noqa: N818 - a fact about bytes
    """These bytes are no message of this language."""


@dataclass(frozen=True, slots=True)
class Request:
    verb: str
    args: JsonObject


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long request is; ``status`` is set by ``watch`` only."""

    text: str = ""
    done: int | None = None
    of: int | None = None
    status: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Result:
    result: JsonObject
    verb: str = ""  # Of the request; empty when the answerer does not tell.


Answer: TypeAlias = Progress | Result | RpcError


def parse_object(content: bytes | str) -> JsonObject:
    """Read one JSON object; raise Malformed for everything else, whatever the bytes are."""
    try:
        text = content if isinstance(content, str) else content.decode()
        value = json.loads(text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object")
    return value


def _whole(text: str) -> int:
    if len(text) > WHOLE_CHARACTERS_MAX:
        raise ValueError(text)
    return int(text)


def _finite(text: str) -> float:
    """Read a number; the infinities and NaN, which Python knows, are no JSON."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def dump(value: JsonObject) -> bytes:
    """Write one line."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def dump_request(request: Request) -> bytes:
    return dump({"verb": request.verb, "args": request.args})


def parse_request(line: bytes) -> Request:
    value = parse_object(line)
    verb, args = value.get("verb"), value.get("args", {})
    if not isinstance(verb, str) or not isinstance(args, dict):
        raise Malformed('a request is {"verb": TEXT, "args": {...}}')
    if _HALF.search(json.dumps(value, ensure_ascii=False)):
        raise Malformed("half a character")
    return Request(verb, args)


def answer_object(answer: Answer) -> JsonObject:
    match answer:
        case Progress(status=None):
            return {"progress": {"text": answer.text, "done": answer.done, "of": answer.of}}
        case Progress():
            return {"progress": {"status": answer.status}}
        case Result():
            verb: JsonObject = {"verb": answer.verb} if answer.verb else {}
            return {"ok": True, **verb, "result": answer.result}
        case RpcError():
            return {
                "ok": False,
                "error": answer.error,
                "mend": answer.mend,
                "problems": list(answer.problems),
                "exit_code": int(answer.exit_code),
            }


def dump_answer(answer: Answer) -> bytes:
    return dump(answer_object(answer))


def parse_answer(line: bytes) -> Answer:
    return read_answer(parse_object(line))


def read_answer(value: JsonObject) -> Answer:
    """Translate an answer that came as JSON; raise Malformed when it is none."""
    progress = value.get("progress")
    if isinstance(progress, dict):
        return _progress(progress)
    ok, result, verb = value.get("ok"), value.get("result"), value.get("verb", "")
    if ok is True and isinstance(result, dict) and isinstance(verb, str):
        return Result(result, verb)
    error = value.get("error")
    if ok is False and isinstance(error, str):
        return _failure(error, value)
    raise Malformed("neither progress nor an answer")


def _progress(value: JsonObject) -> Progress:
    status = value.get("status")
    if isinstance(status, dict):
        return Progress(status=status)
    text, done, of = value.get("text"), value.get("done"), value.get("of")
    return Progress(
        text if isinstance(text, str) else "",
        done if isinstance(done, int) else None,
        of if isinstance(of, int) else None,
    )


def _failure(error: str, value: JsonObject) -> RpcError:
    mend, code, problems = value.get("mend"), value.get("exit_code"), value.get("problems")
    # A failure that calls itself done is a failure.
    known = {int(known): known for known in ExitCode if known is not ExitCode.DONE}
    return RpcError(
        error,
        mend if isinstance(mend, str) else "",
        exit_code=known.get(code, ExitCode.REFUSED) if isinstance(code, int) else ExitCode.REFUSED,
        problems=tuple(p for p in problems if isinstance(p, dict))
        if isinstance(problems, list)
        else (),
    )
