"""systemctl's answers about an application's unit become facts, or one true sentence."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import pytest

from hapair.core.plan.application import make_plan
from hapair.model.application import Unit
from hapair.model.unit import ProgramUnit, Starter
from hapair.ports.programs import Finished, TimedOut
from hapair.runtime.jobs.units import unit_facts
from tests.fakes.small import Answer, FakeRunner
from tests.jobs.material import ORDERS, situation

NAME: Final = "orders.service"
# As systemd 252 prints them, for a service that also starts its socket.
SERVICE: Final = """\
Id=orders.service
Requires=system.slice sysinit.target
Wants=orders.socket
WantedBy=multi-user.target
TriggeredBy=orders.socket orders.timer
ConsistsOf=orders.socket
LoadState=loaded
ActiveState=active
UnitFileState=enabled
"""
STARTERS: Final = """\
Id=orders.socket
LoadState=loaded
ActiveState=active
UnitFileState=enabled

Id=orders.timer
LoadState=loaded
ActiveState=inactive
UnitFileState=disabled

Id=multi-user.target
LoadState=loaded
ActiveState=active
UnitFileState=static
"""


def systemd(unit: Answer, others: Answer | None = None) -> FakeRunner:
    def answer(argv: Sequence[str]) -> Answer:
        return unit if argv[-1] == NAME else others or Finished(0, STARTERS, "")

    return FakeRunner({"systemctl show": answer})


async def test_who_starts_a_unit_and_who_follows_it_is_told() -> None:
    assert await unit_facts(NAME, systemd(Finished(0, SERVICE, ""))) == ProgramUnit(
        NAME,
        "enabled",
        active=True,
        starters=(
            Starter(
                "orders.socket", trigger=True, at_boot=True, active=True, pulled=True, follows=True
            ),
            Starter("orders.timer", trigger=True),
            Starter("multi-user.target", trigger=False, active=True),
        ),
    )


async def test_a_unit_that_nobody_starts_needs_no_second_question() -> None:
    alone = "Id=orders.service\nTriggeredBy=\nLoadState=loaded\nActiveState=failed\n"
    run = systemd(Finished(0, alone, ""))
    assert await unit_facts(NAME, run) == ProgramUnit(NAME)
    assert len(run.ran) == 1


def not_loaded(state: str) -> Callable[[], FakeRunner]:
    return lambda: systemd(Finished(0, f"Id={NAME}\nLoadState={state}\n", ""))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (not_loaded("not-found"), "systemd has no unit orders.service"),
        (not_loaded("masked"), "orders.service is masked: systemd refuses to start it"),
        (not_loaded("bad-setting"), "systemd cannot load orders.service (bad-setting)"),
        (lambda: systemd(TimedOut(10.0)), "systemd gives no answer about orders.service"),
        (lambda: systemd(Finished(1, "", "no bus")), "systemd gives no answer about orders"),
        (
            lambda: systemd(Finished(0, SERVICE, ""), TimedOut(10.0)),
            "systemd gives no answer about orders.socket, orders.timer, multi-user.target",
        ),
    ],
)
async def test_a_unit_that_cannot_be_started_is_one_true_sentence(
    run: Callable[[], FakeRunner], words: str
) -> None:
    facts = await unit_facts(NAME, run())
    assert isinstance(facts, str)
    assert facts.startswith(words)


def test_a_boot_of_the_other_node_that_would_start_it_is_refused_there() -> None:
    s = situation(application=replace(ORDERS, program=Unit(NAME)))
    s = replace(s, peer=replace(s.peer, unit=ProgramUnit(NAME, "enabled")))
    problems = make_plan(s)
    assert isinstance(problems, tuple)
    (problem,) = problems
    assert str(problem) == (
        "node2: error: run: orders.service is enabled: every boot would start it."
        " Mend: systemctl disable orders.service"
    )
