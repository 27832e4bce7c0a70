"""The drbdsetup of 8.4 is called directly as long as it can be started."""

from collections.abc import AsyncGenerator, Callable

from hapair.adapters.drbd.argv import SETUP, SETUP_OF_8_4, Argv
from hapair.adapters.drbd.direct import Direct
from hapair.ports.programs import Finished
from tests.fakes.small import FakeRunner

MISSING = Finished(127, "", "command not found")


async def _follow(argv: Argv, idle_s: Callable[[], float]) -> AsyncGenerator[tuple[str, ...]]:
    del idle_s
    yield ()
    if argv[0] == SETUP:
        yield ("exists -",)


def made(run: FakeRunner) -> Direct:
    direct = Direct(run, _follow)
    direct.setup = SETUP_OF_8_4
    return direct


async def test_what_an_upgrade_took_away_is_called_by_its_usual_name_from_then_on() -> None:
    run = FakeRunner({SETUP_OF_8_4: MISSING})
    direct = made(run)
    assert await direct((direct.setup, "primary", "10"), timeout_s=5) == Finished(0, "", "")
    assert run.ran == [f"{SETUP_OF_8_4} primary 10", "drbdsetup primary 10"]
    assert direct.setup == SETUP


async def test_any_other_answer_counts() -> None:
    for argv, answer in (
        ((SETUP_OF_8_4, "primary"), Finished(11, "", "no")),
        (("drbdadm", "adjust"), MISSING),
    ):
        run = FakeRunner({"": answer})
        direct = made(run)
        assert await direct(argv, timeout_s=5) == answer
        assert len(run.ran) == 1
        assert direct.setup == SETUP_OF_8_4


async def test_a_stream_that_told_nothing_is_begun_by_its_usual_name_the_next_time() -> None:
    direct = made(FakeRunner())
    for told in ([()], [(), ("exists -",)]):
        assert [each async for each in direct.follow((direct.setup,), lambda: 1.0)] == told
    assert direct.setup == SETUP
