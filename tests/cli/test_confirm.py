"""clconfirm: what a person sees before stating that the peer is down."""

import pytest

from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from tests.cli import situations
from tests.cli.commands import Came, given, started
from tests.cli.fake_daemon import FakeDaemon


def waiting_for_a_person(daemon: FakeDaemon, told: JsonObject | None = None) -> None:
    daemon.answer("status", situations.cut())
    daemon.answer("loss", told or situations.loss())
    daemon.answer("confirm", {"text": "the operator confirmed that node2 is down"})


def stated(*more: str) -> Came:
    return given("clconfirm", "peer-is-down", "--yes", "node2", *more)


def shown(came: Came) -> str:
    assert [line for line in came.err.splitlines() if len(line) > 80] == []
    return " ".join(came.err.split())


def test_a_statement_shows_what_is_known_first(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    came = stated()
    assert came.code == ExitCode.DONE
    text = shown(came)
    assert "node2 was heard 5 min 12 s ago; it was together." in text
    assert "public: heard 5 min 12 s ago (2026-01-06 03:07:32)" in text
    assert "private: not recorded" in text
    assert "Configuration: node1 7, node2 7 when last heard." in text
    assert "replication ended 5 min 12 s ago (2026-01-06 03:07:32)" in text
    assert "every acknowledged write up to the loss of the connection is here" in text
    assert "orders starts: nothing that was acknowledged is known to be missing from orders" in text
    assert daemon.asked_for("confirm") == [{}]


def test_a_copy_that_is_behind_tells_since_when_and_how_much(daemon: FakeDaemon) -> None:
    old = situations.loss(
        starts=False,
        behind_since_wall_s=situations.WALL_S - 7200,
        equal_until_wall_s=situations.WALL_S - 7200,
        connected_until_wall_s=None,
        missing_bytes=3 * 1024**2,
    )
    waiting_for_a_person(daemon, old | {"peer_generation": 0})
    text = shown(given("clconfirm", "peer-is-down", "--plan"))
    assert "orders stays down" in text
    assert "behind since 2 h 0 min ago" in text
    assert "3.0 MiB known to be missing here" in text
    assert "replication ended at an unknown time" in text
    assert "node2 unknown: it was never heard" in text


def test_the_estimate_can_be_looked_at_without_stating_anything(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    came = given("clconfirm", "peer-is-down", "--plan", "--json")
    assert came.code == ExitCode.DONE
    assert came.json["stated"] is False
    assert came.json["applications"] == situations.loss()["applications"]
    assert given("clconfirm", "peer-is-down", "--plan").out == ""
    assert daemon.asked_for("confirm") == []


def test_a_statement_as_json_carries_the_estimate(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    told = stated("--json").json
    assert (told["stated"], told["peer"], told["peer_generation"]) == (True, "node2", 7)


def test_a_missing_link_of_this_node_is_said(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    unplugged = situations.network("public", link_up=False, heard_ago_s=None)
    here = situations.node("node1", standing="forming", networks=[unplugged], peer_view={})
    daemon.answer("status", situations.without_peer(here))
    text = shown(stated())
    assert "public: node1 has no link there, so its silence proves nothing" in text
    assert "node2 was not heard since the daemon's start." in text


def test_without_applications_only_the_silence_is_shown(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon, situations.loss() | {"applications": []})
    assert "stated to be down:" not in shown(stated())


@pytest.mark.parametrize("name", ["node1", "NODE2", "", "yes"])
def test_only_the_name_of_the_peer_is_a_statement(name: str, daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    came = given("clconfirm", "peer-is-down", "--yes", name)
    assert came.code == ExitCode.USAGE
    assert daemon.asked_for("confirm") == []


def test_without_a_terminal_nothing_is_stated(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    with started("clconfirm", "peer-is-down") as process:
        _, err = process.ended()
    assert process.returncode == ExitCode.USAGE
    assert "clconfirm peer-is-down --yes node2" in err
    assert daemon.asked_for("confirm") == []


@pytest.mark.parametrize("situation", ["healthy", "peer_lost", "halted"])
def test_a_statement_that_nobody_waits_for_is_refused(situation: str, daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.SITUATIONS[situation]())
    came = stated()
    assert came.code in {ExitCode.REFUSED, ExitCode.NOT_NOW}
    assert daemon.asked_for("confirm") == []


def test_a_node_alone_with_doubtful_copies_waits_for_a_statement_too(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    doubtful = situations.application(volumes=[situations.volume(unproven=True)])
    here = situations.node("node1", standing="alone", applications=[doubtful])
    daemon.answer("status", situations.without_peer(here))
    assert stated().code == ExitCode.DONE


def test_a_refused_statement_is_told(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    daemon.refuse("confirm", RpcError("node2 answers heartbeats, so it is not down"))
    came = stated()
    assert came.code == ExitCode.REFUSED
    assert "so it is not down" in came.err


def written_behind(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.written_behind())
    daemon.answer("confirm-copy", {"text": "the operator confirmed that the copy is good"})


def test_a_copy_that_was_written_behind_drbd_is_stated_to_be_good(daemon: FakeDaemon) -> None:
    written_behind(daemon)
    came = given("clconfirm", "copy-is-good", "orders", "--yes", "node1")
    assert came.code == ExitCode.DONE
    text = shown(came)
    assert "line 3 of /etc/fstab mounts it" in text
    assert "all of node2's is replaced when the nodes meet" in text
    assert daemon.asked_for("confirm-copy") == [{"application": "orders"}]
    told = given("clconfirm", "copy-is-good", "orders", "--yes", "node1", "--json").json
    assert (told["stated"], told["application"], told["node"]) == (True, "orders", "node1")


def test_a_copy_beside_a_dead_disk_has_its_price_shown(daemon: FakeDaemon) -> None:
    waiting_for_a_person(daemon)
    unproven = {"name": "unproven-copy", "text": "may miss writes", "application": "orders"}
    answer = situations.status(
        situations.node("node1", standing="together", alarms=[unproven], applications=[])
    )
    daemon.answer("status", answer)
    came = given("clconfirm", "copy-is-good", "orders", "--plan")
    assert "what node2 alone may have written is lost; last known to be equal" in shown(came)
    refused = given("clconfirm", "peer-is-down", "--yes", "node2")
    assert refused.code == ExitCode.REFUSED
    assert "clconfirm copy-is-good orders" in refused.err


def test_who_wrote_behind_drbd_can_be_looked_at(daemon: FakeDaemon) -> None:
    written_behind(daemon)
    assert given("clconfirm", "copy-is-good", "orders", "--plan").out == ""
    told = given("clconfirm", "copy-is-good", "orders", "--plan", "--json").json
    assert told["stated"] is False
    assert "fstab" in str(told["found"])
    assert daemon.asked_for("confirm-copy") == []


@pytest.mark.parametrize("typed", ["node2", ""])
def test_only_the_name_of_this_node_states_that_its_copy_is_good(
    typed: str, daemon: FakeDaemon
) -> None:
    written_behind(daemon)
    came = given("clconfirm", "copy-is-good", "orders", "--yes", typed)
    assert came.code == ExitCode.USAGE
    assert daemon.asked_for("confirm-copy") == []


def test_a_copy_that_nobody_doubts_need_not_be_confirmed(daemon: FakeDaemon) -> None:
    daemon.answer("status", situations.SITUATIONS["healthy"]())
    assert given("clconfirm", "copy-is-good", "orders").code == ExitCode.REFUSED


@pytest.mark.parametrize("words", [("copy-is-good",), ("peer-is-down", "orders")])
def test_each_statement_is_about_its_own_thing(words: tuple[str, ...], daemon: FakeDaemon) -> None:
    written_behind(daemon)
    assert given("clconfirm", *words).code == ExitCode.USAGE


def test_without_a_terminal_no_copy_is_stated_to_be_good(daemon: FakeDaemon) -> None:
    written_behind(daemon)
    with started("clconfirm", "copy-is-good", "orders") as process:
        _, err = process.ended()
    assert process.returncode == ExitCode.USAGE
    assert "clconfirm copy-is-good orders --yes node1" in err
