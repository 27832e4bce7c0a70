"""Each sentence of what clbuildapp never does has tests that try to make it a lie."""

import ast
from pathlib import Path
from typing import Final

import pytest

from hapair.cli.clbuildapp import PAGE

TESTS: Final = Path(__file__).parents[1]
OTHERS: Final = "lab/test_volumes_of_others.py::test_what_lies_on_the_peer_is_seen_before"
CANNOT: Final = "lab/test_applications.py::test_clbuildapp_that_cannot_go_on_leaves_everything"
COPIES: Final = "jobs/test_copies_of_others.py::"
PLAN: Final = "jobs/test_application_plan.py::"
# The beginning of a sentence, and the beginnings of its tests' names.
TRIED_BY: Final = {
    "It never destroys data": (
        OTHERS,
        f"{PLAN}test_what_is_in_the_way_is_said_before_anything",
        "jobs/test_builder.py::test_taking_back_leaves_a_volume_that_somebody_else_made",
        "contract/test_logical_volumes.py::test_data_without_a_name_is_in_the_way",
    ),
    "It never takes a volume of the other node that it cannot look at": (
        OTHERS,
        "contract/test_logical_volumes.py::test_a_volume_that_nobody_can_look_at_is_not_free",
        "contract/test_logical_volumes.py::test_every_byte_is_looked_at_before_it_is_overwritten",
        f"{COPIES}test_data_that_only_the_whole_look_finds_ends_the_build",
        "jobs/test_builder.py::test_taking_back_leaves_a_volume_that_somebody_else_made",
    ),
    "It never begins when a step can be seen to fail": (
        CANNOT,
        "lab/test_interrupted_builds.py::test_a_file_system_in_two_parts_is_refused",
        f"{COPIES}test_what_cannot_be_carried_over_is_seen_before_the_mount_is_touched",
        f"{PLAN}test_what_is_in_the_way_is_said_before_anything",
    ),
    "It never touches other applications": (
        "lab/test_applications.py::test_application_is_added_while_another_runs",
    ),
    "With --release it never removes a copy of the data": (
        "jobs/test_release.py::test_a_trouble_at_any_moment_ends_in_one_of_two_states",
        "core/test_release.py::test_neither_node_has_a_right_to_it_before_its_data_is_mounted",
        "lab/test_release.py::test_an_application_leaves_the_cluster_and_is_built_anew",
    ),
    "With --abandon it never touches what is built": (
        "jobs/test_abandon.py::test_what_is_built_is_not_taken_back",
        "core/test_remnants.py::test_a_made_volume_stays_unless_its_home_answers",
        "core/test_remnants.py::test_what_either_node_uses_is_never_touched",
        f"{COPIES}test_a_disk_that_was_replaced_does_not_cost_the_copy",
        f"{COPIES}test_a_copy_that_was_left_to_somebody_is_not_removed",
    ),
}


def names_in(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in tree.body if isinstance(node, functions)]


@pytest.mark.parametrize("sentence", PAGE.never)
def test_a_sentence_has_tests(sentence: str) -> None:
    beginnings = [each for each in TRIED_BY if sentence.startswith(each)]
    assert len(beginnings) == 1, "write down which tests try to make it a lie"
    for named in TRIED_BY[beginnings[0]]:
        file, _, beginning = named.partition("::")
        assert any(name.startswith(beginning) for name in names_in(TESTS / file)), named


def test_no_sentence_was_forgotten() -> None:
    assert len(TRIED_BY) == len(PAGE.never)
