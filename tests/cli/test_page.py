"""The page of clstat in the situations that an administrator meets."""

import re

import pytest

from hapair.cli.pages.attention import Weight, findings
from hapair.cli.pages.render_status import Page, page_lines
from hapair.cli.pages.status import read_status
from hapair.cli.screen.terminal import Paint
from tests.cli import situations
from tests.cli.conftest import Golden

NOW = "2026-01-06 03:12:44"


def page(name: str, *, coloured: bool = False) -> list[str]:
    status = read_status(situations.SITUATIONS[name]())
    rates = {"orders.data": 8 * 1024**2.0}
    return page_lines(Page(status, findings(status), NOW, rates), Paint(coloured=coloured))


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_the_page_says_this(name: str, golden: Golden) -> None:
    golden(f"clstat_{name}.txt", "\n".join(page(name)) + "\n")


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_every_line_fits_on_the_narrowest_terminal(name: str) -> None:
    assert [line for line in page(name) if len(line) > 80] == []


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_the_page_fits_on_one_screen(name: str) -> None:
    assert len(page(name)) <= 40


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    coloured = "\n".join(page(name, coloured=True))
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(page(name))


@pytest.mark.parametrize("name", situations.SITUATIONS)
def test_what_is_worst_comes_first_and_tells_what_to_do(name: str) -> None:
    found = findings(read_status(situations.SITUATIONS[name]()))
    weights = [finding.weight for finding in found]
    assert weights == sorted(weights)
    assert all(finding.text and finding.to_do for finding in found)


def test_a_healthy_cluster_needs_nobody() -> None:
    assert findings(read_status(situations.status())) == ()


def test_a_running_resync_needs_nobody() -> None:
    assert findings(read_status(situations.resync())) == ()


def test_a_lost_peer_is_a_warning_while_everything_runs() -> None:
    found = findings(read_status(situations.peer_lost()))
    assert [finding.weight for finding in found] == [Weight.WARNING]


def test_an_answer_of_a_future_version_is_still_a_page() -> None:
    """During a rolling upgrade the daemon may be newer or older than the command."""
    answer = {"local": "node1", "nodes": {"node1": {"node": "node1", "novelty": 1}, "node2": None}}
    status = read_status(answer)
    assert page_lines(Page(status, findings(status)), Paint())
