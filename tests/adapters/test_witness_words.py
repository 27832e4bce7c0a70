"""Witnesses that lie, stammer, or hang: nothing is taken for a grant that is none."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hapair.adapters.witness.client import WitnessClients
from hapair.adapters.witness.clwitness import WitnessFiles
from hapair.adapters.witness.file import FolderLog, ask, folder_of
from hapair.adapters.witness.words import NoAnswer, Record
from hapair.model.cluster import Witness, WitnessKind
from hapair.model.outcome import Done, Refused
from hapair.model.witness import Answer, WitnessAnswer
from tests.runtime.conftest import WAIT_S

NO_FILES = WitnessFiles(Path("/nonexistent/node.crt"), Path("/nonexistent/node.key"))
NODE = "node1"


def clients() -> WitnessClients:
    return WitnessClients("shop", NODE, NO_FILES)


@asynccontextmanager
async def gateway(*answers: bytes | None) -> AsyncIterator[str]:
    """Answer HTTP requests with these bytes in turn, then with nothing; None: never answer."""
    left = list(answers)
    held: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        given = left.pop(0) if left else b""
        if given is None:
            held.append(writer)
            return
        writer.write(given)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        for writer in held:
            writer.transport.abort()
        server.close()


def ok(content: object) -> bytes:
    return b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(content).encode()


def held_by(content: object, revision: object = "5") -> bytes:
    value = base64.b64encode(json.dumps(content).encode()).decode()
    return ok({"header": {}, "kvs": [{"mod_revision": revision, "value": value}]})


FREE = ok({"header": {"revision": "5"}})


async def granted(*urls: str, timeout_s: float = WAIT_S) -> WitnessAnswer:
    witness = Witness(WitnessKind.ETCD, ", ".join(urls))
    return await clients().grant(witness, 7, timeout_s=timeout_s)


LIES = [
    b"",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.0 503 Service Unavailable\r\n\r\nno leader",
    b"HTTP/1.0 abc\r\n\r\n{}",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n{",
    b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 60_000,
    b"HTTP/1.0 200 OK\r\n\r\n" + b" " * 200_000,
    ok([]),
    ok({}),
    ok({"header": {}, "kvs": "none"}),
    ok({"header": {}, "kvs": [{}, {}]}),
    ok({"header": {}, "kvs": [{"mod_revision": "5", "value": "%"}]}),
    held_by("text"),
    held_by({"epoch": "7", "holder": NODE}),
    held_by({"epoch": True, "holder": NODE}),
    held_by({"epoch": -7, "holder": NODE}),
    held_by({"epoch": 6}),
    held_by({"epoch": 6, "holder": ""}),
    held_by({"epoch": 6, "holder": "node2"}, revision=5),
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: ascii(lie[:60]))
async def test_whatever_an_etcd_says_that_makes_no_sense_is_no_answer(lie: bytes) -> None:
    async with gateway(lie) as url:
        answer = await granted(url)
    assert answer.answer is Answer.UNREACHABLE
    assert len(answer.why) > 30


@pytest.mark.parametrize("lie", [ok({}), ok({"header": {}, "succeeded": "true"}), ok([]), b""])
async def test_a_swap_that_is_not_confirmed_is_no_grant(lie: bytes) -> None:
    async with gateway(FREE, lie) as url:
        assert (await granted(url)).answer is Answer.UNREACHABLE


async def test_a_swap_that_others_won_is_looked_at_again() -> None:
    lost = ok({"header": {}, "succeeded": False})
    async with gateway(FREE, lost, held_by({"epoch": 7, "holder": "node2"})) as url:
        assert await granted(url) == WitnessAnswer(Answer.DENIED, 7, "node2")


async def test_a_member_that_hangs_leaves_time_for_the_next_one() -> None:
    won = ok({"header": {}, "succeeded": True})
    async with gateway(None) as silent, gateway(FREE, won) as good:
        assert (await granted(silent, good, timeout_s=8.0)).answer is Answer.GRANTED


async def test_when_the_swap_gets_no_answer_nobody_knows() -> None:
    async with gateway(FREE, None) as url:
        answer = await granted(url, timeout_s=0.3)
    assert answer.answer is Answer.UNREACHABLE
    assert "no answer within" in answer.why


@pytest.mark.parametrize(
    "at", ["", "10.0.0.7:2379", "ftp://a", "http://", "http://[::1", "http://a:x"]
)
async def test_what_is_no_url_is_named(at: str) -> None:
    answer = await clients().look(Witness(WitnessKind.ETCD, at), timeout_s=WAIT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert 'write at="http://' in answer.why


@pytest.mark.parametrize(
    ("witness", "told"),
    [
        (Witness(WitnessKind.CLWITNESS, "host", pin="0"), "is not host:port"),
        (Witness(WitnessKind.CLWITNESS, "host:0", pin="0"), "is not host:port"),
        (Witness(WitnessKind.CLWITNESS, "host:99999", pin="0"), "is not host:port"),
        (Witness(WitnessKind.CLWITNESS, "host:7790"), "has no pin"),
        (Witness(WitnessKind.CLWITNESS, "127.0.0.1:7790", pin="0"), "clbuild makes it"),
        (Witness(WitnessKind.ETCD, f"http://{'a' * 80}.net"), "too long"),
        (Witness(WitnessKind.ETCD, "https://127.0.0.1:1", pin="0"), "clbuild makes it"),
        (Witness(WitnessKind.ETCD, "https://127.0.0.1:1"), "clbuild makes it"),
    ],
)
async def test_what_cannot_be_asked_says_why(witness: Witness, told: str) -> None:
    answer = await clients().grant(witness, 1, timeout_s=WAIT_S)
    assert (answer.answer, told in answer.why) == (Answer.UNREACHABLE, True), answer


@pytest.fixture
def share(tmp_path: Path) -> Witness:
    folder_of(str(tmp_path), "shop").mkdir()
    return Witness(WitnessKind.FILE, str(tmp_path))


def newest(share: Witness, content: bytes) -> None:
    (folder_of(share.at, "shop") / f"{3:020}").write_bytes(content)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"[]", b'{"epoch": 5}', b'{"epoch": 5, "holder": ""}']
)
async def test_a_damaged_file_is_named_and_nothing_is_granted(
    share: Witness, content: bytes
) -> None:
    newest(share, content)
    answer = await clients().grant(share, 9, timeout_s=WAIT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert "damaged" in answer.why


async def test_other_files_in_the_folder_do_not_matter(share: Witness) -> None:
    folder = folder_of(share.at, "shop")
    for name in (".nfs000000001", "README", "5", f"{7:020}~"):
        (folder / name).write_text("something")
    assert (await clients().grant(share, 1, timeout_s=WAIT_S)).answer is Answer.GRANTED


async def test_a_mount_that_is_not_there_is_no_empty_witness(tmp_path: Path) -> None:
    """An unmounted mount point is an empty folder of the node's own disk."""
    answer = await clients().grant(Witness(WitnessKind.FILE, str(tmp_path)), 1, timeout_s=WAIT_S)
    assert answer.answer is Answer.UNREACHABLE
    assert "is it mounted?" in answer.why
    assert not folder_of(str(tmp_path), "shop").exists()


