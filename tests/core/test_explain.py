"""What clstat is told: every field, the row that decides, and what calls a person."""

from dataclasses import replace

import pytest

from hapair.core.copies import replication
from hapair.core.explain import Report, report
from hapair.core.words.effects import Do
from hapair.core.words.events import ConfirmPeerDown, Form, Introduce
from hapair.model.data import Connection, Disk, Role
from hapair.model.holders import UNSEEN, Held, Holders
from hapair.model.outcome import Refused
from hapair.model.status import Phase, Standing, Wanted
from tests.core.bench import ME, NAME, PEER, RESOURCE, Bench, built, facts, record
from tests.core.test_membership import MEMBER, SEPARATED


def said(bench: Bench) -> Report:
    return report(bench.state, bench.now_s)


def alarms(bench: Bench) -> list[str]:
    return [alarm.name for alarm in said(bench).alarms]


def tables(bench: Bench) -> dict[str, str]:
    return {reason.table: reason.rule for reason in said(bench).applications[0].reasons}


def test_a_healthy_pair_has_nothing_to_complain_about() -> None:
    bench = Bench()
    bench.running()
    told = said(bench)
    assert (told.node, told.peer, told.standing) == (ME, PEER, Standing.TOGETHER)
    assert told.alarms == ()
    assert told.heard_ago_s == (("public", 0.0), ("private", 0.0))
    (application,) = told.applications
    assert (application.owner, application.wanted) == (ME, Wanted.UP)
    assert application.phase is Phase.RUNNING
    assert application.data_current
    assert application.facts == (facts(role=Role.PRIMARY),)
    assert [item.known for item in application.items] == ["up"] * 5
    assert tables(bench) == {"goal": "run", "hand-over": "stay"}


def test_an_application_that_nobody_was_told_to_run_has_no_owner() -> None:
    (application,) = said(Bench()).applications
    assert (application.owner, application.wanted, application.failed_on) == ("", Wanted.DOWN, ())
    assert application.phase is Phase.STOPPED
    assert said(Bench()).heard_ago_s == (("public", None), ("private", None))


def test_while_forming_the_row_of_the_formation_is_told() -> None:
    bench = Bench(attached=SEPARATED)
    bench.command(Form(timeout_s=1.0))
    assert tables(bench)["formation"] == "waiting"
    assert alarms(bench) == []
    bench.wait(2.0, hearing=False)
    assert alarms(bench) == ["peer-may-be-ahead"]


def test_while_cut_the_row_of_the_arbitration_is_told() -> None:
    bench = Bench()
    bench.running()
    bench.peer_says(standing=Standing.CUT, accepted=0)
    assert tables(bench)["arbitration"] == "peer-heard"
    assert alarms(bench) == []
    bench.wait(3.0, hearing=False)
    assert tables(bench)["arbitration"] == "kernel-answers"
    assert alarms(bench) == ["kernel-answers"]


def test_a_node_alone_says_that_there_is_no_redundancy() -> None:
    bench = Bench()
    bench.running()
    bench.alone()
    assert alarms(bench) == ["no-redundancy"]


def test_writes_that_are_not_replicated_are_told_while_the_peer_is_there() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    assert alarms(bench) == ["unprotected"]
    assert bench.state.beaten is not None
    assert bench.state.beaten.unprotected == (RESOURCE,)


def test_another_configuration_on_the_peer_is_told() -> None:
    bench = Bench()
    bench.running()
    bench.peer_says(generation=9)
    assert alarms(bench) == ["configuration-differs"]


def test_an_application_that_failed_everywhere_calls_a_person() -> None:
    bench = Bench()
    bench.together()
    bench.outcomes[Do.START_PROGRAM] = Refused("no licence")
    bench.peer_has(current=False)
    bench.command(Introduce(NAME, Wanted.UP))
    assert alarms(bench) == ["failed-here"]
    told = next(a.text for a in report(bench.state, bench.now_s).alarms)
    assert "tried here once, again in 5 s" in told
    failed = replace(bench.record, failed_on=(ME, PEER), version=replace(MEMBER_VERSION, serial=9))
    bench.peer_says(records=(failed,))
    bench.outcomes.clear()
    bench.deaf = {Do.START_PROGRAM}
    bench.wait(6.0)
    assert alarms(bench) == ["failed-everywhere"]
    told = next(a.text for a in report(bench.state, bench.now_s).alarms)
    assert "on both nodes: tried here once, again now" in told


MEMBER_VERSION = record().version


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (replace(MEMBER, behind=(RESOURCE,)), "misses writes"),
        (replace(MEMBER, unproven=(RESOURCE,)), "clconfirm peer-is-down"),
    ],
)
def test_data_that_only_the_absent_peer_has_is_told(stored: object, words: str) -> None:
    assert isinstance(stored, type(MEMBER))
    right = replace(stored, holds_right=True, records=(record(PEER),))
    bench = Bench(stored=right, attached=SEPARATED)
    text = next(alarm.text for alarm in said(bench).alarms if alarm.name == "stale-data")
    assert words in text


def test_data_that_is_old_by_the_kernels_word_is_told() -> None:
    right = replace(MEMBER, holds_right=True, records=(record(PEER),))
    bench = Bench(stored=right, attached=replace(SEPARATED, disk=Disk.OUTDATED))
    assert any("is not UpToDate" in alarm.text for alarm in said(bench).alarms)


def test_two_owners_are_told_until_the_copies_are_joined() -> None:
    bench = Bench()
    bench.running()
    bench.disconnect()
    bench.peer_says(records=(replace(bench.record, owner=PEER),))
    assert "two-owners" in alarms(bench)
    bench.peer_says(records=bench.state.stored.records)
    bench.peer_has(Phase.STOPPED)
    assert "two-owners" in alarms(bench)
    bench.data(facts(role=Role.PRIMARY))
    bench.wait(0.5)
    assert "two-owners" not in alarms(bench)
    assert "one-owner" in bench.notes()


# --- Facts about the copies ------------------------------------------------------------------


def test_what_is_not_built_has_no_volumes() -> None:
    assert replication.volumes(Bench().state, "web") == ()


def test_a_copy_that_is_compared_leaves_no_doubt() -> None:
    stored = replace(MEMBER, holds_right=True, unproven=(RESOURCE,))
    bench = Bench(stored=stored, attached=SEPARATED)
    bench.data(facts(connection=Connection.SYNC_SOURCE))
    assert not bench.state.stored.unproven


def test_a_resource_that_is_known_by_name_only_is_not_up() -> None:
    bench = Bench(replace(built()))
    bench.data(facts(disk=Disk.DISKLESS, connection=Connection.STAND_ALONE))
    assert said(bench).applications[0].items[0].known == "down"


def test_a_confirmation_cannot_be_typed_ahead() -> None:
    bench = Bench()
    bench.running()
    reply = bench.command(ConfirmPeerDown())
    assert reply is not None
    assert not reply.accepted


def test_what_holds_a_device_is_said_in_one_line() -> None:
    assert Holders().named() == UNSEEN
    assert Holders((Held("a", ""), Held("b", "")), "programs").named() == (
        "a, b, what could not be looked at: programs"
    )
