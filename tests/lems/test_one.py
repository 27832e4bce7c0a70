"""One Lems and its daemon: real processes on a real line."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hapair.lems.main import agent, main
from hapair.lems.one import Lems
from hapair.model.application import Application, Unit
from hapair.model.monitor import CheckProbe, LogProbe, Monitor, ProcessProbe, TcpProbe
from tests.lems.daemon import Daemon, Talk
from tests.lems.place import group_of, hanging, living
from tests.lems.running import parent, script, watch

pytestmark = pytest.mark.native

Fork = Callable[[str], Talk]
QUICK_S = 0.1
PROCESS = Monitor("process", ProcessProbe())


def check(path: str, name: str = "check", **how: float) -> Monitor:
    return Monitor(name, CheckProbe(path), interval_s=QUICK_S, **how)  # type: ignore[arg-type]


def test_it_says_who_it_is_and_that_it_lives(fork: Fork, daemon: Daemon) -> None:
    lems = fork("orders")
    hello = lems.heard[0]
    assert (hello["hello"], hello["application"], hello["run"]) == ("lems", "orders", 0)
    assert daemon.talk("parent").heard[0]["hello"] == "parent"
    forked = daemon.talk("parent").wait(lambda said: "forked" in said)
    assert forked == {"forked": "orders", "pid": hello["pid"]}
    for each in (lems, daemon.talk("parent")):
        since = len(each.heard)
        each.wait(lambda said: said == {"lives": True}, since=since)
    assert Path(f"/proc/{hello['pid']}/stat").read_text().split()[1] == "(lems-orders)"


def test_the_end_of_a_process_is_told_at_once(fork: Fork, group: Path) -> None:
    lems = fork("orders")
    with living(group) as process:
        lems.say(watch((PROCESS,), group=str(group)))
        lems.findings(lambda found: not found)
        killed_s = time.monotonic()
        process.kill()
        (found,) = lems.findings(bool)
        assert time.monotonic() - killed_s < 8.0  # Its interval is ten.
    text = "no processes"
    assert found == {"monitor": "process", "trouble": "program", "text": text, "certain": True}


def test_failures_count_when_there_are_enough_in_a_row(fork: Fork, tmp_path: Path) -> None:
    path, tries = tmp_path / "check", tmp_path / "tries"
    script(
        path, f'echo x >>{tries}; [ -e {tmp_path}/bad ] && echo "it is bad" && exit 2; echo fine'
    )
    lems = fork("orders")
    lems.say(watch((check(str(path), failures=3),), group=str(tmp_path)))
    assert lems.findings(lambda found: not found) == []
    (tmp_path / "bad").touch()
    before = len(tries.read_text().splitlines())
    (found,) = lems.findings(bool)
    text = "it is bad"
    assert found == {"monitor": "check", "trouble": "program", "text": text, "certain": False}
    assert len(tries.read_text().splitlines()) - before >= 3
    state = lems.state("check", lambda each: each["state"] == "failed")
    assert state["failures"] >= 3
    assert state["checks"] > state["failures"]
    said = len(lems.heard)
    (tmp_path / "bad").unlink()
    assert lems.findings(lambda found: not found, since=said) == []


def test_failures_soon_after_the_start_do_not_count(fork: Fork, tmp_path: Path) -> None:
    path = script(tmp_path / "check", "echo not yet; exit 2")
    lems = fork("orders")
    begun_s = time.monotonic()
    lems.say(watch((check(path, delay_s=2.0),)))
    waiting = lems.state("check", lambda each: each["checks"] > 0)
    assert (waiting["state"], waiting["text"]) == ("waiting", "not yet")
    lems.findings(bool)
    assert time.monotonic() - begun_s >= 2.0


def test_it_is_well_when_all_have_answered_and_one_was_good(fork: Fork, tmp_path: Path) -> None:
    """Failures that do not count yet are no answer, and what cannot be asked is no good one."""
    late = script(tmp_path / "late", f"[ -e {tmp_path}/up ] || exit 2")
    fine, nowhere = script(tmp_path / "fine", "exit 0"), f"{tmp_path}/nowhere"
    lems = fork("orders")
    lems.say(watch((check(nowhere),)))
    told = lems.wait(lambda said: "findings" in said)["findings"]
    assert told == {"run": 1, "well": False, "findings": []}
    since = len(lems.heard)
    lems.say(watch((check(nowhere), check(fine, "fine"), check(late, "late", delay_s=60.0)), run=2))
    lems.state("late", lambda each: each["checks"] > 3, since=since)
    assert not [said for said in lems.heard[since:] if "findings" in said]
    (tmp_path / "up").touch()
    told = lems.wait(lambda said: "findings" in said, since=since)["findings"]
    assert told == {"run": 2, "well": True, "findings": []}
    since = len(lems.heard)
    lems.say(watch((check(nowhere),), run=3, halted=("check",)))
    told = lems.wait(lambda said: "findings" in said, since=since)["findings"]
    assert told == {"run": 3, "well": True, "findings": []}


def test_what_hangs_hurts_only_itself_and_is_not_begun_twice(fork: Fork, tmp_path: Path) -> None:
    lasting = script(tmp_path / "lasting", f"echo x >>{tmp_path}/tries; sleep 1000")
    fine = script(tmp_path / "fine", f"echo x >>{tmp_path}/fine-tries")
    lems = fork("orders")
    with hanging() as disk, group_of("hangs") as group, living(group):
        lems.say(
            watch((
                Monitor("log", LogProbe(f"{disk}/log", "x"), QUICK_S, timeout_s=0.5),
                Monitor("pid", ProcessProbe(pid_file=f"{disk}/pid"), QUICK_S, timeout_s=0.5),
                check(lasting, "lasting", timeout_s=0.5),
                check(fine, "fine"),
            ), group=str(group))
        )  # fmt: skip
        (found,) = lems.findings(bool)
        assert found["monitor"] == "lasting", "a disk that hangs says nothing of the program"
        for name in ("log", "pid"):
            told = lems.state(name, lambda each: each["state"] == "warning")
            assert told["text"].endswith(" gave no answer within 0.5 s")
        while len((tmp_path / "fine-tries").read_text().split()) < 20:
            time.sleep(QUICK_S)
        threads = Path(f"/proc/{lems.heard[0]['pid']}/task").iterdir()
        assert len(list(threads)) == 3, "two that hang, and the loop"
    # A program is killed, so the next check may begin: one each half a second, not each interval.
    assert len((tmp_path / "tries").read_text().split()) < 10


def test_what_programs_leave_behind_is_ended_and_what_runs_is_left_alone(
    fork: Fork, tmp_path: Path
) -> None:
    """Each check would leave some more, until nobody on this machine can fork."""
    stray = f"(setsid sleep 1002 & echo $! >>{tmp_path}/left) & wait $!"
    leaving = script(tmp_path / "leaving", f"sleep 1000 & setsid sleep 1001 & {stray}")
    used = f"setsid sh -c 'sleep 4; touch {tmp_path}/lasted'"
    lasting = script(
        tmp_path / "lasting", f"({used} &); sleep 5; [ -e {tmp_path}/lasted ] || exit 2"
    )
    hanging = script(tmp_path / "hanging", "setsid sleep 1003 & sleep 1000")
    lems = fork("orders")
    lems.say(
        watch((
            check(leaving, "leaving"),
            Monitor("lasting", CheckProbe(lasting), interval_s=1000, timeout_s=30),
            Monitor("hanging", CheckProbe(hanging), interval_s=1000, timeout_s=0.3),
        ))
    )  # fmt: skip
    lems.state("lasting", lambda each: each["state"] == "good")
    assert len((tmp_path / "left").read_text().split()) > 20
    pid = lems.heard[0]["pid"]
    lems.say(watch(()))
    until_s = time.monotonic() + 20
    while children_of(pid) and time.monotonic() < until_s:
        time.sleep(QUICK_S)
    assert children_of(pid) == []
    for each in (tmp_path / "left").read_text().split():
        assert not Path(f"/proc/{each}").exists()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_one_that_is_halted_finds_nothing(fork: Fork, tmp_path: Path) -> None:
    path = script(tmp_path / "check", "exit 2")
    lems = fork("orders")
    lems.say(watch((check(path),)))
    lems.findings(bool)
    since = len(lems.heard)
    lems.say(watch((check(path),), halted=("check",)))
    lems.findings(lambda found: not found, since=since)
    assert lems.state("check", lambda each: each["state"] == "halted", since=since)["text"] == ""
    since = len(lems.heard)
    lems.say(watch((check(path),)))
    lems.findings(bool, since=since)


def test_a_change_of_one_monitor_leaves_the_others_undisturbed(fork: Fork, tmp_path: Path) -> None:
    path = script(tmp_path / "check", "exit 0")
    lems = fork("orders")
    lems.say(watch((check(path, "one"), check(path, "two"))))
    lems.state("one", lambda each: each["checks"] >= 3)
    since = len(lems.heard)
    lems.say(watch((check(path, "one"), check(path, "two", timeout_s=5.0), check(path, "new"))))
    one = lems.state("one", lambda each: each["checks"] > 0, since=since)
    assert one["checks"] >= 3
    lems.state("new", lambda each: each["state"] == "good", since=since)


def test_a_check_is_made_when_asked_for(fork: Fork, tmp_path: Path) -> None:
    path = script(tmp_path / "check", "echo warm; exit 1")
    lems = fork("orders")
    lems.say(watch((Monitor("check", CheckProbe(path), interval_s=1000),)))
    lems.findings(lambda found: not found)
    lems.say({"check": "check", "id": 7})
    lems.say({"check": "chek", "id": 8})
    told = {"id": 7, "state": "warning", "text": "warm"}
    assert lems.wait(lambda said: "checked" in said and said["checked"]["id"] == 7) == {
        "checked": told
    }
    unknown = lems.wait(lambda said: "checked" in said and said["checked"]["id"] == 8)
    assert unknown["checked"]["text"] == "orders has no monitor chek"


def test_it_rests_when_told(fork: Fork, tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    path = script(tmp_path / "check", f"echo x >>{tries}; exit 2")
    lems = fork("orders")
    lems.say(watch((check(path),)))
    lems.findings(bool)
    lems.say({"rest": True})
    since = len(lems.heard)
    lems.wait(lambda said: "lives" in said, since=since)
    so_far = len(tries.read_text())
    since = len(lems.heard)
    lems.wait(lambda said: "lives" in said, since=since)
    assert len(tries.read_text()) == so_far


def test_it_outlives_parent_and_daemon_and_is_taken_over(line: Path, tmp_path: Path) -> None:
    path = script(tmp_path / "check", f"[ ! -e {tmp_path}/bad ]")
    bad = script(tmp_path / "critical", f"[ ! -e {tmp_path}/bad ] || exit 2")
    with Daemon(line) as first, parent(line):
        first.talk("parent").say({"fork": "orders"})
        lems = first.talk("orders")
        lems.say(watch((check(path), check(bad, "critical")), run=5))
        lems.findings(lambda found: not found)
        pid = int(lems.heard[0]["pid"])
    (tmp_path / "bad").touch()
    with Daemon(line) as second:
        again = second.talk("orders")
        assert (again.heard[0]["pid"], again.heard[0]["run"]) == (pid, 5)
        (found,) = again.findings(bool)
        assert found["monitor"] == "critical"
        again.say({"end": True})
        again.wait_closed()


def test_a_new_parent_comes_after_one_that_was_killed(line: Path) -> None:
    with Daemon(line) as daemon:
        with parent(line) as first:
            daemon.talk("parent").say({"fork": "orders"})
            lems = daemon.talk("orders")
            first.send_signal(signal.SIGKILL)
        with parent(line):
            daemon.talk("parent", number=1).say({"fork": "billing"})
            billing = daemon.talk("billing")
            since = len(lems.heard)
            lems.wait(lambda said: "lives" in said, since=since)
            for each in (lems, billing):
                each.say({"end": True})
                each.wait_closed()


def test_it_keeps_waiting_for_no_daemon_for_ever(tmp_path: Path) -> None:
    lems = Lems("orders", str(tmp_path / "nobody"), agent, alone_s=0.5)
    thread = threading.Thread(target=lems.run)
    thread.start()
    thread.join(10.0)
    assert not thread.is_alive()


def test_words_of_another_version_are_passed_over(fork: Fork, tmp_path: Path) -> None:
    newer = {"name": "new", "probe": {"is": "MoonProbe"}, "interval_s": 1.0}
    told = watch((check(script(tmp_path / "check", "exit 0")),))
    told["watch"]["monitors"].append(newer)
    told["watch"]["moon"] = "full"
    lems = fork("orders")
    lems.say({"dance": True})
    lems.say({"watch": {"run": 1}})
    lems.wait(lambda said: "refused" in said)
    lems.say(told)
    lems.state("check", lambda each: each["state"] == "good")


def test_a_port_is_watched(fork: Fork) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = TcpProbe("127.0.0.1", server.getsockname()[1])
        lems = fork("orders")
        lems.say(watch((Monitor("tcp", probe, interval_s=1.0),)))
        lems.findings(lambda found: not found)
    (found,) = lems.findings(bool)
    assert found["text"].endswith("Connection refused")
    failed = lems.state("tcp", lambda each: each["state"] == "failed")
    assert failed["last_s"] < 4.0, "it waited for its limit of ten"


def test_a_unit_that_systemd_does_not_know_is_no_failure(fork: Fork) -> None:
    """Where nobody answers for systemd nothing is known of the application."""
    application = Application("orders", "node1", Unit("no-such-unit-of-ours.service"))
    lems = fork("orders")
    monitor = Monitor("process", ProcessProbe(), QUICK_S)
    lems.say(watch((monitor,), application=application))
    state = lems.state("process", lambda each: each["checks"] > 0)
    assert state["state"] == "warning", state
    assert state["text"].startswith("systemd does not tell")


def test_only_root_starts_it() -> None:
    pid = os.fork()
    if pid == 0:
        os.setuid(65534)
        os._exit(main([]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_many_lems_at_once(fork: Fork) -> None:
    names = [f"app{number}" for number in range(30)]
    with group_of("many") as group, living(group) as process:
        talks = [fork(name) for name in names]
        for each in talks:
            each.say(watch((PROCESS,), group=str(group)))
        for each in talks:
            each.findings(lambda found: not found)
        process.kill()
        for each in talks:
            each.findings(bool)


def test_what_hung_before_a_new_start_is_not_asked_a_second_time(fork: Fork) -> None:
    lems = fork("orders")
    with hanging() as disk:
        monitor = Monitor("log", LogProbe(f"{disk}/log", "x"), QUICK_S, timeout_s=0.3)
        lems.say(watch((monitor,)))
        lems.state("log", lambda each: each["state"] == "warning")
        since = len(lems.heard)
        lems.say(watch((monitor,), run=2))
        told = lems.state("log", lambda each: each["state"] == "warning", since=since)
        assert told["text"].endswith("gave no answer within 0.3 s")
        threads = Path(f"/proc/{lems.heard[0]['pid']}/task").iterdir()
        assert len(list(threads)) == 2, "one that hangs, and the loop"
        since = len(lems.heard)
    lems.findings(lambda found: not found, since=since)


def test_a_lems_that_comes_after_the_program_has_ended_finds_that(fork: Fork, group: Path) -> None:
    lems = fork("orders")
    lems.say(watch((PROCESS,), group=str(group), lives=True))
    (found,) = lems.findings(bool)
    assert found["text"] == "no processes"
