"""What the soak draws, what it holds against the cluster, and what it says in the end."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest

from hapair.model.cluster import ArbitrationKind
from hapair_lab.channel import Finished
from hapair_lab.errors import LabError
from hapair_lab.rules import BrokenRuleError, NodeSeen
from hapair_lab.soak.__main__ import main
from hapair_lab.soak.figures import Figures, RoundResult
from hapair_lab.soak.menu import MENU
from hapair_lab.soak.play import Round, moments_of
from hapair_lab.soak.promise import REFUSED, refusal
from hapair_lab.soak.schedule import RoundPlan, deck, plan_round
from hapair_lab.soak.watch import (
    DRBD,
    MOUNTS,
    PROGRAMS,
    History,
    Sample,
    programs_of,
    read_seen,
)
from hapair_lab.soak.words import OF_THE_WITNESS, Fault, Kind, Role
from hapair_lab.soak.writers import CLIENT, Acknowledged

PATHS: Final = ArbitrationKind.PATHS
WITNESS: Final = ArbitrationKind.WITNESS


def fault(kind: Kind, at_s: float = 0.0, for_s: float = 5.0, role: Role = Role.ACTIVE) -> Fault:
    return Fault(kind, role, at_s, for_s)


@pytest.mark.parametrize("arbitration", REFUSED)
def test_the_same_seed_and_round_give_the_same_faults(arbitration: ArbitrationKind) -> None:
    plans = [plan_round(7, number, arbitration) for number in range(1, 60)]
    assert plans == [plan_round(7, number, arbitration) for number in range(1, 60)]
    assert plans != [plan_round(8, number, arbitration) for number in range(1, 60)]


@pytest.mark.parametrize("arbitration", REFUSED)
def test_nothing_is_drawn_that_is_not_promised(arbitration: ArbitrationKind) -> None:
    for number in range(1, 400):
        faults = plan_round(1, number, arbitration).faults
        for index, each in enumerate(faults):
            assert refusal(arbitration, each, faults[:index]) is None


@pytest.mark.parametrize("arbitration", REFUSED)
def test_every_kind_that_can_be_borne_comes_first_once_in_a_cycle(
    arbitration: ArbitrationKind,
) -> None:
    kinds = deck(1, 0, arbitration)
    firsts = [plan_round(1, n, arbitration).faults[0].kind for n in range(1, len(kinds) + 1)]
    assert sorted(firsts) == sorted(kinds)


def test_only_a_witness_bears_everything() -> None:
    assert set(deck(1, 0, WITNESS)) == set(Kind)
    assert not OF_THE_WITNESS & set(deck(1, 0, PATHS))
    assert Kind.BOTH_SWITCHES not in deck(1, 0, PATHS)
    assert Kind.BOTH_SWITCHES in deck(1, 0, ArbitrationKind.OPERATOR)


def test_every_kind_can_be_done() -> None:
    assert set(MENU) == set(Kind)


@pytest.mark.parametrize(
    ("name", "before", "then"),
    [
        ("two-ways", fault(Kind.PUBLIC_SWITCH), fault(Kind.PRIVATE_CABLE, at_s=8.0)),
        ("two-ways", fault(Kind.KILL_DAEMON), fault(Kind.PRIVATE_CABLE, at_s=30.0)),
        ("last-copy", fault(Kind.DISK), fault(Kind.RESET, at_s=30.0)),
        ("last-copy", fault(Kind.PRIVATE_CABLE), fault(Kind.DISK, at_s=30.0)),
        ("nobody-there", fault(Kind.REBOOT), fault(Kind.CLOCK, at_s=30.0)),
        ("same-again", fault(Kind.PRIVATE_CABLE), fault(Kind.PRIVATE_CABLE, at_s=3.0)),
        ("no-witness", fault(Kind.MOVE), fault(Kind.WITNESS_CUT, at_s=3.0)),
    ],
)
def test_with_paths_some_combinations_are_beyond_the_promise(
    name: str, before: Fault, then: Fault
) -> None:
    row = refusal(PATHS, then, (before,))
    assert row is not None
    assert row.name == name


@pytest.mark.parametrize("arbitration", REFUSED)
def test_a_power_loss_at_any_moment_after_the_replication_link_is_promised(
    arbitration: ArbitrationKind,
) -> None:
    """The kernel acknowledges nothing alone before the peer has stored that it is behind."""
    cut = fault(Kind.PRIVATE_CABLE)
    assert refusal(arbitration, fault(Kind.POWER_OFF, at_s=0.5), (cut,)) is None
    assert refusal(arbitration, fault(Kind.FREEZE, for_s=20.0), ()) is None


def texts(
    state: str = "cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----",
) -> dict[str, str]:
    return {
        DRBD: f"version: 8.4.11\n 0: {state}\n    ns:1 nr:0\n 1: cs:Connected "
        "ro:Secondary/Primary ds:UpToDate/UpToDate C r-----\n",
        MOUNTS: "/dev/vda / ext4 rw,noatime 0 0\n/dev/drbd0 /srv/orders ext4 rw,relatime 0 0\n",
        PROGRAMS.format("orders"): "812\n",
        PROGRAMS.format("bank"): "",
    }


def test_the_files_of_a_kernel_say_who_can_write() -> None:
    seen = read_seen("node1", texts(), ("orders", "bank"), held_by_kernel=False)
    assert seen == NodeSeen("node1", ("drbd0",), ("/srv/orders",), ("orders",))


def test_a_unit_runs_where_its_own_group_has_processes() -> None:
    assert programs_of("orders") == PROGRAMS.format("orders")
    asked = texts() | {programs_of("postgresql"): "4711\n"}
    seen = read_seen("node1", asked, ("orders", "postgresql"), held_by_kernel=False)
    assert seen.programs == ("orders", "postgresql")


def test_a_client_is_promised_what_was_acknowledged_and_nothing_between() -> None:
    rows = Acknowledged()
    for line in ("begun 1.0 2.0", "ok 1 1.5", "ok 4 1.9"):
        rows.take(line)
    assert rows.promised() == {CLIENT: {1, 4}}
    tellers = Acknowledged()
    tellers.take("ok 7 3 1.5")
    assert tellers.promised() == {"7": range(1, 4), CLIENT: set()}


@pytest.mark.parametrize(
    "state",
    [
        "cs:WFConnection ro:Primary/Unknown ds:UpToDate/DUnknown C s-----",
        "cs:StandAlone ro:Primary/Unknown ds:UpToDate/DUnknown   s-----",
        "cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----",
        "cs:WFConnection ro:Primary/Unknown ds:Diskless/DUnknown C r-----",
        "cs:StandAlone ro:Primary/Unknown ds:Diskless/DUnknown   r-----",
    ],
)
def test_a_side_whose_writes_the_kernel_holds_is_no_writer(state: str) -> None:
    seen = read_seen("node1", texts(state), ("orders", "bank"), held_by_kernel=True)
    assert seen == NodeSeen("node1", (), (), ())


@pytest.mark.parametrize(
    "state",
    [
        "cs:WFConnection ro:Primary/Unknown ds:UpToDate/Outdated C r-----",
        "cs:SyncSource ro:Primary/Secondary ds:UpToDate/Inconsistent C r-----",
    ],
)
def test_a_side_that_has_a_disk_or_a_peer_may_write(state: str) -> None:
    seen = read_seen("node1", texts(state), ("orders", "bank"), held_by_kernel=True)
    assert seen.primary == ("drbd0",)


def sample(node: str, at_s: float, *programs: str) -> Sample:
    seen = NodeSeen(node, (), (), programs)
    return Sample(seen, seen, at_s, at_s + 0.1)


def test_a_move_between_two_samples_is_no_overlap() -> None:
    history = History()
    for at_s in (0.0, 0.3, 0.6):
        history.add(sample("node1", at_s, "orders"))
        history.add(sample("node2", at_s))
    history.add(sample("node2", 0.65, "orders"))
    history.add(sample("node1", 0.9))
    history.add(sample("node2", 0.95, "orders"))
    history.add(sample("node1", 1.2))


def test_two_sides_at_one_moment_are_found() -> None:
    history = History()
    for at_s in (0.0, 0.3, 0.6):
        history.add(sample("node1", at_s, "orders"))
    history.add(sample("node2", 0.2, "orders"))
    with pytest.raises(BrokenRuleError, match="R1: node1 and node2 run orders"):
        history.add(sample("node2", 0.5, "orders"))


def test_a_node_that_did_not_answer_for_long_proves_nothing() -> None:
    history = History()
    history.add(sample("node1", 0.0, "orders"))
    history.add(sample("node1", 60.0, "orders"))
    history.add(sample("node2", 20.0, "orders"))
    history.add(sample("node2", 20.3, "orders"))
    late = NodeSeen("node2", (), (), ("orders",))
    history.add(Sample(late, late, 21.0, 70.0))


def result(number: int, *, outage_s: float, broken: str = "") -> RoundResult:
    return RoundResult(
        number=number,
        at_s=65.0 * number,
        plan="power off (active, 5.0 s)",
        kinds=(Kind.POWER_OFF.value,),
        outages_s={"orders": outage_s, "bank": 0.4},
        redundant_after_s=31.0,
        broken=broken,
    )


def test_the_summary_counts_what_was_survived_and_names_the_longest_outage() -> None:
    figures = Figures(3, "paths", [result(1, outage_s=4.0), result(2, outage_s=9.5)])
    text = figures.summary()
    assert "9.5 s (round 2)" in text
    assert "power off                                    2" in text
    assert text.endswith("nothing went wrong")
    assert json.loads(json.dumps(figures.as_json()))["longest_outage_s"] == 9.5


def test_a_round_that_failed_is_not_survived() -> None:
    figures = Figures(3, "paths", [result(1, outage_s=4.0, broken="R2: 3 are gone\nmore")])
    assert not figures.ok
    assert figures.survived() == {}
    assert "FAILED: R2: 3 are gone" in figures.rounds[0].line()
    assert figures.summary().endswith("SOMETHING WENT WRONG")


def test_a_lab_that_could_not_go_on_proved_nothing() -> None:
    figures = Figures(3, "paths", [result(1, outage_s=4.0)], ended_by="node1 does not boot")
    assert not figures.ok
    assert figures.summary().endswith("SOMETHING WENT WRONG")


class Node:
    """What the soak asks of a machine that it does not reach, and of the other one."""

    def __init__(self, name: str, hears: str = "", heard_ago_s: float | None = None) -> None:
        self.name = name
        self.done: list[str] = []
        said = {"peer_view": {"standing": hears, "heard_ago_s": heard_ago_s}}
        self._said = json.dumps({"nodes": {name: said}})

    def run(self, _: str) -> Finished:
        return Finished(0, self._said, "")

    def note(self, what: str) -> None:
        self.done.append(what)

    def reset(self, *, wait: bool) -> None:
        self.done.append(f"reset, {wait=}")


def not_reached(hears: str, heard_ago_s: float | None) -> tuple[Round, Any]:
    nodes = (Node("node1", hears, heard_ago_s), Node("node2"))
    lab: Any = SimpleNamespace(nodes=nodes)
    watcher: Any = None
    return Round(lab, watcher, (), WITNESS), nodes[1]


@pytest.mark.parametrize(("hears", "ago_s"), [("", None), ("forming", 0.1), ("leaving", 90.0)])
def test_a_machine_that_the_lab_does_not_reach_is_reset_and_named(
    hears: str, ago_s: float | None
) -> None:
    played, lost = not_reached(hears, ago_s)
    played.reset_lost(lost)
    assert lost.done == ["node2: nothing comes through its line", "reset, wait=False"]
    told = replace(result(1, outage_s=173.0), reset_again=tuple(played.reset_again))
    assert told.line().endswith("(the lab reset once more: node2)")
    assert "once more" not in result(1, outage_s=173.0).line()


def test_one_that_does_not_end_its_shutdown_is_a_failure() -> None:
    played, lost = not_reached("leaving", 0.1)
    with pytest.raises(LabError, match="node2 has not left the cluster"):
        played.reset_lost(lost)
    assert lost.done == []


def test_what_befalls_and_what_mends_come_in_the_order_of_their_times() -> None:
    first, second = fault(Kind.PRIVATE_CABLE, for_s=4.0), fault(Kind.MOVE, at_s=3.0, for_s=0.0)
    moments = moments_of(RoundPlan(1, (first, second)))
    assert [(m.at_s, m.fault.kind, m.mend) for m in moments] == [
        (0.0, Kind.PRIVATE_CABLE, False),
        (3.0, Kind.MOVE, False),
        (3.0, Kind.MOVE, True),
        (4.0, Kind.PRIVATE_CABLE, True),
    ]


def test_the_plan_is_printed_without_a_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plan", "--seed", "5", "--first", "3", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"  {number}  {plan_round(5, number, PATHS)}" for number in (3, 4)]
