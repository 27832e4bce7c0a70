"""Every command against every kind of daemon that is not what it should be.

The commands come from the place where they are registered, their options from their parsers, so
a new one is played by itself.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Final, NoReturn

import pytest

from hapair.cli import clstartup
from hapair.config.built_json import dumps
from hapair.rpc.client import PATIENCE_VARIABLE
from hapair.rpc.messages import JsonObject
from hapair.runtime.places import Places
from tests.cli import situations
from tests.cli.bad_daemon import KINDS, BadDaemon, Kind
from tests.cli.commands import MAINS, MODULES, Came, end_requests, given
from tests.cli.test_resolve import looked
from tests.config.reference import BUILT

# What is written for an option that takes a value, by its metavar.
SAMPLES: Final = {
    "APP": "orders", "NODE": "node2", "TIME": "5s", "WHEN": "2h", "N": "3", "CODE": "7Q2M-9XKD",
    "FILE": "cluster-20260801-101500-7.tar.gz", "STATEMENT": "peer-is-down",
    "UNIT|AGENT|FILE": "orders", "TOOL": "pacemaker", "NAME": "shop", "PLACE": "-",
}  # fmt: skip
# What a command takes in another way than its parser alone tells.
BESIDES: Final = {
    "clconfirm": [
        ("clconfirm", "copy-is-good", "orders", "--yes", "node1"),
        ("clconfirm", "copy-is-good", "orders", "--plan"),
    ],
}
# They show what they know without the daemon too, and that is what they were asked for.
CONTENT_WITHOUT: Final = {"clevents", "clnewapp", "clscan"}
# They print until Ctrl-C, or until nobody reads it.
ENDLESS: Final = ("--watch", "--follow")
READING: Final = ("status", "events", "why", "loss", "split-look")
STEPS: Final = ["a snapshot is kept", "the copies are connected"]


def optional(action: argparse.Action) -> list[str]:
    """Return one optional argument as it is written."""
    words = [action.option_strings[0]] if action.option_strings else []
    if action.nargs != 0:
        words.append(SAMPLES[str(action.metavar)])
    return words


def variants(command: str) -> list[tuple[str, ...]]:
    """Return the line with each option alone, and the same with --json."""
    actions = [
        action
        for action in MODULES[command].parser()._actions  # noqa: SLF001 - nobody else knows them
        if action.dest not in {"help", "version"} and action.help != argparse.SUPPRESS
    ]
    needed = [SAMPLES[str(each.metavar)] for each in actions if each.required]
    extra: list[list[str]] = [[], *(optional(each) for each in actions if not each.required)]
    lines = [(command, *needed, *words) for words in extra if words != ["--json"]]
    lines += BESIDES.get(command, [])
    if any("--json" in action.option_strings for action in actions):
        lines += [(*line, "--json") for line in lines]
    return lines


def usual(command: str) -> list[tuple[str, ...]]:
    """Return the variants that are played when it takes long."""
    words = "--json --plan --no-wait --shutdown --yes peer-is-down copy-is-good orders node1"
    wanted = set(words.split())
    return [line for line in variants(command) if set(line[1:]) <= wanted]


def teach(daemon: BadDaemon, line: tuple[str, ...]) -> None:
    """Let the daemon know what it answers as long as it is good."""
    status = situations.cut() if line[0] == "clconfirm" else situations.status()
    daemon.answer("status", situations.written_behind() if "copy-is-good" in line else status)
    daemon.answer("ping", {"node": "node1"})
    daemon.answer("why", {"application": "orders", "nodes": []})
    daemon.answer("loss", situations.loss())
    for verb in ("form", "leave", "run", "halt", "move", "confirm", "confirm-copy"):
        daemon.answer(verb, {"text": "so it is"})
    told: JsonObject = {"application": "orders", "steps": STEPS, "volumes": ["orders.data"]}
    daemon.answer("buildapp", told)
    daemon.answer("release", {"application": "orders", "steps": STEPS, "told": []})
    daemon.answer("abandon", {"steps": STEPS, "told": [], "aside": ""})
    daemon.answer("split-look", looked())
    daemon.answer("split-resolve", told)


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def judge(line: tuple[str, ...], came: Came, daemon: BadDaemon) -> None:
    """Fail when the command says more than it knows, or less."""
    about = f"{' '.join(line)}: {came}, not answered: {daemon.wronged}"
    endless = set(line) & set(ENDLESS)
    assert "Traceback" not in came.err, about
    assert "bug in hapair" not in came.err, about
    wronged = daemon.wronged - {"events", "ping"}
    if "events" in daemon.wronged and len(daemon.requests) == 1:
        wronged.add("events")  # Nothing else was asked for.
    if wronged and line[0] not in CONTENT_WITHOUT and not endless:
        assert came.code in daemon.kind.codes, about
    if came.code and line[0] != "clstat" and not endless:
        assert f"{line[0]}: error: " in came.err, about
        assert f"{line[0]}: mend: " in came.err, about
    if "--json" in line and came.code and not endless:
        told = json.loads(came.out, parse_constant=no_constant)
        assert told["error"], about
        assert told["mend"], about
        assert told["exit_code"] == came.code, about


class NoReader(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def play(node: Path, line: tuple[str, ...], kind: Kind, **how: object) -> None:
    daemon = BadDaemon(node, kind=kind, **how)  # type: ignore[arg-type]
    teach(daemon, line)
    with pytest.MonkeyPatch.context() as patch, daemon:
        patch.setenv(PATIENCE_VARIABLE, str(kind.patience))
        patch.setattr(clstartup, "DAEMON_START_S", 30.0)
        came = given(*line, out=NoReader() if set(line) & set(ENDLESS) else io.StringIO())
    end_requests()
    judge(line, came, daemon)


@pytest.fixture
def node(root: Path) -> Path:
    """A node on which a cluster is built."""
    places = Places(root)
    places.built.parent.mkdir(parents=True)
    places.built.write_bytes(dumps(BUILT))
    return root


ALL_KINDS: Final = pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])


@pytest.mark.parametrize("command", MODULES)
@ALL_KINDS
def test_no_command_is_done_without_an_answer(command: str, kind: Kind, node: Path) -> None:
    for line in usual(command) if kind.silent else variants(command):
        play(node, line, kind)


@pytest.mark.parametrize("command", MAINS)
@ALL_KINDS
def test_no_command_is_done_when_only_its_order_has_no_answer(
    command: str, kind: Kind, node: Path
) -> None:
    for line in usual(command):
        play(node, line, kind, good_verbs=READING)


@pytest.mark.parametrize("command", MAINS)
@ALL_KINDS
def test_no_command_is_done_when_the_daemon_goes_wrong_on_the_way(
    command: str, kind: Kind, node: Path
) -> None:
    for line in usual(command):
        for good in (1, 2, 3):
            play(node, line, kind, good=good)
