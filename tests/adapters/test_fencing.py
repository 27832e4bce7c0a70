"""Agents run unchanged; what they say never carries a secret."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.fencing.agents import FenceAgents
from hapair.adapters.fencing.metadata import MetaData, parse
from hapair.adapters.fencing.secrets import TEXT_MAX, Parameters, read_parameters
from hapair.adapters.shared.process import ProcessRunner
from hapair.model.cluster import FenceMethod
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from tests.adapters.fence_agents import NAME, install_agent

CANARY: Final = "to'p se&cret"


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Install the agent; the file says what it was asked."""
    return install_agent(tmp_path)


@pytest.fixture
def agents(tmp_path: Path) -> FenceAgents:
    return FenceAgents(ProcessRunner(), folder=tmp_path, owner=os.geteuid())


@pytest.fixture
def method(tmp_path: Path) -> FenceMethod:
    return FenceMethod("node2", NAME, 20.0, (("status_file", str(tmp_path / "state")),))


def told(method: FenceMethod, **more: str) -> FenceMethod:
    return replace(method, parameters=(*method.parameters, *more.items()))


def asked_of(seen: Path) -> list[str]:
    return seen.read_text().splitlines()


def text_of(outcome: Outcome) -> str:
    return outcome.note if isinstance(outcome, Done) else outcome.why


async def test_it_asks_for_off_and_then_for_the_status_on_standard_input(
    agents: FenceAgents, method: FenceMethod, seen: Path
) -> None:
    assert isinstance(await agents.switch_off(method), Done)
    off, status = asked_of(seen)
    assert off.startswith("off ")
    assert status.startswith("status ")
    assert off.endswith(" []"), "nothing stands on the command line"


@pytest.mark.usefixtures("seen")
async def test_an_agent_whose_success_is_not_confirmed_is_not_believed(
    agents: FenceAgents, method: FenceMethod
) -> None:
    outcome = await agents.switch_off(told(method, behave="lie"))
    assert isinstance(outcome, Unknown)
    assert "it is on" in outcome.why


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("action", ["off", "status"])
@pytest.mark.parametrize("how", ["fail", "hang"])
async def test_a_failure_is_unknown_and_hides_the_password(
    agents: FenceAgents, method: FenceMethod, action: str, how: str
) -> None:
    told_more = told(method, behave=f"{how} at {action}", password=CANARY)
    outcome = await agents.switch_off(replace(told_more, timeout_s=2.0))
    assert isinstance(outcome, Unknown)
    assert "se&cret" not in outcome.why
    assert ("denied" in outcome.why) == (how == "fail")


async def test_the_whole_process_group_is_killed_at_the_timeout(
    agents: FenceAgents, method: FenceMethod, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    reader = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    text = f"#!/bin/sh\nsleep 1000 > {alive} &\nwait\n"
    install_agent(tmp_path, name="fence_stuck", text=text)
    stuck = replace(method, agent="fence_stuck", timeout_s=1.0)
    outcome = await agents.switch_off(stuck)
    assert isinstance(outcome, Unknown)
    assert "within 1 s" in outcome.why
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "ends when the last process that writes has ended"
    os.close(reader)


async def test_an_agent_without_its_interpreter_is_refused(
    agents: FenceAgents, method: FenceMethod, tmp_path: Path
) -> None:
    install_agent(tmp_path, name="fence_broken", text="#!/nowhere/python\n")
    outcome = await agents.switch_off(replace(method, agent="fence_broken"))
    assert isinstance(outcome, Refused)
    assert "cannot be started" in outcome.why


@pytest.mark.parametrize("name", ["/bin/sh", "../sh", "reboot", "fence_x; reboot", ""])
async def test_only_the_name_of_an_agent_is_run(
    agents: FenceAgents, method: FenceMethod, name: str
) -> None:
    outcome = await agents.switch_off(replace(method, agent=name))
    assert isinstance(outcome, Refused)
    assert "no name of a fence agent" in outcome.why


def secret_file(folder: Path, content: str = f"{CANARY}\n", mode: int = 0o600) -> str:
    file = folder / "secret"
    file.write_text(content)
    file.chmod(mode)
    return f"file:{file}"


async def test_a_secret_comes_from_its_file_and_reaches_only_the_agent(
    agents: FenceAgents, method: FenceMethod, seen: Path, tmp_path: Path
) -> None:
    asked = told(method, password=secret_file(tmp_path), behave="fail at off")
    outcome = await agents.switch_off(asked)
    assert repr(("password", CANARY)) in asked_of(seen)[0]
    assert "se&cret" not in text_of(outcome)
    assert "(hidden)" in text_of(outcome)


@pytest.mark.parametrize(
    ("content", "mode", "owner", "said"),
    [
        (CANARY, 0o640, os.geteuid(), "chmod 600"),
        (CANARY, 0o604, os.geteuid(), "chmod 600"),
        (CANARY, 0o600, os.geteuid() + 1, "chown root:root"),
        ("", 0o600, os.geteuid(), "one line"),
        ("x" * 5000, 0o600, os.geteuid(), "one line"),
        ("one\naction=on\n", 0o600, os.geteuid(), "control character"),
    ],
    ids=["group", "others", "owner", "empty", "long", "two lines"],
)
def test_a_file_that_keeps_no_secret_is_refused(
    method: FenceMethod, tmp_path: Path, content: str, mode: int, owner: int, said: str
) -> None:  # fmt: skip
    asked = told(method, password=secret_file(tmp_path, content, mode))
    refused = read_parameters(asked, owner=owner)
    assert isinstance(refused, Refused)
    assert said in refused.why
    assert CANARY not in refused.why


def test_a_secret_of_bytes_a_link_a_pipe_and_a_missing_file_are_refused(
    method: FenceMethod, tmp_path: Path
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "bytes").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "bytes")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("bytes", "link", "pipe", "missing"):
        asked = told(method, password=f"file:{tmp_path / name}")
        refused = read_parameters(asked, owner=os.geteuid())
        assert isinstance(refused, Refused)
        assert str(tmp_path / name) in refused.why
    relative = read_parameters(told(method, plug="file:secret"), owner=os.geteuid())
    assert isinstance(relative, Refused)
    assert "full path" in relative.why


