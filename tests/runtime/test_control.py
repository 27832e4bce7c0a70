"""Who may ask what at the control socket, and what happens when the asker goes away."""

import asyncio
import json
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.control.server import (
    CHANGES_MAX,
    HANDLERS_MAX,
    READS_MAX,
    STRANGERS_MAX,
    UNSENT_BYTES_MAX,
    Caller,
    ControlServer,
    caller_of,
)
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.verbs import Call, Rights, Verb
from tests.runtime.conftest import WAIT_S, eventually, names

ROOT = Caller(0, (0,))
MEMBER = Caller(1000, (1000, 555))
STRANGER = Caller(1001, (1001,))
GROUP = 555


@dataclass(slots=True)
class Office:
    """A control socket with a few verbs; ``caller`` is who the kernel says is calling."""

    place: Path
    caller: Caller = ROOT
    begun: list[JsonObject] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, call: Call) -> JsonObject:
        self.begun.append(call.args)
        return {"args": call.args}

    async def refuse(self, _: Call) -> JsonObject:
        raise RpcError("no", "do it otherwise", problems=({"what": "x"},))

    async def bug(self, _: Call) -> JsonObject:
        raise ZeroDivisionError

    async def work(self, call: Call) -> JsonObject:
        call.progress("half way", 1, 2)
        self.begun.append(call.args)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append("rolled back")
            raise
        self.ended.append("done")
        return {}

    async def chatter(self, call: Call) -> JsonObject:
        self.begun.append(call.args)
        for _ in range(2 * UNSENT_BYTES_MAX // 1_000_000 + 10):
            call.progress("x" * 1_000_000)
            await asyncio.sleep(0)
        self.ended.append("said it all")
        return {}

    async def ask(self, line: bytes) -> list[JsonObject]:
        """Send one line and return all answers until the connection is closed."""
        async with asyncio.timeout(WAIT_S):
            reader, writer = await asyncio.open_unix_connection(str(self.place), limit=1 << 24)
            writer.write(line)
            answers: list[JsonObject] = []
            # A server that was too busy to read the request resets the connection.
            with suppress(ConnectionResetError):
                async for answer in reader:
                    answers.append(json.loads(answer))  # noqa: PERF401 - what came, counts
            writer.close()
            return answers

    async def said(self, verb: str, **args: object) -> list[JsonObject]:
        return await self.ask(json.dumps({"verb": verb, "args": args}).encode() + b"\n")


@pytest.fixture
async def office(tmp_path: Path, journal: Journal) -> AsyncIterator[Office]:
    made = Office(tmp_path / "run" / "control.sock")
    verbs = {
        "status": Verb(made.answer, Rights.READ),
        "form": Verb(made.answer),
        "refuse": Verb(made.refuse),
        "bug": Verb(made.bug),
        "carried-through": Verb(made.work),
        "job": Verb(made.work, cancellable=True),
        "chatter": Verb(made.chatter),
        "fence-peer": Verb(made.work, cancellable=True, by_kernel=True),
        "watch": Verb(made.work, Rights.READ, cancellable=True),
    }
    server = ControlServer(made.place, verbs, journal, identify=lambda _: made.caller)
    server.readers = GROUP
    await server.open()
    yield made
    await server.close()
    assert not made.place.exists()


async def test_root_gets_an_answer(office: Office) -> None:
    told = {"ok": True, "verb": "form", "result": {"args": {"x": 1}}}
    assert await office.said("form", x=1) == [told]


@pytest.mark.parametrize(
    ("caller", "verb", "allowed"),
    [
        (ROOT, "status", True),
        (ROOT, "form", True),
        (MEMBER, "status", True),
        (MEMBER, "form", False),
        (STRANGER, "status", False),
        (STRANGER, "form", False),
        (STRANGER, "unknown", False),
    ],
)
async def test_rights(office: Office, caller: Caller, verb: str, *, allowed: bool) -> None:
    office.caller = caller
    (answer,) = await office.said(verb)
    assert answer["ok"] is allowed
    assert bool(office.begun) is allowed
    if not allowed:
        assert "only root" in str(answer["error"])
        assert answer["mend"]


async def test_a_refused_user_is_written_down(office: Office, journal: Journal) -> None:
    office.caller = MEMBER
    for _ in range(20):
        await office.said("form")
    assert names(journal) == ["refused"]  # Once: a user must not drive the history out.


def test_without_the_group_nobody_but_root_may_read() -> None:
    assert not MEMBER.may(Rights.READ, None)
    assert ROOT.may(Rights.READ, None)


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair()
    with one, other:
        caller = caller_of(one)
    assert caller.user == os.getuid()
    assert os.getgid() in caller.groups


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[]\n",
        b'{"verb": 1}\n',
        b'{"verb": "status", "args": []}\n',
        b"\xff\xfe\n",
        b'{"verb": "status", "args": {"application": "\\ud800"}}\n',
        b'{"verb": "status", "args": {"since": 1e999}}\n',
        b"[" * 60_000 + b"\n",
        b"x" * 200_000 + b"\n",
    ],
)
async def test_what_is_no_request_is_said_to_be_none(office: Office, line: bytes) -> None:
    (answer,) = await office.ask(line)
    assert answer["ok"] is False
    assert "this is no request" in str(answer["error"])
    assert office.begun == []


