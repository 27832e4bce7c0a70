"""What clbuildapp announces before it changes anything."""

from dataclasses import replace

from hapair.core.plan.application import Plan, make_plan
from tests.jobs.material import HERE, ORDERS, situation


def test_a_change_of_the_configuration_alone_is_announced() -> None:
    first = make_plan(situation())
    assert isinstance(first, Plan)
    changed = replace(ORDERS, failback=True)
    second = make_plan(
        situation(built=first.built, application=changed, here=replace(HERE, mounts=()))
    )
    assert isinstance(second, Plan), [str(problem) for problem in second]
    assert second.summary == ("the configuration of orders changes",)


def test_a_file_that_was_only_laid_out_anew_announces_nothing() -> None:
    first = make_plan(situation())
    assert isinstance(first, Plan)
    given = situation(built=first.built, here=replace(HERE, mounts=()))
    second = make_plan(replace(given, fingerprint="another layout"))
    assert isinstance(second, Plan), [str(problem) for problem in second]
    assert second.summary == ()
