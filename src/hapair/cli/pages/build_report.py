"""How clbuild and clrestore show what they found and what they would change."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

from hapair.cli.screen.terminal import Style, filled, paint_for
from hapair.core.plan.cluster import Change, Plan
from hapair.core.plan.cluster_checks import Checked
from hapair.model.problem import Problem
from hapair.rpc.messages import JsonObject


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Lay problems out by place, in their order: what is wrong, then how to mend it."""
    paint = paint_for(sys.stderr)
    lines = []
    for where, group in groupby(problems, key=lambda problem: problem.where):
        lines.append(paint(Style.STRONG, where))
        for problem in group:
            kind = "warning" if problem.warning else "error"
            style = Style.WARNING if problem.warning else Style.ALARM
            head = f"  {paint(style, kind)}{' ' * (9 - len(kind))}"
            lines += filled(f"{problem.field}: {problem.what}", head)
            lines += filled(problem.mend, "           mend: ")
    return lines


def show_problems(problems: Sequence[Problem]) -> None:
    for line in problem_lines(problems):
        print(line, file=sys.stderr)


def check_line(checked: Checked) -> str:
    """One line per check, for --verbose."""
    if checked.failed:
        return f"  failed   {checked.title}"
    return f"  {'warning' if checked.problems else 'ok':<7}  {checked.title}"


def change_lines(changes: Iterable[Change]) -> list[str]:
    """Show changes as a diff that people read: + new, - gone, ~ other."""
    lines = []
    for where, group in groupby(changes, key=lambda change: change.where):
        lines.append(f"{where}:")
        for change in group:
            match change.before, change.after:
                case "", after:
                    lines.append(f"  + {change.what}: {after}")
                case before, "":
                    lines.append(f"  - {change.what}: {before}")
                case before, after:
                    lines += [f"  ~ {change.what}: {before}", f"      -> {after}"]
    return lines


def problems_json(problems: Iterable[Problem]) -> list[JsonObject]:
    return [asdict(problem) for problem in problems]


def plan_json(plan: Plan, outcome: str) -> JsonObject:
    every = (*plan.changes, *plan.services)
    return {
        "outcome": outcome,
        "generation": plan.built.generation,
        "changes": [asdict(change) for change in every],
    }
