"""An agent that cannot run an application is refused by what it says of itself."""

from dataclasses import replace
from typing import Final

import pytest

from hapair.core.plan.agent_checks import objections, warnings
from hapair.core.plan.application import Plan, make_plan
from hapair.model.agent import Action, Parameter, ProgramAgent
from hapair.model.application import OcfAgent, TimeLimits
from tests.jobs.material import ORDERS, situation

NAME: Final = "ocf:heartbeat:pgsql"
ACTIONS: Final = tuple(Action(name, 20.0) for name in ("start", "stop", "monitor"))
FACTS: Final = ProgramAgent(
    (Parameter("pgdata", "string", required=True), Parameter("pgport", "integer"),
     Parameter("check", "boolean"), Parameter("rep_mode", "string")),
    ACTIONS,
    code=0,
)  # fmt: skip
LIMITS: Final = TimeLimits()


def agent(**parameters: str) -> OcfAgent:
    return OcfAgent("heartbeat", "pgsql", tuple({"pgdata": "/srv/orders", **parameters}.items()))


REFUSED: Final[dict[str, tuple[OcfAgent, ProgramAgent, str, str]]] = {
    "a parameter is not given": (
        OcfAgent("heartbeat", "pgsql"),
        FACTS,
        f"{NAME} needs the parameter pgdata",
        'write <parameter name="pgdata" value="..."/>',
    ),
    "a parameter is misspelt": (
        agent(pgprot="1"),
        FACTS,
        f"{NAME} knows no parameter pgprot",
        "it knows: check, pgdata, pgport, rep_mode",
    ),
    "it has no parameters": (
        OcfAgent("heartbeat", "pgsql", (("pgdata", "/"),)),
        ProgramAgent(actions=ACTIONS),
        f"{NAME} knows no parameter pgdata",
        "it knows: none",
    ),
    "it cannot be looked at": (
        agent(),
        replace(FACTS, actions=ACTIONS[:2]),
        f"{NAME} has no action monitor",
        "use another agent, a unit or a script",
    ),
    "it replicates by itself": (
        agent(rep_mode="sync"),
        FACTS,
        f"{NAME} is to be promoted, and replicates by itself: hapair does that with DRBD",
        "use a simple agent, e.g. mysql, or leave rep_mode out; or a unit",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_agent_cannot_run_with_is_refused(case: str) -> None:
    program, facts, what, mend = REFUSED[case]
    assert list(objections(program, facts)) == [(what, mend)]


def test_a_kind_that_is_promoted_only_is_refused() -> None:
    ((what, _),) = objections(OcfAgent("heartbeat", "galera"), ProgramAgent(actions=ACTIONS))
    assert "is to be promoted" in what


@pytest.mark.parametrize(
    "given",
    [
        agent(),
        agent(pgport="5432", check="TRUE", rep_mode="none"),
        agent(CRM_shutdown_mode="acpi", OCF_CHECK_LEVEL="10"),
    ],
)
def test_an_agent_with_good_parameters_is_taken(given: OcfAgent) -> None:
    assert not list(objections(given, FACTS))
    assert not list(warnings(given, FACTS, LIMITS, has_data=True))


WARNED: Final[dict[str, tuple[OcfAgent, ProgramAgent, str]]] = {
    "a number": (
        agent(pgport="5432s"), FACTS, f"{NAME}: pgport is to be of the kind integer, and is '5432s'"
    ),
    "a word that means no": (
        agent(check="enabled"), FACTS,
        f"{NAME}: check is to be of the kind boolean, and is 'enabled'",
    ),
    "more time": (
        agent(), replace(FACTS, actions=(Action("start", 120.0), *ACTIONS[1:])),
        f"{NAME} advises 120 s at least for start, and has 60 s",
    ),
    "it could be promoted": (
        agent(), replace(FACTS, actions=(*ACTIONS, Action("promote"))),
        f"{NAME} is run as a simple one: it is never promoted",
    ),
    "a check that fails for now": (
        agent(), replace(FACTS, code=1), f"{NAME} ends validate-all with 1: it says nothing"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNED)
def test_what_may_go_wrong_with_an_agent_is_a_warning(case: str) -> None:
    program, facts, what = WARNED[case]
    ((said, mend),) = warnings(program, facts, LIMITS, has_data=True)
    assert said == what
    assert mend
    assert not list(objections(program, facts))


UNMOUNTED: Final = "its data is not mounted here; else mend it"


@pytest.mark.parametrize(
    ("has_data", "mend"),
    [
        (True, "mend it where that is so"),
        (False, "its data is not mounted here; else mend it"),
    ],
)
def test_what_an_agent_finds_wrong_is_told_and_stops_nothing(*, has_data: bool, mend: str) -> None:
    """FAIL: rsyncd, which checks its own default wrongly, could never be used."""
    facts = replace(FACTS, code=2, said="Binary path rsync does not exist.")
    assert not list(objections(agent(), facts))
    assert list(warnings(agent(), facts, LIMITS, has_data=has_data)) == [
        (f"{NAME} ends validate-all with 2: Binary path rsync does not exist.", mend)
    ]


def test_the_plan_refuses_on_the_node_where_it_is_so_and_warns_of_the_rest() -> None:
    application = replace(ORDERS, program=agent())
    s = situation(application=application)
    late = replace(FACTS, actions=(Action("start", 120.0), *ACTIONS[1:]))
    good = make_plan(
        replace(s, here=replace(s.here, agent=FACTS), peer=replace(s.peer, agent=late))
    )
    assert isinstance(good, Plan)
    (warning,) = good.warnings
    assert str(warning).startswith(f"node2: warning: run: {NAME} advises 120 s")
    bad = replace(FACTS, actions=ACTIONS[1:])
    refused = make_plan(
        replace(s, here=replace(s.here, agent=FACTS), peer=replace(s.peer, agent=bad))
    )
    assert isinstance(refused, tuple)
    assert [each.where for each in refused] == ["node2"]
