"""etcd as witness: one key per cluster, changed by compare-and-swap through the JSON gateway.

A transaction names the revision that was read just before. So one that arrives late, after we have
given up waiting for it, changes nothing that anybody has recorded meanwhile.
"""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import SplitResult

from hapair.adapters.witness.clwitness import WitnessFiles
from hapair.adapters.witness.http import post, url_of
from hapair.adapters.witness.words import (
    Asker,
    JsonObject,
    NoAnswer,
    Record,
    denied,
    granted,
    may_hold,
    object_of,
    record_of,
    seen,
)
from hapair.model.cluster import Witness
from hapair.model.witness import WitnessAnswer

T = TypeVar("T")

SWAPS_MAX: Final = 8  # Each lost swap means that another one was recorded.
URLS_MAX: Final = 9


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def key_of(cluster: str) -> str:
    return f"hapair/{cluster}"


class EtcdClient:
    def __init__(self, witness: Witness, files: WitnessFiles) -> None:
        self._written = [word for word in re.split(r"[,\s]+", witness.at) if word][:URLS_MAX]
        self._pin = witness.pin
        self._files = files

    async def grant(self, asker: Asker, epoch: int, *, timeout_s: float) -> WitnessAnswer:
        async def swap(url: SplitResult) -> WitnessAnswer:
            for _ in range(SWAPS_MAX):
                revision, record = await self._read(url, asker.cluster)
                if not may_hold(record, epoch, asker.node):
                    return denied(record)
                if record == Record(epoch, asker.node):
                    return granted(epoch, asker.node)
                if await self._swap(url, asker, epoch, revision):
                    return granted(epoch, asker.node)
            raise NoAnswer(f"{SWAPS_MAX} others were quicker, one after the other")

        return await self._in_turn(swap, timeout_s)

    async def look(self, asker: Asker, *, timeout_s: float) -> WitnessAnswer:
        async def read(url: SplitResult) -> WitnessAnswer:
            _, record = await self._read(url, asker.cluster)
            return seen(record)

        return await self._in_turn(read, timeout_s)

    def close(self) -> None:
        """Nothing is kept open."""

    async def _in_turn(self, work: Callable[[SplitResult], Awaitable[T]], timeout_s: float) -> T:
        """Try the members one after the other; each gets its share of the time that is left.

        What a silent one may have recorded is found by the next one's linearizable read, which
        is why going on after a failure is safe.
        """
        urls = [url_of(written) for written in self._written]
        if not urls:
            raise NoAnswer("it has no URL", 'write at="http://10.0.0.7:2379"')
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_s
        failures = []
        for number, url in enumerate(urls):
            share_s = (until_s - loop.time()) / (len(urls) - number)
            try:
                async with asyncio.timeout(share_s):
                    return await work(url)
            except TimeoutError:
                failures.append(f"{url.hostname}:{url.port} gave no answer within {share_s:.2g} s")
            except (NoAnswer, OSError, UnicodeError) as error:
                failures.append(str(error) or type(error).__name__)
        raise NoAnswer(", and ".join(failures))

    async def _post(self, url: SplitResult, path: str, content: JsonObject) -> JsonObject:
        return await post(url, path, content, pin=self._pin, files=self._files)

    async def _read(self, url: SplitResult, cluster: str) -> tuple[str, Record]:
        """Return the record and the revision of its last change; both zero when there is none."""
        answer = await self._post(url, "/v3/kv/range", {"key": _encoded(key_of(cluster))})
        if not isinstance(answer.get("header"), dict):
            raise NoAnswer(f"{url.hostname} gives no answer of etcd: {str(answer)[:100]}")
        match answer.get("kvs"):
            case None | []:
                return "0", Record()
            case [{"mod_revision": str(revision), "value": str(value)}]:
                what = f"the key {key_of(cluster)}"
                try:
                    content = base64.b64decode(value, validate=True)
                except ValueError:
                    raise NoAnswer(f"{what} is not in base64") from None
                return revision, record_of(object_of(content, what), what)
            case other:
                raise NoAnswer(f"{url.hostname} gives no answer of etcd: {str(other)[:100]}")

    async def _swap(self, url: SplitResult, asker: Asker, epoch: int, revision: str) -> bool:
        """Record the asker unless the key was changed since; tell whether it was recorded."""
        key = _encoded(key_of(asker.cluster))
        value = _encoded(json.dumps({"epoch": epoch, "holder": asker.node}))
        compare = {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}
        answer = await self._post(
            url,
            "/v3/kv/txn",
            {
                "compare": [compare],
                "success": [{"request_put": {"key": key, "value": value}}],
                "failure": [],
            },
        )
        if not isinstance(answer.get("header"), dict):
            raise NoAnswer(f"{url.hostname} gives no answer of etcd: {str(answer)[:100]}")
        return answer.get("succeeded") is True  # The gateway leaves false values out.
