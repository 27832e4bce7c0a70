"""systemctl's answers about an application's unit become facts, or one true sentence."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import pytest

from hapair.core.plan.application import PACKAGES, Plan, make_plan
from hapair.model.application import FileSystem, Script, Unit
from hapair.model.unit import ProgramUnit, Starter, Unusable
from hapair.ports.programs import Finished, TimedOut
from hapair.runtime.jobs.survey import FILE_SYSTEM_TOOLS, TOOLS, survey
from hapair.runtime.jobs.units import disabled_triggers, unit_facts
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


# Nothing has loaded these; the second one starts another unit.
LISTED: Final = """\
orders-nightly.timer disabled enabled
other.socket         disabled enabled
instances@.socket    disabled enabled
"""
TRIGGERS: Final = "Id=orders-nightly.timer\nTriggers=orders.service\n\nId=other.socket\nTriggers=\n"


@pytest.mark.parametrize(
    ("listed", "shown", "found"),
    [
        (Finished(0, LISTED, ""), Finished(0, TRIGGERS, ""), ("orders-nightly.timer",)),
        (Finished(1, "", ""), Finished(1, "", "nothing was asked for"), ()),
        (TimedOut(10.0), Finished(0, TRIGGERS, ""), None),
        (Finished(1, "", "no bus"), Finished(0, TRIGGERS, ""), None),
        (Finished(0, LISTED, ""), TimedOut(10.0), None),
    ],
)
async def test_a_trigger_that_is_disabled_is_found_under_any_name(
    listed: Answer, shown: Answer, found: tuple[str, ...] | None
) -> None:
    run = FakeRunner({"systemctl list-unit-files": listed, "systemctl show": shown})
    assert await disabled_triggers(NAME, run) == found
    assert not any("@." in line for line in run.ran)


# As Podman's generator makes it: systemd has it from a file of Quadlet's.
GENERATED: Final = """\
Id=orders.service
Type={kind}
RemainAfterExit=no
LoadState=loaded
ActiveState=inactive
UnitFileState=generated
PartOf=podman.socket system.slice
BindsTo=srv-orders.mount podman.service
FragmentPath=/run/systemd/generator/orders.service
SourcePath={source}
DropInPaths=
"""


@pytest.mark.parametrize(("code", "has_image"), [(0, True), (1, False), (127, True)])
async def test_a_container_of_quadlet_is_known_by_its_own_file(
    tmp_path: Path, code: int, *, has_image: bool
) -> None:
    source = tmp_path / "orders.container"
    source.write_text("[Container]\n Image = docker.io/shop:1 \n")
    shown = GENERATED.format(source=source, kind="notify")
    run = FakeRunner({"systemctl": Finished(0, shown, ""), "podman": Finished(code, "", "")})
    unit = await unit_facts(NAME, run)
    assert isinstance(unit, ProgramUnit)
    assert (unit.source, unit.image, unit.has_image) == (str(source), "docker.io/shop:1", has_image)
    assert unit.stopped_by == ("podman.socket", "podman.service")
    source.write_text("[Container]\nImage=shop:2\n")
    other = await unit_facts(NAME, run)
    assert isinstance(other, ProgramUnit)
    assert other.digest not in ("", unit.digest)
    added = tmp_path / "orders.container.d" / "version.conf"
    added.parent.mkdir()
    added.write_text("[Container]\nImage=shop:3\n")
    third = await unit_facts(NAME, run)
    assert isinstance(third, ProgramUnit)
    assert third.image == "shop:3", "systemd tells nothing of what is added to a file of Quadlet's"
    assert third.digest not in ("", unit.digest, other.digest)
    added.write_text("[Container]\nImage=shop.image\n")
    brought = await unit_facts(NAME, run)
    assert isinstance(brought, ProgramUnit)
    assert (brought.image, brought.has_image) == ("", True), "a unit of its own pulls it"
    source.unlink()
    gone = await unit_facts(NAME, run)
    assert isinstance(gone, ProgramUnit)
    assert (gone.digest, gone.image, gone.has_image) == ("", "", True)


@pytest.mark.parametrize(
    ("kind", "found"),
    [("oneshot", (False, False)), ("forking", (True, True)), ("notify", (True, False))],
)
async def test_how_a_service_says_that_it_runs_is_told(kind: str, found: tuple[bool, bool]) -> None:
    shown = GENERATED.format(source="", kind=kind)
    unit = await unit_facts(NAME, FakeRunner({"systemctl": Finished(0, shown, "")}))
    assert isinstance(unit, ProgramUnit)
    assert (unit.stays, unit.guessed) == found


async def test_a_target_is_told_with_what_it_would_leave() -> None:
    shown = (
        "Id=orders.target\nLoadState=loaded\nWants=a.service b.service srv.mount\n"
        "ConsistsOf=b.service\n"
    )
    unit = await unit_facts("orders.target", FakeRunner({"systemctl": Finished(0, shown, "")}))
    assert isinstance(unit, ProgramUnit)
    assert unit.lasting == ("a.service",)


def not_loaded(state: str) -> Callable[[], FakeRunner]:
    return lambda: systemd(Finished(0, f"Id={NAME}\nLoadState={state}\n", ""))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (not_loaded("not-found"), "systemd has no unit orders.service"),
        (not_loaded("masked"), "orders.service is masked"),
        (not_loaded("bad-setting"), "systemd cannot load orders.service: bad-setting"),
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
    assert isinstance(facts, Unusable)
    assert facts.what.startswith(words)


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


def test_a_unit_that_differs_between_the_nodes_is_a_warning_of_both() -> None:
    s = situation(application=replace(ORDERS, program=Unit(NAME)))
    here, there = (ProgramUnit(NAME, source="/etc/orders.container", digest=each) for each in "ab")
    plan = make_plan(replace(s, here=replace(s.here, unit=here), peer=replace(s.peer, unit=there)))
    assert isinstance(plan, Plan)
    assert [str(each).partition(",")[0] for each in plan.warnings] == [
        "node1: warning: run: /etc/orders.container is not as on node2",
        "node2: warning: run: /etc/orders.container is not as on node1",
    ]


@pytest.mark.parametrize(
    ("mode", "mend"), [(0o644, "chmod +x {}"), (0o755, ""), (None, "install the program in the")]
)
async def test_a_program_that_cannot_be_run_is_told_with_what_to_type(
    tmp_path: Path, mode: int | None, mend: str
) -> None:
    script = tmp_path / "run"
    if mode is not None:
        script.touch(mode)
    application = replace(ORDERS, program=Script(str(script)), volume_groups=())
    nobody = cast("Any", None)  # Nothing is asked about volumes where there are none.
    seen = await survey("node2", application, nobody, FakeRunner())
    s = situation(application=application)
    found = make_plan(replace(s, peer=replace(seen, missing_tools=())))
    mends = [each.mend for each in found] if isinstance(found, tuple) else [""]
    (said,) = mends
    assert said.startswith(mend.format(script))


def test_every_tool_that_is_asked_for_has_a_package_to_install() -> None:
    assert {*TOOLS, *FILE_SYSTEM_TOOLS, *FileSystem} == set(PACKAGES)
