"""What is being done to a program is told to who asks for a status, and asked about for nobody."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

from hapair.core.words.effects import Do
from hapair.model.application import Unit
from hapair.model.built import Built
from hapair.runtime.control.under_way import FRESH_S, PATIENCE_S, ProgramsUnderWay
from hapair.runtime.node.node import Node
from hapair.runtime.node.views import UnderWay
from tests.runtime.fakes import LoopClock, built
from tests.runtime.pair import two
from tests.runtime.test_commands import desk, nodes_of
from tests.runtime.virtual_time import virtually

START: Final = UnderWay(Do.START_PROGRAM, 0.0, 300.0)


def with_unit() -> Built:
    """Return a configuration whose first application is a unit, and its second one a script."""
    whole = built()
    first, second = whole.applications
    unit = replace(first, application=replace(first.application, program=Unit("orders.service")))
    return replace(whole, applications=(unit, second))


@dataclass(slots=True)
class NodeAtWork:
    built: Built = field(default_factory=with_unit)
    doing: dict[str, UnderWay] = field(default_factory=dict)

    def programs_under_way(self) -> dict[str, UnderWay]:
        return self.doing


@dataclass(slots=True)
class Systemd:
    takes_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def waits_for(self, unit: str) -> str:
        self.asked.append(unit)
        await asyncio.sleep(self.takes_s)
        return f"{unit} waits, {len(self.asked)}"


def watching(node: NodeAtWork, systemd: Systemd) -> ProgramsUnderWay:
    return ProgramsUnderWay(lambda: cast("Node", node), systemd.waits_for, LoopClock())


async def waits(told: ProgramsUnderWay) -> object:
    under_way = (await told.look())["orders"]["under_way"]
    assert isinstance(under_way, dict)
    return under_way["waits"]


@virtually
async def test_a_start_tells_since_when_and_what_its_unit_waits_for() -> None:
    systemd = Systemd()
    told = watching(NodeAtWork(doing={"orders": START}), systemd)
    await asyncio.sleep(12.0)
    assert await told.look() == {
        "orders": {
            "under_way": {
                "do": "start",
                "since_s": 12.0,
                "limit_s": 300.0,
                "waits": "orders.service waits, 1",
            }
        }
    }


@virtually
async def test_systemd_is_asked_for_units_under_way_alone() -> None:
    systemd, node = Systemd(), NodeAtWork()
    told = watching(node, systemd)
    assert await told.look() == {}
    node.doing["plain"] = START
    assert (await told.look())["plain"]["under_way"]
    assert systemd.asked == []


@virtually
async def test_however_often_a_status_is_asked_for_systemd_is_asked_now_and_then() -> None:
    systemd = Systemd()
    told = watching(NodeAtWork(doing={"orders": START}), systemd)
    for _ in range(10):
        await asyncio.gather(told.look(), told.look())
        await asyncio.sleep(FRESH_S / 5)
    assert len(systemd.asked) == 2


@virtually
async def test_a_status_does_not_wait_for_a_systemd_that_is_slow() -> None:
    systemd = Systemd(takes_s=1.0)
    told = watching(NodeAtWork(doing={"orders": START}), systemd)
    began_s = asyncio.get_running_loop().time()
    assert await waits(told) == ""
    assert asyncio.get_running_loop().time() - began_s <= PATIENCE_S + 0.01
    await asyncio.sleep(1.0)
    assert await waits(told) == "orders.service waits, 1"


@virtually
async def test_what_an_earlier_start_waited_for_is_not_told_of_the_next_one() -> None:
    systemd, node = Systemd(), NodeAtWork(doing={"orders": START})
    told = watching(node, systemd)
    await told.look()
    node.doing["orders"] = replace(START, began_s=0.1)
    systemd.takes_s = 1.0
    assert await waits(told) == ""


@virtually
async def test_the_status_of_a_node_tells_a_start_while_it_goes_on(tmp_path: Path) -> None:
    pair = two(tmp_path)
    side = pair["node1"]
    first = desk(side)
    desk(pair["node2"])
    told = ProgramsUnderWay(lambda: side.running, Systemd().waits_for, side.clock)
    first.commands.under_way = told.look
    gate = side.machine.gates["start orders"] = asyncio.Event()
    await first.say("form", node="both", timeout_s=10)
    await first.say("introduce", application="orders")
    await asyncio.sleep(5.0)

    async def under_way() -> object:
        applications = nodes_of(await first.say("status"))["node1"]["applications"]
        assert isinstance(applications, list)
        return applications[0].get("under_way")

    doing = await under_way()
    assert isinstance(doing, dict)
    assert doing["do"] == "start"
    assert 4.0 < doing["since_s"] <= 5.1
    gate.set()
    await asyncio.sleep(1.0)
    assert await under_way() is None
    pair.end()
