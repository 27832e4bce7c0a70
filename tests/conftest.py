"""Options and defaults that every test shares."""

import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a shell: the commands that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

LAB_TIMEOUT_S = 1200  # Guests are emulated: slow, and slower when the host is busy.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write what happened into the transcripts and generated documents; read the diff",
    )
    parser.addoption(
        "--seeds",
        type=int,
        default=100,
        metavar="N",
        help="how many seeds of the simulator are played (default: 100)",
    )


# What shares something that there is one of: the machine's cores for guests, its network names.
ONE_AT_A_TIME = ("lab", "native")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with guests last and one at a time, and give them the time that emulation takes.

    With ``-n 2 --dist loadgroup --no-loadscope-reorder`` the other tests use both cores before
    that; a group is run by one worker, in order.
    """
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)
    for item in items:
        for name in ONE_AT_A_TIME:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.xdist_group(name))
        if item.get_closest_marker("lab") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LAB_TIMEOUT_S))
