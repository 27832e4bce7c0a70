"""Two real daemons in name spaces of this machine; see bench/native/cluster.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.native.cluster import Pair, Timings, pair

# Longer than the bench's: these tests ask what happens, not how fast, on machines that are busy.
TIMINGS = Timings(detection_s=6.0, heartbeat_s=0.2)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Pair]:
    """Return a formed cluster whose application runs on node1."""
    with pair(tmp_path, TIMINGS) as made:
        try:
            made.form()
            yield made
        finally:
            print(made.logs())  # Shown by pytest when the test fails.
