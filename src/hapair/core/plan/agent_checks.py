"""Does an OCF agent know its parameters, and does it find on a node what it needs?"""

import re
from collections.abc import Iterator
from typing import Final

from hapair.model import ocf
from hapair.model.agent import ProgramAgent
from hapair.model.application import OcfAgent, TimeLimits

NEEDED: Final = ("start", "stop", "monitor")
# Other clusters pass these on, whatever an agent says of itself.
PASSED_ON: Final = re.compile(r"CRM_.*|OCF_CHECK_LEVEL")
KINDS: Final = {
    "integer": re.compile(r"[+-]?\d+"),
    "boolean": re.compile(r"yes|no|true|false|on|off|1|0", re.IGNORECASE),
}
# Some agents call wrong what they start with: rsyncd its own default, nginx what listens on "80".
FINE: Final = (None, ocf.Code.SUCCESS, ocf.Code.UNIMPLEMENTED)
Objection = tuple[str, str]  # What is so, and how to mend it.


def objections(agent: OcfAgent, facts: ProgramAgent) -> Iterator[Objection]:
    """Say why an agent cannot run an application."""
    name = ocf.name(agent)
    given = dict(agent.parameters)
    for verb in NEEDED:
        if facts.action(verb) is None:
            yield f"{name} has no action {verb}", "use another agent, a unit or a script"
    if ocf.is_promoted(agent):
        what = f"{name} is to be promoted, and replicates by itself: hapair does that with DRBD"
        yield what, "use a simple agent, e.g. mysql, or leave rep_mode out; or a unit"
    known = {each.name for each in facts.parameters}
    for key in given:
        if key not in known and not PASSED_ON.fullmatch(key):
            what = f"{name} knows no parameter {key}"
            yield what, f"it knows: {', '.join(sorted(known)) or 'none'}"
    for each in facts.parameters:
        if each.required and not given.get(each.name):
            yield f"{name} needs the parameter {each.name}", _with(each.name)


def warnings(
    agent: OcfAgent, facts: ProgramAgent, limits: TimeLimits, *, has_data: bool
) -> Iterator[Objection]:
    """Say what may go wrong with an agent that can be used; ``has_data``: it is mounted there."""
    name = ocf.name(agent)
    kinds = {each.name: each.kind for each in facts.parameters}
    for key, value in agent.parameters:
        kind = kinds.get(key, "")
        if kind in KINDS and not KINDS[kind].fullmatch(value):
            yield f"{name}: {key} is to be of the kind {kind}, and is {value!r}", _with(key)
    for verb, limit_s in (("start", limits.start_s), ("stop", limits.stop_s)):
        action = facts.action(verb)
        if action is not None and action.advised_s > limit_s:
            advised = f"{action.advised_s:g}"
            what = f"{name} advises {advised} s at least for {verb}, and has {limit_s:g} s"
            yield what, f'write <limits {verb}="{advised}s"/>'
    if facts.action("promote") is not None:
        yield f"{name} is run as a simple one: it is never promoted", "nothing, if that is meant"
    if facts.code not in FINE:
        what = f"{name} ends validate-all with {facts.code}: {facts.said or 'it says nothing'}"
        mend = (
            "mend it where that is so" if has_data else "its data is not mounted here; else mend it"
        )
        yield what, mend


def _with(parameter: str) -> str:
    return f'write <parameter name="{parameter}" value="..."/>'
