"""An OCF agent is asked what it is, and what it thinks of the node."""

from pathlib import Path
from typing import Final

import pytest

from hapair.adapters.shared.process import ProcessRunner
from hapair.model.agent import Action, Parameter, ProgramAgent
from hapair.model.application import OcfAgent
from hapair.model.unit import Unusable
from hapair.ports.programs import Finished, TimedOut
from hapair.runtime.jobs.agents import agent_facts, parse
from tests.fakes.small import Answer, FakeRunner

META: Final = """\
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="shop" version="1.0">
<parameters>
<parameter name="data" unique="1" required="1"><content type="string" default="" /></parameter>
<parameter name="port"><content type="integer"/></parameter>
</parameters>
<actions>
<action name="start" timeout="2m" /><action name="stop" timeout="20" />
<action name="monitor" timeout="20s" interval="10s" depth="0" />
<action name="validate-all" timeout="soon" /><action name="meta-data" timeout="500ms" />
</actions>
</resource-agent>
"""
SAYS: Final = ProgramAgent(
    (Parameter("data", "string", required=True), Parameter("port", "integer")),
    (Action("start", 120.0), Action("stop", 20.0), Action("monitor", 20.0),
     Action("validate-all"), Action("meta-data", 0.5)),
)  # fmt: skip
AGENT: Final = OcfAgent("shop", "shop", (("data", "it's $HOME\nsecret"),))


def test_what_an_agent_says_of_itself_is_read() -> None:
    assert parse(META) == SAYS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<fence/>",
        META[:-20],
        '<!DOCTYPE a [<!ENTITY b "c">]><resource-agent>&b;</resource-agent>',
        '<resource-agent version="\0"/>',
    ],
)
def test_a_text_that_describes_no_agent_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (TimedOut(20.0), "ocf:shop:shop does not describe itself within 20 s"),
        (Finished(2, "", ""), "does not describe itself (exit code 2): without a word"),
        (Finished(0, "usage\n", ""), "does not describe itself (exit code 0): usage"),
        (Finished(1, "", "line\x1b[31m\n"), "(exit code 1): line\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
async def test_an_agent_that_describes_nothing_cannot_be_used(answer: Answer, words: str) -> None:
    found = await agent_facts(AGENT, "orders", "node1", FakeRunner({"/bin/sh": answer}))
    assert isinstance(found, Unusable)
    assert words in found.what


async def test_an_agent_that_checks_nothing_in_time_is_taken_as_it_is() -> None:
    def answer(argv: object) -> Answer:
        return Finished(0, META, "") if "meta-data" in str(argv) else TimedOut(20.0)

    assert await agent_facts(AGENT, "orders", "node1", FakeRunner({"/bin/sh": answer})) == SAYS


async def test_an_agent_that_replicates_is_not_asked_to_check() -> None:
    """That of pgsql writes into the database's configuration when it checks that."""
    run = FakeRunner({"/bin/sh": Finished(0, META, "")})
    promoted = OcfAgent("shop", "shop", (("rep_mode", "sync"),))
    assert await agent_facts(promoted, "orders", "node1", run) == SAYS
    assert len(run.ran) == 1


async def test_a_real_one_gets_its_parameters_where_nobody_sees_them(tmp_path: Path) -> None:
    script = tmp_path / "resource.d/shop/shop"
    script.parent.mkdir(parents=True)
    script.write_text(
        f"#!/bin/sh\n[ $1 = meta-data ] && exec cat {tmp_path}/meta\n"
        f'tr "\\0" " " <"/proc/$$/cmdline" >{tmp_path}/seen; cat\n'
        'echo "INFO: looking" >&2; echo "ocf-exit-reason:no $OCF_RESKEY_data" | tr "\\n" " " >&2\n'
        "echo >&2; echo 'ERROR: last' >&2; exit 6\n"
    )
    script.chmod(0o755)
    (tmp_path / "meta").write_text(META)
    found = await agent_facts(AGENT, "orders", "node1", ProcessRunner(), root=str(tmp_path))
    assert isinstance(found, ProgramAgent)
    assert (found.code, found.said) == (6, "no it's $HOME secret")
    assert "secret" not in (tmp_path / "seen").read_text()
