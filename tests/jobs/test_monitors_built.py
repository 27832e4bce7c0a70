"""clbuildapp and what lemsctl changed: nothing of it is lost, whichever way a build ends."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hapair.model.monitor import MONITORS_MAX, Monitor, TcpProbe
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.jobs.monitors import MonitorsBuilt
from hapair.runtime.lems.changes import Added, Changes, Halted
from hapair.runtime.lems.entries import dump_entries, written_as
from hapair.runtime.lems.kept import FILE, Kept, read_kept
from hapair.runtime.node.peer import Peer
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call
from tests.runtime.fakes import SetClock

TEXT = b"""<application name="orders" preferred="node1">
  <monitors>
    <http url="http://127.0.0.1/"/>
  </monitors>
</application>
"""
PORT = Added(
    Monitor("port", TcpProbe("127.0.0.1", 5432)),
    "tcp",
    (("name", "port"), ("address", "127.0.0.1"), ("port", "5432")),
)
NEW = b"""<application name="orders" preferred="node1">
  <monitors>
    <tcp name="port" address="127.0.0.1" port="5432"/>
  </monitors>
</application>
"""
CHANGES = Changes("orders", 3, added=(PORT,), removed=("http",))


@dataclass(slots=True)
class House:
    places: Places
    kept: Kept
    stored: dict[str, bytes]
    error: BaseException | None = None
    asked: list[tuple[bool, bytes | None]] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)  # What the file said during a build.

    async def build(self, call: Call, text: bytes | None = None) -> JsonObject:
        self.asked.append((call.flag("plan"), text))
        self.seen.append(self.places.appconf("orders").read_bytes())
        if self.error is not None:
            raise self.error
        return {"application": "orders", "summary": [], "steps": [], "warnings": ["w"]}

    async def say(self, monitors: str = "", *, plan: bool = False) -> JsonObject:
        built = MonitorsBuilt(self.build, self.kept, self.places)
        args: JsonObject = {"application": "orders", "plan": plan, "monitors": monitors}
        return await built.buildapp(Call(args))

    @property
    def written(self) -> bytes:
        return self.places.appconf("orders").read_bytes()


@pytest.fixture
def house(tmp_path: Path) -> House:
    places = Places(tmp_path)
    file = places.appconf("orders")
    file.parent.mkdir(parents=True)
    file.write_bytes(TEXT)
    file.chmod(0o640)
    clock, stored = SetClock(), dict[str, bytes]()
    journal = Journal("node1", tmp_path / "events.jsonl", clock, show=lambda _: None)

    async def keep(name: str, content: bytes) -> None:
        stored[name] = content

    peer = Peer("node2", clock, journal, lambda _: None, lambda _: None)
    kept = Kept(keep, clock, journal, lambda: peer, dump_entries([written_as(CHANGES, None)]))
    return House(places, kept, stored)


async def test_without_a_flag_the_changes_stay_and_are_told(house: House) -> None:
    result = await house.say()
    warnings = result["warnings"]
    assert isinstance(warnings, list)
    assert warnings[0] == "w"
    assert "added port, removed http" in warnings[1]
    assert "--take-monitors" in warnings[1]
    assert house.kept.of("orders") == CHANGES
    assert house.written == TEXT


async def test_more_than_can_be_watched_with_them_is_not_built(house: House) -> None:
    checks = "".join(f'<check name="c{n}" path="/a"/>' for n in range(MONITORS_MAX)).encode()
    file = house.places.appconf("orders")
    file.write_bytes(TEXT.replace(b'<http url="http://127.0.0.1/"/>', checks))
    with pytest.raises(RpcError) as caught:
        await house.say()
    assert "orders would have 257 monitors with what lemsctl changed" in caught.value.error
    assert "--drop-monitors" in caught.value.mend
    assert house.asked == []
    await house.say("drop")
    assert house.asked == [(False, None)]


async def test_taken_over_they_are_in_the_file_and_changes_no_more(house: House) -> None:
    result = await house.say("take")
    assert house.asked == [(False, NEW)]
    assert house.seen == [NEW]
    assert house.written == NEW
    assert house.places.appconf("orders").stat().st_mode & 0o777 == 0o640
    assert not house.kept.of("orders").any
    assert house.kept.of("orders").version == 4
    assert not read_kept(house.stored[FILE])["orders"].changes.any
    assert result["summary"] == [
        "writes into appconf.xml what lemsctl changed: added port, removed http"
    ]


async def test_who_is_halted_stays_halted(house: House) -> None:
    halted = Changes("orders", 3, halted=(Halted("http", 5.0),))
    house.kept.each["orders"] = written_as(halted, None)
    result = await house.say("take")
    assert house.kept.of("orders").halted == halted.halted
    assert "lemsctl orders resume" in str(result["warnings"])
    assert house.written == TEXT


async def test_a_plan_changes_nothing(house: House) -> None:
    taken, dropped = await house.say("take", plan=True), await house.say("drop", plan=True)
    assert house.asked == [(True, NEW), (True, None)]
    assert house.seen == [TEXT, TEXT]
    assert house.kept.of("orders") == CHANGES
    assert "writes into appconf.xml" in str(taken["summary"])
    assert "drops what lemsctl changed" in str(dropped["summary"])


async def test_a_build_that_fails_leaves_file_and_changes_as_they_were(house: House) -> None:
    house.error = RpcError("no")
    for how in ("take", "drop"):
        with pytest.raises(RpcError):
            await house.say(how)
    assert house.written == TEXT
    assert house.kept.of("orders") == CHANGES


async def test_dropped_they_are_gone(house: House) -> None:
    result = await house.say("drop")
    assert result["changed"] is True
    assert house.written == TEXT
    assert not house.kept.of("orders").any
    assert await house.say("drop") == await house.say() == await house.say("take")


async def test_what_cannot_be_read_or_means_nothing_is_refused(house: House) -> None:
    with pytest.raises(RpcError) as caught:
        await house.say("keep")
    assert caught.value.exit_code is ExitCode.USAGE
    house.places.appconf("orders").unlink()
    with pytest.raises(RpcError) as caught:
        await house.say("take")
    assert caught.value.exit_code is ExitCode.USAGE
    assert not house.asked
