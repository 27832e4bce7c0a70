"""What clbuildapp says of an appconf.xml: the messages of the tables, never "internal error"."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import pytest

from hapair.adapters.files import FileStorage
from hapair.adapters.lvm.parse import LvmReportError
from hapair.config.appconf import examine_appconf
from hapair.config.together import check_together
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.jobs.buildapp import ApplicationBuilder, Surroundings
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.node.loop import contained
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call
from tests.config.reference import BUILT, CLUSTER
from tests.config.test_bad_input import APPLICATION
from tests.config.transcripts import Case, table
from tests.fakes.small import FakeRunner
from tests.jobs.test_builder import Nonsense, no_command, no_halt, no_reload


class Peer:
    """A peer that is never reached: what comes as far as this was not refused."""

    async def request(self, *_: object, **_more: object) -> JsonObject:
        raise RpcError("asked the peer")


async def no_scan(*_: object) -> None:
    raise LvmReportError("vgs gave no answer")


class Office:
    """The builder on a node where a cluster with one application is built."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root)
        self.noted: list[str] = []
        state = SimpleNamespace(me="node1", built=BUILT, record=lambda _: None)
        node = cast("Node", SimpleNamespace(state=state, peer=Peer()))
        memory = FileStorage(self.places.memory)
        around = Surroundings(
            lambda: node, no_reload, no_command, FakeRunner(), self.places, memory, no_halt
        )
        tool = cast(
            "Workshop", SimpleNamespace(volumes=Nonsense(), natives=Nonsense(), scan=no_scan)
        )
        self._builder = ApplicationBuilder(around, lambda: tool)

    async def refusal(self, name: str, text: str | None = None) -> RpcError:
        """Return how a build ends, which never gets beyond the survey here."""
        file = self.places.appconf("orders")
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            file.write_bytes(text.encode())
        journal = cast("Journal", SimpleNamespace(add=self._add))
        call = Call({"application": name, "plan": True})
        with pytest.raises(RpcError) as caught:
            await contained(lambda: self._builder.buildapp(call), journal)
        return caught.value

    def _add(self, name: str, text: str, **_: object) -> None:
        self.noted.append(f"{name}: {text}")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def changed(before: str, after: str) -> str:
    assert before in APPLICATION
    return APPLICATION.replace(before, after, 1)


# Each rule of "these must hold" in the reference of appconf.xml, broken.
RULES: Final = {
    "its folder's name": (changed('name="orders"', 'name="order"'), "lies in the folder"),
    "no folder of the cluster": (changed('name="orders"', 'name="built"'), "of the cluster itself"),
    "a node": (changed('"node1"', '"node3"'), "not one of the cluster's nodes"),
    "a network": (changed('"public"', '"publik"'), 'clconf.xml has no network "publik"'),
    "its subnet": (changed("10.77.1.50", "10.77.2.50"), "is not in 10.77.1.0/24"),
    "its family": (changed("10.77.1.50", "fd77:1::50"), "is not in 10.77.1.0/24"),
    "no subnet itself": (changed("10.77.1.50", "10.77.1.0"), "is the address of the subnet"),
    "no broadcast": (changed("10.77.1.50", "10.77.1.255"), "is the broadcast address"),
    "no node's address": (changed("10.77.1.50", "10.77.1.2"), "is the address of node2"),
    "no reference": (changed("10.77.1.50", "10.77.1.254"), "is the reference address"),
    "no other's address": (changed("10.77.1.50", "10.77.1.90"), 'of application "files"'),
    "1,000 addresses": (changed("10.77.1.69", "10.77.5.69"), "addresses"),
    "no other's group": (changed("vg_orders", "vg_files"), 'belongs to application "files"'),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), RULES.values(), ids=[*RULES])
async def test_what_must_hold_is_told_with_its_line(office: Office, text: str, words: str) -> None:
    error = await office.refusal("orders", text)
    assert error.exit_code is ExitCode.USAGE
    problem, *_ = [each for each in error.problems if words in str(each["what"])]
    assert len(error.problems) <= 2, "each is told once"
    assert f"{office.places.appconf('orders')}:" in str(problem["where"])
    assert problem["mend"]
    assert office.noted == []


async def test_what_holds_goes_on_to_the_survey(office: Office) -> None:
    error = await office.refusal("orders", APPLICATION)
    assert error.problems == ()
    assert error.exit_code is ExitCode.NOT_NOW


@pytest.mark.parametrize("case", table("appconf").cases, ids=lambda case: case.title)
async def test_the_builder_says_what_the_reader_says(office: Office, case: Case) -> None:
    text = case.text(APPLICATION)
    reading = examine_appconf(text.encode(), file=str(office.places.appconf("orders")))
    expected = reading.problems
    if reading.value is not None:
        expected += check_together(CLUSTER, (BUILT.applications[0].application, reading.value))
    error = await office.refusal("orders", text)
    assert office.noted == []
    if any(not problem.warning for problem in expected):
        assert error.exit_code is ExitCode.USAGE
        assert [each["what"] for each in error.problems] == [each.what for each in expected]


@pytest.mark.parametrize(
    "name", ["", "\ud800", "a\0b", "../orders", "/etc", "x" * 300, "orders ", "Ä", "."]
)
async def test_what_is_no_name_of_an_application_is_refused(office: Office, name: str) -> None:
    error = await office.refusal(name)
    assert error.exit_code is ExitCode.USAGE
    assert error.mend
    assert office.noted == []


OBSTACLES: Final[dict[str, Callable[[Path], None]]] = {
    "nothing": lambda _: None,
    "a folder": lambda file: file.mkdir(parents=True),
    "a link to itself": lambda file: file.symlink_to(file),
}


async def test_a_misspelt_application_is_known_by_its_file(office: Office) -> None:
    error = await office.refusal("ordres", text=APPLICATION)
    assert "ordres/appconf.xml: No such file" in error.error
    assert error.mend.startswith('did you mean "orders"?')
    assert not (await office.refusal("mail")).mend.startswith("did you mean")


@pytest.mark.parametrize("obstacle", OBSTACLES.values(), ids=[*OBSTACLES])
async def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, obstacle: Callable[[Path], None]
) -> None:
    office = Office(tmp_path)
    file = office.places.appconf("orders")
    file.parent.mkdir(parents=True)
    obstacle(file)
    error = await office.refusal("orders")
    assert error.exit_code is ExitCode.USAGE
    assert str(file) in error.error
    assert office.noted == []
