"""What all tests of adapters share."""

import pytest

from hapair.adapters.shared.process import watch_children_by_pidfd


@pytest.fixture(scope="session", autouse=True)
def _children_without_threads() -> None:
    """As in the daemon. Name spaces of mounts are also refused to a process with threads."""
    watch_children_by_pidfd()
