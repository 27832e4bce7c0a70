"""Two daemons talk: states, requests, progress, withdrawal, and what a lost link means."""

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hapair.core.words.events import NotStated, PeerStated
from hapair.core.words.protocol import OURS
from hapair.rpc.messages import ExitCode, JsonObject, Progress, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.peer import REQUESTS_MAX, Peer
from hapair.runtime.verbs import Call
from tests.runtime.conftest import eventually, names
from tests.runtime.fakes import SetClock, Tunnel, peer_state
from tests.runtime.virtual_time import virtually


@dataclass(slots=True)
class Two:
    """Both ends of one connection; ``here`` asks, ``there`` works."""

    here: Peer
    there: Peer
    stated: list[PeerStated]
    unread: list[NotStated]
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    def connect(self) -> None:
        one, other = Tunnel(), Tunnel()
        one.other, other.other = other, one
        self.here.link, self.there.link = one, other
        one.open(self.here)
        other.open(self.there)
        self.here.opened("public")
        self.there.opened("public")

    async def work(self, call: Call) -> JsonObject:
        call.progress("half way", 1, 2)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        return {"args": call.args, "from_peer": call.from_peer}

    def last_told(self) -> tuple[str, ...]:
        return self.stated[-1].state.wrote_nothing

    def sent(self) -> list[bytes]:
        assert isinstance(self.here.link, Tunnel)
        return self.here.link.sent

    async def begun(self) -> None:
        await eventually(lambda: self.there.busy > 0)
        await turns()


@pytest.fixture
def two(journal: Journal) -> Two:
    stated: list[PeerStated] = []
    unread: list[NotStated] = []
    here = Peer("node2", SetClock(), journal, lambda _: None, unread.append)
    there = Peer("node1", SetClock(), journal, stated.append, unread.append)
    made = Two(here, there, stated, unread)
    there.on_request("work", made.work)
    there.on_request("job", made.work, cancellable=True)
    made.connect()
    return made


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_request_is_answered_with_progress_and_result(two: Two) -> None:
    two.gate.set()
    progress: list[Progress] = []
    result = await two.here.request("work", {"x": 1}, on_progress=progress.append)
    assert result == {"args": {"x": 1}, "from_peer": True}
    assert progress == [Progress("half way", 1, 2)]


async def test_a_refusal_comes_back_whole(two: Two) -> None:
    async def refuses(_: Call) -> JsonObject:
        raise RpcError("no", "mend", exit_code=ExitCode.NOT_NOW, problems=({"what": "x"},))

    two.there.on_request("refuses", refuses)
    with pytest.raises(RpcError) as caught:
        await two.here.request("refuses")
    assert (caught.value.error, caught.value.mend) == ("no", "mend")
    assert caught.value.exit_code is ExitCode.NOT_NOW
    assert caught.value.problems == ({"what": "x"},)


async def test_a_bug_there_is_a_refusal_here(two: Two) -> None:
    async def bug(_: Call) -> JsonObject:
        raise ZeroDivisionError

    two.there.on_request("bug", bug)
    with pytest.raises(RpcError, match="internal error"):
        await two.here.request("bug")


async def test_an_unknown_verb_is_refused(two: Two) -> None:
    with pytest.raises(RpcError, match="is not known"):
        await two.here.request("nonsense")


@virtually
async def test_no_answer_in_time_withdraws_the_request(two: Two) -> None:
    with pytest.raises(RpcError, match="did not answer within"):
        await two.here.request("job", timeout_s=0.01)
    await turns()
    assert two.ended == ["cancelled"]


async def test_who_stops_waiting_withdraws_the_request(two: Two) -> None:
    asking = asyncio.ensure_future(two.here.request("job"))
    await two.begun()
    asking.cancel()
    await turns()
    assert asking.cancelled()
    assert two.ended == ["cancelled"]


async def test_without_a_connection_the_answer_comes_at_once(two: Two) -> None:
    two.here.closed("cut")
    with pytest.raises(RpcError, match="cannot be reached") as caught:
        await two.here.request("work")
    assert caught.value.exit_code is ExitCode.NOT_NOW


async def test_a_connection_that_comes_back_soon_is_waited_for(two: Two) -> None:
    two.here.closed("cut")
    asking = asyncio.ensure_future(two.here.request("work", connect_s=60.0))
    await turns()
    assert not asking.done()
    two.here.opened("public")
    await asyncio.wait_for(two.begun(), 30)
    asking.cancel()


