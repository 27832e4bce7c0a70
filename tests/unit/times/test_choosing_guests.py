"""The kind of guests is looked for when a scenario is to be played, and a worker may die."""

from pathlib import Path
from typing import Final

import pytest

from tests.unit.times.projects import Project

PROJECT: Final = """
import os
import pytest

@pytest.mark.lab(seconds=30)
def test_scenario():
    assert True

def test_killed():
    os.kill(os.getpid(), 9)

def test_pure():
    assert True
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, PROJECT)


@pytest.mark.parametrize("how", [("-m", "not lab"), ("-k", "pure or killed")])
@pytest.mark.parametrize("workers", [(), ("-n", "1", "--dist", "loadgroup")])
def test_where_no_scenario_is_played_nothing_is_probed(
    project: Project, how: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    done = project.run(*how, *workers, "--deselect", "test_it.py::test_killed")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 passed" in done.stdout
    assert not project.cache.exists()


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_kind_that_does_not_exist_is_one_sentence(
    project: Project, workers: tuple[str, ...]
) -> None:
    done = project.run(*workers, kind="vmware")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "HAPAIR_LAB_GUESTS is 'vmware'" in done.stderr
    assert "use qemu or uml" in done.stderr
    assert "INTERNALERROR" not in done.stdout


def test_a_worker_that_is_killed_takes_one_test_with_it(project: Project) -> None:
    done = project.run("-n", "1", kind="qemu")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 2 passed" in done.stdout
