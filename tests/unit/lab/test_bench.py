"""What measures refuses what would measure nothing, before it starts anything."""

import pytest

from bench import applications
from bench.failover import parser
from hapair_lab.applications import ALL


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--runs", "0"), "it has to be 1 or more"),
        (("--runs", "x"), "it has to be 1 or more"),
        (("--guests", "x"), "choose from 'qemu', 'uml'"),
        (("--native", "--guests", "uml"), "not allowed with argument"),
    ],
)
def test_wrong_use_is_refused_in_words(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(words)
    assert said in capsys.readouterr().err.replace("qemu, uml", "'qemu', 'uml'")


def test_runs_are_counted_and_guests_are_named() -> None:
    options = parser().parse_args(("--runs", "3", "--guests", "uml"))
    assert (options.runs, options.guests, options.native) == (3, "uml", False)


def test_an_application_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert [each.name for each in applications.parser().parse_args(["redis"]).applications] == [
        "redis"
    ]
    assert applications.parser().parse_args([]).applications == []
    with pytest.raises(SystemExit):
        applications.parser().parse_args(["rediss"])
    assert f"'rediss' is none of {', '.join(ALL)}" in capsys.readouterr().err
