"""One run of clbuild, from reading clconf.xml to the last line."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hapair.cli.common import SAMPLE, ExitCode, print_json
from hapair.cli.main import Interrupted, about_file
from hapair.cli.pages.build_report import (
    change_lines,
    check_line,
    plan_json,
    problem_lines,
    problems_json,
    show_problems,
)
from hapair.cli.screen.progress import ProgressLine
from hapair.cli.sessions.both_nodes import alone, explained
from hapair.cli.sessions.witness import check_witnesses, no_witness
from hapair.config.clconf import examine_clconf
from hapair.core.plan.situation import addresses_of, identify
from hapair.model.cluster import ArbitrationKind
from hapair.model.problem import Problem
from hapair.rpc.messages import Progress, RpcError
from hapair.runtime.building.build import Builder, Survey, Wanted
from hapair.runtime.building.change import Activated
from hapair.runtime.building.files import read_written
from hapair.runtime.building.hands import Hands
from hapair.runtime.building.wiring import run_interruptible
from hapair.runtime.building.witness_work import WitnessWork
from hapair.runtime.places import Places


def build(options: argparse.Namespace, where: Places, hands: Hands) -> int:
    """Read, scan, check, and unless something is wrong or --plan is given, change both nodes."""
    with alone(where):
        wanted, warnings = _wanted(options, where, hands)
        if options.check_witness:
            return run_interruptible(check_witnesses(options, wanted, where, hands))
        peer = wanted.cluster.peer_of(wanted.me)
        with ProgressLine("scanning both nodes") as progress, explained(wanted.me, peer):
            session = Session(options, progress, warnings, hands)
            return run_interruptible(session.run(wanted, where))


def _wanted(
    options: argparse.Namespace, where: Places, hands: Hands
) -> tuple[Wanted, tuple[Problem, ...]]:
    """Read clconf.xml and find out which node this is; refuse with everything that is wrong."""
    try:
        text = read_written(where.clconf)
    except FileNotFoundError:
        raise RpcError(
            f"{where.clconf} does not exist",
            f"cp {SAMPLE} {where.clconf}, then edit it",
            exit_code=ExitCode.USAGE,
        ) from None
    except OSError as error:
        raise about_file(error, ExitCode.USAGE, place=where.clconf) from None
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
    return Wanted(reading.value, text, me, reading.places), reading.problems


@dataclass(slots=True)
class Session:
    """One run of clbuild, from the first connection to the last line."""

    options: argparse.Namespace
    progress: ProgressLine
    warnings: tuple[Problem, ...]  # Of clconf.xml itself.
    hands: Hands

    def say(self, text: str) -> None:
        self.progress.show(Progress(text))
        # At a terminal the line that shows this step is overwritten by the next step.
        if self.options.verbose and sys.stderr.isatty():
            self.progress.say(f"  {text}")

    async def run(self, wanted: Wanted, where: Places) -> int:
        peer = wanted.cluster.peer_of(wanted.me)
        self.say(f"connecting to {peer}")
        async with self.hands.peer_seat(peer, addresses_of(wanted.cluster, peer)) as remote:
            builder = Builder(wanted, self.hands.local_seat(wanted.me, where), remote, self.say)
            with self._witnesses(wanted, where) as witnesses:
                return await self._build(builder, witnesses)

    @contextmanager
    def _witnesses(self, wanted: Wanted, where: Places) -> Iterator[WitnessWork | None]:
        """Yield the witnesses' part of the build; None when the arbitration asks nobody."""
        codes = self.options.witness_code
        if wanted.cluster.arbitration is not ArbitrationKind.WITNESS:
            if codes:
                raise no_witness("--witness-code")
            yield None
            return
        access = self.hands.witnesses(wanted.cluster.name, wanted.me, where)
        try:
            yield WitnessWork(access, wanted.cluster, wanted.me, codes)
        finally:
            access.close()

    async def _build(self, builder: Builder, witnesses: WitnessWork | None) -> int:
        survey = await self._survey(builder)
        if any(survey.leftovers.values()) and not self.options.plan:
            await builder.settle(survey)
            survey = await self._survey(builder)
        if witnesses is not None:
            survey = await self._look(survey, witnesses)
        self._show(survey)
        plan, outcome = survey.plan, "unchanged"
        if self.options.plan:
            return self._end(survey, "planned")
        activated: tuple[Activated, ...] = ()
        if plan.changes:
            await builder.carry_out(survey)
        if plan.changes or plan.services:
            outcome, activated = "built", await self._activate(builder, survey)
        if witnesses is not None:
            await self._join(witnesses)
        return self._end(survey, outcome, activated)

    async def _look(self, survey: Survey, witnesses: WitnessWork) -> Survey:
        """Ask the witnesses; their places are made only when all else is well."""
        self.say("looking at the witnesses")
        prepared = not (self.options.plan or survey.refused)
        if prepared:
            await witnesses.prepare()
        new_pairs = [work.node for work in survey.plan.work if work.new_key_pair]
        checked = await witnesses.checked(new_pairs, prepared=prepared)
        return replace(survey, checked=(*survey.checked, checked))

    async def _join(self, witnesses: WitnessWork) -> None:
        self.say("making the cluster known to the witness")
        problems = await witnesses.join()
        for line in problem_lines(problems):
            self.progress.say(line)
        errors = [problem for problem in problems if not problem.warning]
        if errors:
            raise RpcError(
                f"the configuration is committed, but {errors[0].field}: {errors[0].what}",
                errors[0].mend,
                exit_code=ExitCode.UNFINISHED,
            )

    async def _activate(self, builder: Builder, survey: Survey) -> tuple[Activated, ...]:
        try:
            return await builder.activate(survey)
        except asyncio.CancelledError:
            raise Interrupted(
                "The configuration is committed on both nodes; clbuild, typed again, tells the"
                " daemons"
            ) from None

    async def _survey(self, builder: Builder) -> Survey:
        survey = await builder.survey(
            force=self.options.force, rotate_secret=self.options.rotate_secret
        )
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
