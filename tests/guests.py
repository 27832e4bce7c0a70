"""Which kind of guests a scenario is played on, and how labs are spread over the workers.

User Mode Linux where it works: it is many times lighter. QEMU, which runs the release's own
kernels, plays what only it can (``qemu_only``) and the most telling scenarios (``reference``). The
variable HAPAIR_LAB_GUESTS plays everything on one kind.
"""

import functools
from typing import Final, Protocol

import pytest

from hapair_lab.errors import LabError
from hapair_lab.guests import Guests, uml_kernel, wanted
from tests.times.kinds import GUESTS, ONE_AFTER_THE_OTHER, declared_s

LEFT_OUT: Final = pytest.StashKey[dict[str, str]]()  # Names, and why.
OUTPUT: Final = "left_out"
# So many labs of User Mode Linux run side by side, see ``hapair_lab.turns``.
SIDE_BY_SIDE: Final = 3
# Their tests share a lab.
ONE_LAB_A_FILE: Final = (
    "tests/lab/test_drbd_model.py",
    "tests/lab/test_faults.py",
    "tests/lab/test_lab_itself.py",
    "tests/lab/test_ocf_agents.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--in-time",
        action="store_true",
        help="where all guests would be QEMU's, play only what is marked for them",
    )


class Worker(Protocol):
    """What the process that prints knows of one of those that play."""

    config: pytest.Config
    workeroutput: dict[str, dict[str, str]]


@functools.cache
def uml_works() -> bool:
    """Tell whether guests may be User Mode Linux; the first time, one is booted to see it."""
    return uml_kernel() is not None


def kind_for(item: pytest.Item | pytest.Collector) -> Guests:
    """Return the kind of guests that a scenario is played on."""
    named = wanted()
    if named is not None:
        return named
    return Guests.QEMU if _is_for_qemu(item) or not uml_works() else Guests.UML


def _is_for_qemu(item: pytest.Item | pytest.Collector) -> bool:
    return any(item.get_closest_marker(name) for name in ("qemu_only", "reference"))


def why_not(item: pytest.Item, *, in_time: bool) -> str:
    """Say why a scenario is not played; empty when it is."""
    mark = item.get_closest_marker("qemu_only")
    if mark is not None and kind_for(item) is not Guests.QEMU:
        return f"only QEMU's guests can play it: {mark.args[0]}"
    if in_time and wanted() is None and not uml_works() and not _is_for_qemu(item):
        return "left to make lab: no User Mode Linux works here, and QEMU takes too long"
    return ""


@pytest.hookimpl(tryfirst=True)  # Before xdist reads the groups.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not played, and name the kind and the group of all other scenarios.

    xdist reads the groups before pytest takes out what ``-m`` and ``-k`` exclude. That is done
    first here: where no scenario is left nobody needs to know what guests work, and to find out
    fetches packages and boots a kernel.
    """
    marks = config.pluginmanager.getplugin("mark")
    assert marks is not None
    marks.pytest_collection_modifyitems(items=items, config=config)
    scenarios = [item for item in items if item.get_closest_marker("lab")]
    in_time = bool(config.getoption("--in-time"))
    reasons = {item: why_not(item, in_time=in_time) for item in scenarios}
    left_out = [item for item in scenarios if reasons[item]]
    config.stash[LEFT_OUT] = {item.nodeid: reasons[item] for item in left_out}
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    kept = [item for item in scenarios if item not in left_out]
    for item in kept:
        item.user_properties.append((GUESTS, str(kind_for(item))))
    _spread(kept)


def _spread(scenarios: list[pytest.Item]) -> None:
    """Name for each scenario the group of those that one worker plays, in turn.

    Labs of QEMU are played one after the other, others in so many groups of the same length, with
    and without what is left out of ``make test``.
    """
    lengths = [0.0] * SIDE_BY_SIDE
    group_of: dict[str, int] = {}
    for item in sorted(scenarios, key=_turn):
        if kind_for(item) is Guests.QEMU:
            item.add_marker(pytest.mark.xdist_group(ONE_AFTER_THE_OTHER))
            continue
        file = item.nodeid.split("::")[0]
        unit = file if file in ONE_LAB_A_FILE else item.nodeid
        group = group_of.setdefault(unit, lengths.index(min(lengths)))
        lengths[group] += declared_s(item) or 0
        item.add_marker(pytest.mark.xdist_group(f"guests-{group}"))


def _turn(item: pytest.Item) -> tuple[bool, float]:
    return item.get_closest_marker("long") is not None, -(declared_s(item) or 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With xdist only the workers know what was collected: give it to the one that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[OUTPUT] = session.config.stash.get(LEFT_OUT, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    told = getattr(node, "workeroutput", {})  # One that was killed tells nothing.
    node.config.stash[LEFT_OUT].update(told.get(OUTPUT, {}))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}
    try:
        wanted()
    except LabError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left_out = config.stash[LEFT_OUT]
    if left_out:
        terminalreporter.section(f"{len(left_out)} scenarios are not played")
        for name, why in sorted(left_out.items()):
            terminalreporter.write_line(f"{name}: {why}")
