"""Real applications from their Debian packages, as the examples of our package have them."""

import pytest

from hapair_lab import cluster
from hapair_lab.applications import ALL
from hapair_lab.applications.play import long_story, short_story
from tests.labs import LabFrom

SHORT = ("postgresql", "redis")


@pytest.mark.lab(seconds=45)
@pytest.mark.parametrize("name", SHORT)
def test_one_that_crashes_is_back_here_and_one_that_loses_its_power_there(
    lab_from: LabFrom, name: str
) -> None:
    """FAIL: it moves for one crash, is not taken over, or an acknowledged write is missing."""
    short_story(lab_from(cluster.formed_step(booted=ALL[name].booted)), ALL[name])


@pytest.mark.long
@pytest.mark.lab(seconds=240)
@pytest.mark.parametrize("name", ALL)
def test_everything_that_befalls_one(lab_from: LabFrom, name: str) -> None:
    """FAIL: a hang is not noticed, it moves for a full disk, or not when crashes do not end."""
    long_story(lab_from(cluster.formed_step(booted=ALL[name].booted)), ALL[name])