async def test_a_refusal_carries_its_mend_and_problems(office: Office) -> None:
    assert await office.said("refuse") == [
        {
            "ok": False,
            "error": "no",
            "mend": "do it otherwise",
            "problems": [{"what": "x"}],
            "exit_code": 1,
        }
    ]


async def test_a_bug_in_a_verb_answers_and_the_socket_lives_on(
    office: Office, journal: Journal
) -> None:
    (answer,) = await office.said("bug")
    assert "internal error" in str(answer["error"])
    assert names(journal) == ["bug"]
    assert await office.said("status")


async def test_progress_comes_before_the_answer(office: Office) -> None:
    office.gate.set()
    progress, answer = await office.said("job")
    assert progress == {"progress": {"text": "half way", "done": 1, "of": 2}}
    assert answer["ok"] is True


@pytest.mark.parametrize(("verb", "ending"), [("job", "rolled back"), ("carried-through", "done")])
async def test_a_caller_that_goes_away_cancels_jobs_and_nothing_else(
    office: Office, verb: str, ending: str
) -> None:
    _, writer = await asyncio.open_unix_connection(str(office.place))
    writer.write(json.dumps({"verb": verb}).encode() + b"\n")
    await eventually(lambda: bool(office.begun))
    writer.close()
    await writer.wait_closed()
    if verb == "carried-through":
        office.gate.set()
    await eventually(lambda: bool(office.ended))
    assert office.ended == [ending]


async def test_a_caller_that_says_nothing_and_leaves_is_forgotten(office: Office) -> None:
    _, writer = await asyncio.open_unix_connection(str(office.place))
    writer.close()
    await writer.wait_closed()
    assert await office.said("status")


async def test_a_caller_that_does_not_listen_is_cut_off(office: Office) -> None:
    _, writer = await asyncio.open_unix_connection(str(office.place))
    writer.write(b'{"verb": "chatter"}\n')
    await eventually(lambda: bool(office.ended))
    assert await office.said("status")
    writer.close()


async def test_strangers_cannot_keep_root_out(office: Office) -> None:
    office.caller = STRANGER
    waiting = [await asyncio.open_unix_connection(str(office.place)) for _ in range(STRANGERS_MAX)]
    (answer,) = await office.said("status")
    assert answer["error"] == "too many connections at once"
    office.caller = ROOT
    (answer,) = await office.said("status")
    assert answer["ok"] is True
    for _, writer in waiting:
        writer.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process have both ends of so many connections, as systemd lets the daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * HANDLERS_MAX), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("verb", "most", "still"),
    [
        ("fence-peer", HANDLERS_MAX, ("status", "form")),
        ("watch", READS_MAX, ("form", "fence-peer")),
        ("job", CHANGES_MAX, ("status", "fence-peer")),
    ],
)
@pytest.mark.usefixtures("many_descriptors")
async def test_requests_of_one_kind_leave_room_for_the_others(
    office: Office, verb: str, most: int, still: tuple[str, ...]
) -> None:
    """FAIL: nobody can type clconfirm while all frozen volumes wait for exactly that."""
    asked = [asyncio.ensure_future(office.said(verb)) for _ in range(most)]
    await eventually(lambda: len(office.begun) == most)
    (refused,) = await office.said(verb)
    assert refused["error"] == "too many connections at once"
    others = [asyncio.ensure_future(office.said(other)) for other in still]
    await eventually(lambda: len(office.begun) == most + len(still))
    office.gate.set()
    for answers in await asyncio.gather(*asked, *others):
        assert answers[-1]["ok"] is True
    assert (await office.said(verb))[-1]["ok"] is True


async def test_a_socket_that_a_killed_daemon_left_is_replaced(
    tmp_path: Path, journal: Journal
) -> None:
    place = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    office = Office(place)
    server = ControlServer(place, {"status": Verb(office.answer, Rights.READ)}, journal)
    await server.open()
    assert (await office.said("status"))[0]["ok"] is True
    await server.close()
