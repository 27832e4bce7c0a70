"""clbuildapp --release: what both nodes are asked and told while an application leaves."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from hapair.config.format_appconf import APPLICATION_NAME
from hapair.config.kinds import Wrong
from hapair.core.plan.release import Release, make_release, objection
from hapair.core.plan.steps import Work
from hapair.core.plan.unit_checks import given_back
from hapair.core.words.state import NodeState
from hapair.model.application import Program, Unit
from hapair.model.built import Built
from hapair.model.outcome import Done, Outcome, Refused
from hapair.model.status import Standing, Wanted
from hapair.model.unit import ProgramUnit
from hapair.ports.programs import CommandRunner
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.jobs.job import Job
from hapair.runtime.jobs.units import NO_ANSWER, disabled_triggers, unit_facts
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.node.node import Node
from hapair.runtime.places import Places

SURVEY_LIMIT_S: Final = 60.0
WANTED_AGAIN: Final = {Work.RUN_AGAIN: Wanted.UP, Work.MOUNT_AGAIN: Wanted.DATA}


async def departure(
    node: Node, workshop: Workshop, places: Places, run: CommandRunner, name: str
) -> Release | None:
    """Return how an application is released from this node; None when it is not built.

    RpcError: it cannot be now, or nobody ever knew it.
    """
    state, peer = node.state, node.peer
    if name not in state.built.by_name:
        named = not isinstance(APPLICATION_NAME.kind.read(name), Wrong)
        if named and places.appconf(name).exists():
            return None
        mend = "clstat lists those of the cluster"
        raise RpcError(f"there is no application {name}", mend, exit_code=ExitCode.USAGE)
    if (found := objection(state, name)) is not None:
        together = state.standing is Standing.TOGETHER
        code = ExitCode.REFUSED if together else ExitCode.NOT_NOW
        raise RpcError(found.what, found.mend, exit_code=code)
    try:
        args: JsonObject = {"application": name}
        answer = await peer.request("release-survey", args, timeout_s=SURVEY_LIMIT_S)
    except RpcError as error:
        if not error.mend:
            error.mend = f"look at {peer.name}; it needs a version of hapair that knows --release"
        raise
    there = answer.get("left_out")
    listed = tuple(map(str, there)) if isinstance(there, list) else ()
    here = await left_out(state, workshop, name)
    again = await _unit_again(state.built.application(name).application.program, run)
    return make_release(state, name, here, listed, again)


async def _unit_again(program: Program | None, run: CommandRunner) -> str:
    """Return what to type so that systemd starts a unit as it did; empty: it is none, or gone.

    RpcError: systemd gives no answer, so a part of that might be missing.
    """
    if not isinstance(program, Unit):
        return ""
    unit = await unit_facts(program.name, run)
    if isinstance(unit, ProgramUnit):
        triggers = await disabled_triggers(unit.name, run)
        if triggers is not None:
            return given_back(unit, triggers)
    elif unit.mend != NO_ANSWER:
        return ""
    what = f"systemd gives no answer about {program.name}, and what would start it"
    raise RpcError(what, NO_ANSWER, exit_code=ExitCode.NOT_NOW)


async def left_out(state: NodeState, workshop: Workshop, name: str) -> tuple[str, ...]:
    """Return the resources of an application of which a line of fstab is left out here."""
    entry = state.built.by_name.get(name)
    found = [
        volume.resource
        for volume in (entry.volumes if entry is not None else ())
        if await asyncio.to_thread(workshop.natives.left_out, volume)
    ]
    return tuple(found)


def job_of(built: Built, name: str, release: Release) -> Job:
    """Return the job that may be taken back; what follows gives back what is left then."""
    steps = release.giving_back
    back = Job(name, release.built, built, steps, begun=len(steps))
    return Job(name, built, release.built, release.leaving, then=back if steps else None)


async def ordered(asked: Awaitable[JsonObject]) -> Outcome:
    """Await what the daemon's core was asked for, as the outcome of a step."""
    try:
        await asked
    except RpcError as error:
        return Refused(str(error))
    return Done()


def not_ended(job_command: str, left: tuple[str, ...], start_again: str) -> RpcError:
    """Return what is said when the application is released, and not all of it is given back."""
    mend = f"mend the cause; it is tried again by itself, and when you type: {job_command}"
    if start_again:
        mend += f"; once its data is mounted its program is started by: {start_again}"
    return RpcError(
        f"it is out of the cluster, but this is left of it: {'; '.join(left)}",
        mend,
        exit_code=ExitCode.UNFINISHED,
    )
