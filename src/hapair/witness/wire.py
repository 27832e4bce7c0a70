"""The language of the witness: one JSON object per line, a request at a time on a connection.

Requests::

    {"ask": "grant", "cluster": "shop", "epoch": 7, "node": "node1"}
    {"ask": "look", "cluster": "shop"}
    {"ask": "join", "cluster": "shop", "code": "ABCD-...", "certificates": ["-----BEGIN ..."]}

"shop/check" in a grant or a look means a second record of the same cluster, for trials: no node
acts by it.

Replies carry "answer": granted, denied and seen with the recorded "epoch" and "holder"; joined;
refused (nothing was done) and failed (it may have been recorded) with "why" and "mend".
"""

import json
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from hapair.rpc.messages import JsonObject, Malformed

LINE_BYTES_MAX: Final = 16 * 1024
EPOCH_MAX: Final = 2**63 - 1
CERTIFICATES_MAX: Final = 4
CERTIFICATE_BYTES_MAX: Final = 3500  # So that all of them fit into a line.
CODE_LENGTH_MAX: Final = 64
SCRATCH: Final = "/check"  # After a cluster's name: its record for trials.
CLUSTER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,31}", re.ASCII)
RECORD_NAME: Final = re.compile(rf"{CLUSTER_NAME.pattern}({SCRATCH})?", re.ASCII)
NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Grant:
    cluster: str
    epoch: int
    node: str


@dataclass(frozen=True, slots=True)
class Look:
    cluster: str


@dataclass(frozen=True, slots=True)
class Join:
    cluster: str
    code: str
    certificates: tuple[str, ...]


Request: TypeAlias = Grant | Look | Join


@dataclass(frozen=True, slots=True)
class Recorded:
    """Granted, denied or seen."""

    answer: str
    epoch: int
    holder: str


@dataclass(frozen=True, slots=True)
class Joined:
    cluster: str


@dataclass(frozen=True, slots=True)
class No:
    why: str
    mend: str
    answer: str = "refused"


Reply: TypeAlias = Recorded | Joined | No


def parse(line: bytes) -> Request:
    """Read one request; Malformed, with the reason, when it is none."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("a request is one line of JSON") from None
    if not isinstance(content, dict):
        raise Malformed("a request is a JSON object")
    pattern = CLUSTER_NAME if content.get("ask") == "join" else RECORD_NAME
    cluster = _matching(content.get("cluster"), pattern, "cluster")
    match content.get("ask"):
        case "grant":
            epoch = content.get("epoch")
            if type(epoch) is not int or not 0 < epoch <= EPOCH_MAX:
                raise Malformed("epoch must be a whole number from 1 on")
            return Grant(cluster, epoch, _matching(content.get("node"), NODE_NAME, "node"))
        case "look":
            return Look(cluster)
        case "join":
            return Join(cluster, _code(content.get("code")), _certificates(content))
        case _:
            raise Malformed("ask must be grant, look or join")


def encode(reply: Reply) -> bytes:
    content: JsonObject
    match reply:
        case Recorded(answer, epoch, holder):
            content = {"answer": answer, "epoch": epoch, "holder": holder}
        case Joined(cluster):
            content = {"answer": "joined", "cluster": cluster}
        case No(why, mend, answer):
            content = {"answer": answer, "why": why, "mend": mend}
    return json.dumps(content).encode() + b"\n"


def _matching(value: object, pattern: re.Pattern[str], name: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(f"{name} is no name of a {name}")
    return value


def _code(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= CODE_LENGTH_MAX or not value.isascii():
        raise Malformed("code must be the code that clwitness invite printed")
    return value


def _certificates(content: JsonObject) -> tuple[str, ...]:
    found = content.get("certificates")
    if not isinstance(found, list) or not 0 < len(found) <= CERTIFICATES_MAX:
        raise Malformed(f"certificates must be a list of 1 to {CERTIFICATES_MAX}")
    for text in found:
        if not isinstance(text, str) or len(text) > CERTIFICATE_BYTES_MAX or not text.isascii():
            raise Malformed(f"a certificate is PEM of at most {CERTIFICATE_BYTES_MAX} bytes")
    return tuple(found)