@pytest.mark.parametrize(("verb", "ended"), [("work", []), ("job", ["cancelled"])])
async def test_a_lost_connection_cancels_jobs_and_leaves_other_work_alone(
    two: Two, verb: str, ended: list[str]
) -> None:
    asking = asyncio.ensure_future(two.here.request(verb))
    await two.begun()
    two.here.closed("cut")
    two.there.closed("cut")
    await turns()
    with pytest.raises(RpcError, match="was lost before it answered") as caught:
        await asking
    assert caught.value.exit_code is ExitCode.UNFINISHED
    assert two.ended == ended


async def test_the_newest_state_is_said_again_whenever_a_connection_opens(two: Two) -> None:
    two.here.publish(peer_state(epoch=1))
    two.here.publish(peer_state(epoch=2))
    two.here.closed("cut")
    two.here.publish(peer_state(epoch=3))
    two.connect()
    assert [stated.state.epoch for stated in two.stated] == [1, 2, 3]


async def test_only_so_many_requests_are_worked_on_at_once(two: Two) -> None:
    asking = [asyncio.ensure_future(two.here.request("job")) for _ in range(REQUESTS_MAX)]
    await two.begun()
    with pytest.raises(RpcError, match="too many requests"):
        await two.here.request("job")
    for each in asking:
        each.cancel()
    await turns()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"kind": "request", "id": "x"}',
        b'{"kind": "request", "id": 1, "verb": 7, "args": {}}',
        b'{"kind": "answer", "id": 1, "answer": 5}',
        b'{"kind": "answer", "id": 1, "answer": {"ok": "perhaps"}}',
        b'{"kind": "song", "id": 1}',
    ],
)
async def test_a_message_that_is_not_understood_is_one_line_and_dropped(
    two: Two, journal: Journal, message: bytes
) -> None:
    before = len(names(journal))
    two.there.received(message)
    assert names(journal)[before:] == ["malformed"]
    assert two.stated == []


@pytest.mark.parametrize(
    ("version", "named"),
    [(', "version": "99.0"', "hapair 99.0: "), ("", "hapair of an unknown version: ")],
)
@pytest.mark.parametrize("state", ['{"epoch": "high"}', "7", '{"format": 2}'])
async def test_a_state_that_cannot_be_read_is_handed_on_as_such(
    two: Two, journal: Journal, state: str, version: str, named: str
) -> None:
    before = names(journal)
    two.there.received(f'{{"kind": "state", "state": {state}{version}}}'.encode())
    assert two.stated == []
    (unread,) = two.unread
    assert unread.why.startswith(named)
    assert names(journal) == before, "the core says it, and once"


async def test_how_a_peer_names_its_version_is_cut_short(two: Two) -> None:
    two.there.received(f'{{"kind": "state", "version": "{"9" * 9999}"}}'.encode())
    assert len(two.unread[0].why) < 200


WITHOUT_DISK = replace(peer_state(), wrote_nothing=("orders.data",))


async def test_what_a_peer_has_not_said_to_know_is_not_said_to_it(two: Two) -> None:
    two.here.publish(replace(WITHOUT_DISK, speaks=OURS))
    assert two.last_told() == ()
    assert b"orders.data" not in b"".join(two.sent())
    two.there.publish(peer_state())
    assert b"orders.data" not in b"".join(two.sent()), "it says that it knows nothing"
    two.there.publish(replace(peer_state(), speaks=OURS))
    assert two.last_told() == ("orders.data",)
    count = len(two.stated)
    two.there.publish(replace(peer_state(2), speaks=OURS))
    assert len(two.stated) == count, "nothing is said twice"


async def test_a_new_connection_may_be_to_another_version(two: Two) -> None:
    two.there.publish(replace(peer_state(), speaks=OURS))
    two.here.publish(WITHOUT_DISK)
    assert two.last_told() == ("orders.data",)
    two.here.closed("its package was changed")
    two.here.opened("public")
    assert two.last_told() == ()


async def test_answers_to_nobody_and_late_withdrawals_are_ignored(two: Two) -> None:
    two.there.received(b'{"kind": "answer", "id": 99, "answer": {"ok": true, "result": {}}}')
    two.there.received(b'{"kind": "cancel", "id": 99}')
    two.gate.set()
    assert await two.here.request("work")


class Deaf:
    """A journal that forgets; hypothesis makes too many lines for a file."""

    node = "node1"

    def add(self, name: str, text: str, **_: object) -> None:
        json.dumps([name, text])


@given(st.binary(max_size=200))
def test_random_messages_change_nothing(message: bytes) -> None:
    stated: list[PeerStated] = []
    peer = Peer("node2", SetClock(), Deaf(), stated.append, stated.append)  # type: ignore[arg-type]
    peer.received(message)
    assert stated == []
