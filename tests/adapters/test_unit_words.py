"""A unit's failure is told in its own words, and what its start waits for in systemd's."""

from collections.abc import Sequence
from typing import Final

import pytest

from hapair.adapters.programs.unit_words import SIGNS_MAX, waits_for, why_failed
from hapair.adapters.programs.units import Units
from hapair.model.application import Unit
from hapair.model.outcome import Refused
from hapair.ports.programs import Finished, TimedOut
from tests.fakes.small import Answer, FakeRunner

NAME: Final = "orders.service"
NOTHING: Final = Finished(0, "", "")
FAILED: Final = "Result={}\nInvocationID=5f6c\n"


def systemd(shown: str, journal: Answer = NOTHING, jobs: str = "") -> FakeRunner:
    return FakeRunner(
        {
            "systemctl show": Finished(0, shown, ""),
            "journalctl": journal,
            "systemctl list-jobs": Finished(0, jobs, ""),
        }
    )


@pytest.mark.parametrize(
    ("result", "printed", "words"),
    [
        ("exit-code", "no such table\n\nbye\n", "no such table / bye"),
        ("timeout", "waiting\n", "timeout / waiting"),
        ("start-limit-hit", "", "start-limit-hit"),
        ("success", "", ""),
        (
            "exit-code",
            "\x1b[31mred\x00\n",
            "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}",
        ),
    ],
)
async def test_a_failure_is_told_in_the_unit_s_own_words(
    result: str, printed: str, words: str
) -> None:
    run = systemd(FAILED.format(result), Finished(0, printed, ""))
    assert await why_failed(run, NAME) == words
    assert run.ran[-1].endswith("--lines=5 _SYSTEMD_INVOCATION_ID=5f6c")


async def test_many_words_are_cut_at_their_beginning() -> None:
    run = systemd(FAILED.format("exit-code"), Finished(0, "x" * 10_000 + " the end\n", ""))
    words = await why_failed(run, NAME)
    assert len(words) == SIGNS_MAX + 3
    assert words.startswith("...x")
    assert words.endswith("the end")


@pytest.mark.parametrize("journal", [TimedOut(2.0), Finished(1, "no journal", "")])
async def test_a_journal_that_tells_nothing_keeps_nobody(journal: Answer) -> None:
    assert await why_failed(systemd(FAILED.format("timeout"), journal), NAME) == "timeout"


@pytest.mark.parametrize("shown", ["Result=exit-code\nInvocationID=\n", "nonsense"])
async def test_a_unit_that_never_ran_has_said_nothing(shown: str) -> None:
    run = systemd(shown)
    assert await why_failed(run, NAME) == ""
    assert len(run.ran) == 1


async def test_a_start_that_failed_says_what_the_unit_said() -> None:
    def show(argv: Sequence[str]) -> Answer:
        state = "ActiveState=failed\n" if "ActiveState" in argv[2] else FAILED.format("exit-code")
        return Finished(0, state, "")

    run = FakeRunner(
        {
            "systemctl --no-ask-password restart": Finished(1, "", "Job for it failed."),
            "systemctl show": show,
            "journalctl": Finished(0, "cannot open /srv/orders/db\n", ""),
        }
    )
    outcome = await Units(run).start(Unit(NAME), timeout_s=5)
    assert isinstance(outcome, Refused)
    assert outcome.why.endswith("see journalctl -u orders.service: cannot open /srv/orders/db")


STARTING: Final = "ActiveState=activating\nSubState={}\nType={}\nControlPID={}\nStatusText={}\n"
QUEUED: Final = (
    "ActiveState=inactive\nSubState=dead\nJob=812\nAfter=basic.target srv-orders.mount\n"
)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            STARTING.format("start-pre", "notify", 77, ""),
            "orders.service waits for its ExecStartPre=, process 77",
        ),
        (
            STARTING.format("start", "notify", 0, "3 of 9"),
            "orders.service waits for it to say that it is ready (Type=notify); it says: 3 of 9",
        ),
        (
            STARTING.format("start", "forking", 9, ""),
            "orders.service waits for its start command to return (Type=forking), process 9",
        ),
        (
            STARTING.format("auto-restart", "exec", 0, ""),
            "orders.service waits for its next start (RestartSec=)",
        ),
        (STARTING.format("mounting", "", 0, ""), "orders.service waits (mounting)"),
        (QUEUED, "orders.service waits for srv-orders.mount"),
        (
            "ActiveState=deactivating\nSubState=stop\nType=notify\nControlPID=78\nJob=812\n",
            "orders.service waits for its ExecStop=, process 78",
        ),
        (
            "ActiveState=deactivating\nSubState=stop-sigterm\nStatusText=x\n",
            "orders.service waits for its processes to end, which were sent SIGTERM; it says: x",
        ),
        (
            "ActiveState=active\nJob=812\nAfter=basic.target\nBefore=srv-orders.mount\n",
            "orders.service waits for srv-orders.mount",
        ),
        ("ActiveState=active\nJob=0\n", ""),
        ("ActiveState=inactive\nJob=0\n", ""),
        ("", ""),
    ],
)
async def test_what_a_start_or_a_stop_waits_for_can_be_asked(shown: str, words: str) -> None:
    jobs = "811 srv-orders.mount start running\n812 orders.service start waiting\n"
    assert await waits_for(systemd(shown, jobs=jobs), NAME) == words


async def test_a_start_that_waits_for_what_nobody_knows_says_where_to_look() -> None:
    run = systemd(QUEUED, jobs="900 other.service start running\n\n")
    assert (await waits_for(run, NAME)).endswith("other jobs of systemd: systemctl list-jobs")
