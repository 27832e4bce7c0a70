"""One run of clbuild, from reading clconf.xml to the last line."""

import argparse
import asyncio
import sys
from dataclasses import dataclass

from hapair.cli.both_nodes import alone, explained
from hapair.cli.build_report import (
    change_lines,
    check_line,
    plan_json,
    problem_lines,
    problems_json,
    show_problems,
)
from hapair.cli.clbuild import SAMPLE
from hapair.cli.common import ExitCode, print_json
from hapair.cli.main import Interrupted
from hapair.cli.progress import ProgressLine
from hapair.config.clconf import examine_clconf
from hapair.core.plan.situation import addresses_of, identify
from hapair.model.problem import Problem
from hapair.rpc.messages import Progress, RpcError
from hapair.runtime.build.build import Builder, Survey, Wanted
from hapair.runtime.build.change import Activated
from hapair.runtime.build.hands import Hands
from hapair.runtime.build.wiring import run_interruptible
from hapair.runtime.places import Places


def build(options: argparse.Namespace, where: Places, hands: Hands) -> int:
    """Read, scan, check, and unless something is wrong or --plan is given, change both nodes."""
    with alone(where):
        wanted, warnings = _wanted(options, where, hands)
        peer = wanted.cluster.peer_of(wanted.me)
        with ProgressLine("scanning both nodes") as progress, explained(wanted.me, peer):
            session = Session(options, progress, warnings, hands)
            return run_interruptible(session.run(wanted, where))


def _wanted(
    options: argparse.Namespace, where: Places, hands: Hands
) -> tuple[Wanted, tuple[Problem, ...]]:
    """Read clconf.xml and find out which node this is; refuse with everything that is wrong."""
    try:
        text = where.clconf.read_bytes()
    except FileNotFoundError:
        raise RpcError(
            f"{where.clconf} does not exist",
            f"cp {SAMPLE} {where.clconf}, then edit it",
            exit_code=ExitCode.USAGE,
        ) from None
    reading = examine_clconf(text, file=str(where.clconf))
    if reading.value is None:
        if not options.json:
            show_problems(reading.problems)
        raise RpcError(
            f"{where.clconf} has errors; nothing was changed",
            "correct them, then run clbuild again",
            exit_code=ExitCode.USAGE,
            problems=tuple(problems_json(reading.problems)) if options.json else (),
        )
    me = identify(reading.value, hands.host_name(), run_interruptible(hands.local_addresses()))
    if me is None:
        raise RpcError(
            f"this machine, {hands.host_name()}, is none of the nodes"
            f" {' and '.join(reading.value.nodes)} and has no address of theirs",
            "run clbuild on one of the nodes, or correct clconf.xml",
            exit_code=ExitCode.USAGE,
        )
    return Wanted(reading.value, text, me), reading.problems


@dataclass(slots=True)
class Session:
    """One run of clbuild, from the first connection to the last line."""

    options: argparse.Namespace
    progress: ProgressLine
    warnings: tuple[Problem, ...]  # Of clconf.xml itself.
    hands: Hands

    def say(self, text: str) -> None:
        self.progress.show(Progress(text))
        # At a terminal the next step would wipe the line away.
        if self.options.verbose and sys.stderr.isatty():
            self.progress.say(f"  {text}")

    async def run(self, wanted: Wanted, where: Places) -> int:
        peer = wanted.cluster.peer_of(wanted.me)
        self.say(f"connecting to {peer}")
        async with self.hands.peer_seat(peer, addresses_of(wanted.cluster, peer)) as remote:
            builder = Builder(wanted, self.hands.local_seat(wanted.me, where), remote, self.say)
            survey = await self._survey(builder)
            if any(survey.leftovers.values()) and not self.options.plan:
                await builder.settle(survey)
                survey = await self._survey(builder)
            self._show(survey)
            plan = survey.plan
            if self.options.plan or not (plan.changes or plan.services):
                return self._end(survey, "planned" if self.options.plan else "unchanged")
            if plan.changes:
                await builder.carry_out(survey)
            activated = await self._activate(builder, survey)
        return self._end(survey, "built", activated)

    async def _activate(self, builder: Builder, survey: Survey) -> tuple[Activated, ...]:
        try:
            return await builder.activate(survey)
        except asyncio.CancelledError:
            raise Interrupted(
                "The configuration is committed on both nodes; clbuild, typed again, tells the"
                " daemons"
            ) from None

    async def _survey(self, builder: Builder) -> Survey:
        survey = await builder.survey(force=self.options.force)
        if isinstance(survey, Problem):
            raise RpcError(
                f"{survey.where}: {survey.what}", survey.mend, exit_code=ExitCode.NOT_NOW
            )
        return survey

    def _show(self, survey: Survey) -> None:
        """Show checks and problems; refuse when there is an error among them."""
        if self.options.verbose:
            for checked in survey.checked:
                self.progress.say(check_line(checked))
        problems = (*self.warnings, *survey.problems)
        if not self.options.json or not survey.refused:
            for line in problem_lines(problems):
                self.progress.say(line)
        if survey.refused:
            if self.options.plan and not self.options.json:
                self._show_changes(survey)
            count = sum(not problem.warning for problem in problems)
            raise RpcError(
                f"{count} {'error' if count == 1 else 'errors'}; nothing was changed",
                "mend them, then run clbuild again",
                problems=tuple(problems_json(problems)) if self.options.json else (),
            )

    def _show_changes(self, survey: Survey) -> None:
        lines = change_lines((*survey.plan.changes, *survey.plan.services))
        print("\n".join(lines) if lines else "nothing to do")

    def _end(self, survey: Survey, outcome: str, activated: tuple[Activated, ...] = ()) -> int:
        plan, name = survey.plan, survey.situation.cluster.name
        failed = [each for each in activated if each.error]
        if self.options.json:
            content = plan_json(plan, outcome)
            content["problems"] = problems_json((*self.warnings, *survey.problems))
            print_json(content)
        else:
            if outcome == "planned" or self.options.verbose:
                self._show_changes(survey)
            if outcome == "unchanged":
                print(f"nothing to do: cluster {name}, generation {plan.built.generation}")
            if outcome == "built":
                print(f"cluster {name} is built, generation {plan.built.generation}")
                for each in activated:
                    print(f"  {each.node}: {each.error or each.note}")
        if failed:
            raise RpcError(
                f"the configuration is committed, but {failed[0].node}: {failed[0].error}",
                failed[0].mend,
                exit_code=ExitCode.UNFINISHED,
            )
        if outcome != "planned" and not survey.situation.formed and not self.options.json:
            print("next: clform")
        return int(ExitCode.DONE)