async def test_preparing_twice_does_no_harm_and_needs_the_mount(share: Witness) -> None:
    await clients().grant(share, 1, timeout_s=WAIT_S)
    assert isinstance(await clients().prepare(share, timeout_s=WAIT_S), Done)
    assert (await clients().look(share, timeout_s=WAIT_S)).epoch == 1
    gone = Witness(WitnessKind.FILE, f"{share.at}/gone")
    assert isinstance(await clients().prepare(gone, timeout_s=WAIT_S), Refused)


async def test_a_mount_that_hangs_is_unreachable_and_does_not_hang_the_asker(
    share: Witness,
) -> None:
    """Opening a named pipe that nobody writes to hangs as a dead mount does."""
    os.mkfifo(folder_of(share.at, "shop") / f"{1:020}")
    node = clients()
    for _ in range(2):
        answer = await node.grant(share, 1, timeout_s=0.2)
        assert (answer.answer, "within 0.2 s" in answer.why) == (Answer.UNREACHABLE, True)
    looks = await asyncio.gather(*(node.look(share, timeout_s=0.2) for _ in range(3)))
    assert {look.answer for look in looks} == {Answer.UNREACHABLE}


async def test_many_looks_at_once_do_not_get_into_each_others_way(share: Witness) -> None:
    node = clients()
    await node.grant(share, 3, timeout_s=WAIT_S)
    looks = await asyncio.gather(*(node.look(share, timeout_s=WAIT_S) for _ in range(5)))
    assert set(looks) == {WitnessAnswer(Answer.SEEN, 3, NODE)}


def test_a_link_whose_reply_was_lost_is_recognised_as_our_own(share: Witness) -> None:
    """NFS repeats a request that it took for lost; the repetition finds the file there."""
    folder = folder_of(share.at, "shop")
    log = FolderLog(folder)

    class Repeating(FolderLog):
        def link(self, draft: Path, number: int) -> None:
            super().link(draft, number)
            super().link(draft, number)

    assert ask(Repeating(folder), 1, NODE).answer is Answer.GRANTED
    assert log.read(1) == Record(1, NODE)
    assert not log.append(1, Record(1, NODE)), "the file of another one with the same words"


def test_a_log_that_grows_faster_than_it_is_read_is_left() -> None:
    class Endless:
        def last_hint(self) -> int:
            return 0

        def read(self, number: int) -> Record | None:
            return Record(number, NODE)

        def append(self, number: int, record: Record) -> bool:
            raise AssertionError(number, record)

    with pytest.raises(NoAnswer, match="records appeared"):
        ask(Endless(), 1, NODE)


def test_who_is_always_too_late_gives_up() -> None:
    class Crowded:
        def last_hint(self) -> int:
            return 0

        def read(self, number: int) -> Record | None:
            del number
            return None

        def append(self, number: int, record: Record) -> bool:
            del number, record
            return False

    with pytest.raises(NoAnswer, match="others were quicker"):
        ask(Crowded(), 1, NODE)