@pytest.mark.parametrize("value", ["a\naction=on", " padded", '"quoted"', "bell\x07", "x\x00"])
def test_a_value_that_an_agent_would_read_differently_is_refused(
    method: FenceMethod, value: str
) -> None:
    refused = read_parameters(told(method, plug=value), owner=0)
    assert isinstance(refused, Refused)
    assert "parameter plug" in refused.why


@pytest.mark.parametrize("name", ["action", "debug_file", "debug-file", "verbose", "a=b", ""])
def test_what_the_cluster_says_itself_and_what_logs_secrets_is_refused(
    method: FenceMethod, name: str
) -> None:
    assert isinstance(read_parameters(told(method, **{name: "1"}), owner=0), Refused)


def test_no_form_of_a_secret_is_shown() -> None:
    parameters = Parameters((), (CANARY, "p%/+q"))
    forms = (
        CANARY,
        repr(CANARY),
        "to'\"'\"'p se&cret",
        "to%27p%20se%26cret",
        "to%27p+se%26cret",
        "to'p se&amp;cret",
        "dG8ncCBzZSZjcmV0",
        "p%25/%2Bq",
        "p%25%2F%2Bq",
    )
    shown = parameters.shown("\n".join(f"it said {form} here" for form in forms))
    assert not re.search(r"cret|dG8|%2B", shown)
    assert CANARY not in repr(parameters)


def test_only_the_end_of_a_long_text_is_shown_and_nothing_of_a_huge_one() -> None:
    parameters = Parameters((), (CANARY,))
    text = parameters.shown(f"{CANARY} " + "word " * 200 + "the end")
    assert len(text) <= TEXT_MAX + 3
    assert text.endswith("the end")
    assert "word" not in parameters.shown("word " * 100_000)


async def test_a_check_says_that_the_node_is_on_and_switches_nothing(
    agents: FenceAgents, method: FenceMethod, seen: Path
) -> None:
    outcome = await agents.check(method)
    assert isinstance(outcome, Done)
    assert "node2 is on" in outcome.note
    assert [line.split()[0] for line in asked_of(seen)] == ["metadata", "status"]


@pytest.mark.usefixtures("seen")
async def test_a_check_refuses_a_method_that_would_confirm_the_death_of_a_living_node(
    agents: FenceAgents, method: FenceMethod, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("off")
    outcome = await agents.check(method)
    assert isinstance(outcome, Refused)
    assert "another machine" in outcome.why


@pytest.mark.usefixtures("seen")
async def test_a_check_names_a_parameter_that_the_agent_does_not_know(
    agents: FenceAgents, method: FenceMethod
) -> None:
    outcome = await agents.check(told(method, plugg="2"))
    assert isinstance(outcome, Refused)
    assert "plugg" in outcome.why


@pytest.mark.usefixtures("seen")
async def test_a_check_tells_a_failing_device_from_a_silent_one(
    agents: FenceAgents, method: FenceMethod
) -> None:
    failing = await agents.check(told(method, behave="fail at status", password=CANARY))
    assert isinstance(failing, Refused)
    assert "se&cret" not in failing.why
    silent = replace(told(method, behave="hang at status"), timeout_s=0.5)
    assert isinstance(await agents.check(silent), Unknown)


async def test_a_check_refuses_an_agent_that_cannot_confirm(
    agents: FenceAgents, method: FenceMethod, tmp_path: Path
) -> None:
    described = '<resource-agent><actions><action name="off"/></actions></resource-agent>'
    text = f"#!/bin/sh\ncat > /dev/null\necho '{described}'\n"
    install_agent(tmp_path, name="fence_blind", text=text)
    outcome = await agents.check(replace(method, agent="fence_blind", parameters=()))
    assert isinstance(outcome, Refused)
    assert "no action status" in outcome.why


@pytest.mark.usefixtures("seen")
async def test_an_agent_describes_itself(agents: FenceAgents) -> None:
    described = await agents.meta_data(NAME)
    assert isinstance(described, MetaData)
    assert described.knows("status-file")
    assert described.knows("passwd")
    assert not described.knows("plug")
    assert described.actions == ("on", "off", "status")


async def test_an_agent_that_does_not_run_says_why(agents: FenceAgents, tmp_path: Path) -> None:
    install_agent(tmp_path, name="fence_old", text="#!/bin/sh\necho no module pycurl >&2; exit 1\n")
    refused = await agents.meta_data("fence_old")
    assert isinstance(refused, Refused)
    assert "no module pycurl" in refused.why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<resource-agent>",
        "<html></html>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><resource-agent>&a;</resource-agent>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/shadow">]><resource-agent/>',
    ],
)
def test_a_description_that_is_none_is_refused(text: str) -> None:
    assert isinstance(parse("fence_state", text), Refused)
