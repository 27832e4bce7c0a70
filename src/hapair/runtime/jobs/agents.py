"""Ask the OCF agent that is an application's program what it is, and what it thinks of its node."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from hapair.model import ocf
from hapair.model.agent import Action, Parameter, ProgramAgent
from hapair.model.application import OcfAgent
from hapair.model.meta_data import ROOT, elements
from hapair.model.text import shown
from hapair.model.unit import Unusable
from hapair.ports.programs import CommandRunner, Finished, TimedOut

LIMIT_S: Final = 20.0
SAID_SIGNS_MAX: Final = 300
REASON: Final = "ocf-exit-reason:"
SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|ms|m|min|)")
UNITS: Final = {"ms": 0.001, "m": 60.0, "min": 60.0}
# The environment comes by standard input: a parameter may be a secret, and who may read the list
# of processes sees no more than the agent's name.
RUN: Final = '. /dev/stdin; mkdir -p -m 1755 "$HA_RSCTMP" 2>/dev/null; exec "$0" "$1" </dev/null'
OTHER: Final = "install the package that it belongs to again, or use another agent"


async def agent_facts(
    agent: OcfAgent, application: str, node: str, run: CommandRunner, *, root: str = ocf.ROOT
) -> ProgramAgent | Unusable:
    """Return what an agent says of itself, and of what it finds here; or why it cannot be used."""
    path, name = ocf.path(agent, root), ocf.name(agent)
    told = ocf.variables(agent, application, node)
    asked = await _ask(run, path, "meta-data", told)
    if not isinstance(asked, Finished):
        return Unusable(f"{name} does not describe itself within {LIMIT_S:g} s", OTHER)
    facts = parse(asked.stdout) if asked.exit_code == 0 else None
    if facts is None:
        said = _words(asked) or "without a word"
        return Unusable(
            f"{name} does not describe itself (exit code {asked.exit_code}): {said}", OTHER
        )
    if facts.action("validate-all") is None or ocf.is_promoted(agent):
        return facts
    answer = await _ask(run, path, "validate-all", told)
    if not isinstance(answer, Finished):
        return facts
    return replace(facts, code=answer.exit_code, said=_words(answer))


async def _ask(
    run: CommandRunner, path: str, verb: str, told: Mapping[str, str]
) -> Finished | TimedOut:
    lines = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in told.items())
    argv = ("/bin/sh", "-c", RUN, path, verb)
    return await run(argv, timeout_s=LIMIT_S, stdin=lines.encode())


def _words(answer: Finished) -> str:
    """Return the reason that an agent gives, or the last thing that it said."""
    lines = [line.strip() for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
    reasons = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    return shown((reasons or lines or [""])[-1])[:SAID_SIGNS_MAX]


def parse(text: str) -> ProgramAgent | None:
    """Read the answer to ``meta-data``; None when it is none."""
    found = elements(text)
    if found is None or found[0][0] != ROOT:
        return None
    parameters: list[Parameter] = []
    actions: list[Action] = []
    for name, attributes in found:
        named = attributes.get("name", "")
        match name:
            case "parameter" if named:
                parameters.append(Parameter(named, required=_is_true(attributes)))
            case "content" if parameters:
                parameters[-1] = replace(parameters[-1], kind=attributes.get("type", ""))
            case "action" if named:
                actions.append(Action(named, _seconds(attributes.get("timeout", ""))))
            case _:
                pass
    return ProgramAgent(tuple(parameters), tuple(actions))


def _is_true(attributes: Mapping[str, str]) -> bool:
    return attributes.get("required", "0") in ("1", "true")


def _seconds(text: str) -> float:
    found = SECONDS.fullmatch(text.strip())
    return float(found[1]) * UNITS.get(found[2], 1.0) if found else 0.0
