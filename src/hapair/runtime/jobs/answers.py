"""What the builder says: to whoever typed the command, and to the peer's builder."""

from dataclasses import replace

from hapair.config.built_json import dumps as dump_built
from hapair.config.codec import encode
from hapair.core.plan.application import Plan
from hapair.core.plan.release import Release
from hapair.model.application import Application
from hapair.model.built import Built, BuiltApplication
from hapair.model.outcome import Done, Outcome
from hapair.model.problem import Problem
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.jobs.job import Job, JobFailedError


def as_text(built: Built, application: Application) -> str:
    """Carry the application in the form that the peer can read strictly."""
    return dump_built(
        replace(built, applications=(BuiltApplication(application, (), ""),))
    ).decode()


def as_answer(outcome: Outcome) -> JsonObject:
    """Tell the peer's builder how its step ended."""
    return {} if isinstance(outcome, Done) else {"refused": outcome.why}


def result(name: str, plan: Plan, warnings: tuple[Problem, ...]) -> JsonObject:
    """Tell what a build does."""
    return {
        "application": name,
        "summary": list(plan.summary),
        "steps": [step.text for step in plan.steps],
        "warnings": [str(problem) for problem in (*warnings, *plan.warnings)],
        "changed": False,
        "volumes": [encode(volume) for volume in plan.added],
    }


def released(name: str, release: Release | None, *, changed: bool) -> JsonObject:
    """Tell what a release does; None: nothing."""
    return {
        "application": name,
        "steps": list(release.texts) if release is not None else [],
        "told": list(release.told) if release is not None else [],
        "start_again": release.start_again if release is not None else "",
        "changed": changed,
    }


def somebody_builds(node: str) -> RpcError:
    """Refuse what another job is in the way of."""
    return RpcError(
        f"another clbuildapp is at work on {node}, or did not come to its end",
        "clstat says what becomes of it",
        exit_code=ExitCode.NOT_NOW,
    )


def failed(job: Job, error: JobFailedError) -> RpcError:
    """Return what is said when a job did not come to its end."""
    mend = "everything was taken back; mend the cause and type it again"
    if left := "; ".join(error.not_undone):
        mend = f"this could not be taken back: {left}; it is tried again by itself, and"
        mend += f" first of all when you type: {job.command}"
    return RpcError(str(error), mend)


def refused(name: str, problems: tuple[Problem, ...]) -> RpcError:
    """Refuse a build with all that is in its way."""
    return RpcError(
        f"{name} cannot be built as it is; nothing was changed",
        "mend what is listed and type it again",
        exit_code=ExitCode.USAGE,
        problems=tuple(_problem_object(problem) for problem in problems),
    )


def _problem_object(problem: Problem) -> JsonObject:
    return {
        "where": problem.where,
        "field": problem.field,
        "what": problem.what,
        "mend": problem.mend,
        "warning": problem.warning,
    }
