"""What is not to be measured is not slowed down by measuring."""

import sys


def test_nobody_traces_a_test_without_coverage() -> None:
    """Seen only where coverage is measured, with workers and without: make test, make check."""
    assert sys.gettrace() is None
