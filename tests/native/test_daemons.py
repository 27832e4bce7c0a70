"""Real daemons, real sockets, real networks: what must be seen, not only proven."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.native.__main__ import Client, outage_s
from bench.native.cluster import APPLICATION, SERVICE, Pair
from hapair.model.timeline import timelines
from hapair.rpc.history import read_happening
from hapair.rpc.messages import JsonObject
from tests.native.conftest import TIMINGS
from tests.processes import PATIENCE_S

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(600)]


def happenings(cluster: Pair, node: str) -> list[JsonObject]:
    events = cluster.nodes[node].ask("events", since=0, limit=1000)["events"]
    assert isinstance(events, list)
    return events


def names(cluster: Pair, node: str) -> list[object]:
    return [event["name"] for event in happenings(cluster, node)]


def responder(cluster: Pair, node: str) -> str:
    """Return the process identifier of the application on a node; empty when it does not run."""
    return cluster.nodes[node].run("pgrep", "-f", "responder.py").stdout.strip()


def holds_address(cluster: Pair, node: str) -> bool:
    return SERVICE in cluster.nodes[node].machine.ip("-o", "address")


def test_power_loss_and_return_of_the_active_node(cluster: Pair, tmp_path: Path) -> None:
    client = Client(cluster, tmp_path / "client.log")
    cluster.wait_until(lambda: len(client.answered_s()) > 10, "the service answers")
    cut_s = cluster.power_off("node1")
    cluster.wait_until(lambda: client.answered_s()[-1] > cut_s + 1.0, "it answers again")
    answered_s = client.stop()
    assert outage_s(answered_s) < 5 * TIMINGS.detection_s  # How fast, is measured by the bench.
    assert cluster.standing("node2") == "alone"

    (timeline,) = timelines(read_happening(event) for event in happenings(cluster, "node2"))
    steps = [step.name for step in timeline.steps]
    assert steps == ["silent", "detected", "granted", "decided", "addresses", "started"]

    cluster.power_on("node1")
    cluster.wait_until(lambda: cluster.standing("node1") == "halted", "node1 is up")
    cluster.nodes["node1"].ask("form", node="local", start="boot", timeout_s=PATIENCE_S)
    cluster.wait_until(lambda: cluster.standing("node2") == "together", "they are together")
    assert cluster.phase("node2") == "running"
    assert responder(cluster, "node1") == ""


def test_a_planned_move_and_back(cluster: Pair) -> None:
    for source, target in (("node1", "node2"), ("node2", "node1")):
        answer = cluster.nodes["node1"].ask("move", application=APPLICATION)
        assert answer == {"text": f"{APPLICATION} runs on {target}"}
        assert (responder(cluster, source), holds_address(cluster, source)) == ("", False)
        assert responder(cluster, target) != ""
        assert holds_address(cluster, target)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_the_daemon_touches_no_application(cluster: Pair, how: signal.Signals) -> None:
    before = responder(cluster, "node1")
    node = cluster.nodes["node1"]
    os.kill(node.daemon_pid(), how)
    assert node.daemon is not None
    exit_code = node.daemon.wait(timeout=PATIENCE_S)
    node.start_daemon()  # As quickly as systemd does it.
    assert exit_code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    assert responder(cluster, "node1") == before
    cluster.wait_until(lambda: cluster.phase("node1") == "running", "it is adopted")
    cluster.wait_until(lambda: cluster.standing("node1") == "together", "they are together")
    assert responder(cluster, "node1") == before
    assert responder(cluster, "node2") == ""
    assert "granted" not in names(cluster, "node2")


def test_one_network_is_enough_and_the_connection_moves_to_it(cluster: Pair) -> None:
    machine = cluster.nodes["node1"].machine
    cluster.public.unplug(machine, "pub0")

    def connections() -> list[object]:
        return [e["text"] for e in happenings(cluster, "node2") if e["name"] == "connected"]

    cluster.wait_until(
        lambda: connections()[-1] == "connected to node1 over private", "the connection moved"
    )
    assert cluster.standing("node2") == "together"
    assert "detected" not in names(cluster, "node2")


def test_a_busy_machine_is_no_dead_machine(cluster: Pair) -> None:
    """Four processes for each processor compete with both daemons; nothing may happen."""
    count = 4 * (os.cpu_count() or 1)
    busy = [
        subprocess.Popen((sys.executable, "-I", "-S", "-c", "while True: pass"))
        for _ in range(count)
    ]
    try:
        time.sleep(3 * TIMINGS.detection_s)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    for name in cluster.nodes:
        assert "detected" not in names(cluster, name)
        assert "paused" not in names(cluster, name)
    assert cluster.phase("node1") == "running"


def test_a_daemon_that_decides_nothing_for_ten_seconds_is_not_silent(cluster: Pair) -> None:
    """Its process is stopped, whatever for; the heart is a process of its own and beats on."""
    pid, starter = cluster.nodes["node1"].daemon_pid(), cluster.nodes["node1"].daemon
    assert starter is not None
    (heart,) = children(pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(10.0)
    finally:
        starter.send_signal(signal.SIGCONT)  # It stopped as well, and lets its child go on.
        os.kill(pid, signal.SIGCONT)
    cluster.wait_until(lambda: "busy" in names(cluster, "node1"), "it says so")
    for name in cluster.nodes:
        assert not {"detected", "paused"} & set(names(cluster, name))
        assert cluster.standing(name) == "together"
    assert cluster.phase("node1") == "running"
    assert children(pid) == [heart]


def test_a_heart_that_is_killed_is_missed_by_nobody(cluster: Pair) -> None:
    pid = cluster.nodes["node1"].daemon_pid()
    (heart,) = children(pid)
    os.kill(heart, signal.SIGKILL)
    cluster.wait_until(lambda: children(pid) not in ([], [heart]), "a new one beats")
    time.sleep(TIMINGS.detection_s + 1.0)
    assert "heartbeats" in names(cluster, "node1")
    assert "detected" not in names(cluster, "node2")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_flood_of_junk_changes_nothing(cluster: Pair) -> None:
    """Datagrams and connections from a stranger on the client network, as fast as it can."""
    program = """
import os, socket, sys, time
target = ("10.77.1.1", 7700)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
until_s = time.monotonic() + 6
while time.monotonic() < until_s:
    for length in (0, 10, 100, 1400):
        sender.sendto(os.urandom(length), target)
    with socket.socket() as connection:
        connection.settimeout(0.2)
        try:
            connection.connect(target)
            connection.send(os.urandom(100))
        except OSError:
            pass
"""
    done = cluster.outside.run(sys.executable, "-I", "-S", "-c", program)
    assert done.returncode == 0, done.stderr
    for name in cluster.nodes:
        assert "detected" not in names(cluster, name)
        assert "malformed" not in names(cluster, name)
    assert cluster.standing("node1") == cluster.standing("node2") == "together"


LISTENS = """
import socket, struct
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as card:
    card.bind(("pub0", 0x0800))
    card.settimeout(60)
    heard = 0
    while heard < 12:
        packet = card.recv(65536)
        own = 4 * (packet[0] & 15)
        if packet[9] == 17 and packet[12:16] == bytes((10, 77, 1, 2)):
            print(packet[:own].hex(), packet[own:].hex())
            heard += 1
"""
REPEATS = """
import socket, sys, time
heard = [tuple(map(bytes.fromhex, line.split())) for line in sys.argv[2:]]
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
until_s = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until_s:
    for header, datagram in heard:
        # Without a checksum, so that a changed byte is for the daemon to notice.
        plain = datagram[:6] + bytes(2) + datagram[8:]
        forged = plain[:-1] + bytes((plain[-1] ^ 1,))
        for each in (plain, forged):
            raw.sendto(header + each, ("10.77.1.1", 0))
    time.sleep(0.05)
"""


def test_repeated_and_forged_heartbeats_keep_nobody_alive(cluster: Pair) -> None:
    """A stranger sends what node2 has sent, as node2, while its daemon is dead."""
    node1, node2 = cluster.nodes["node1"], cluster.nodes["node2"]
    heard = node1.run(sys.executable, "-I", "-S", "-c", LISTENS)
    assert len(heard.stdout.splitlines()) == 12, heard.stderr
    assert "detected" not in names(cluster, "node1")
    os.kill(node2.daemon_pid(), signal.SIGKILL)
    packets = heard.stdout.splitlines()
    for_s = str(1.5 * TIMINGS.detection_s)
    sent = cluster.outside.run(sys.executable, "-I", "-S", "-c", REPEATS, for_s, *packets)
    assert sent.returncode == 0, sent.stderr
    assert "detected" in names(cluster, "node1")
    view = node1.ask("status")["nodes"]["node1"]["peer_view"]  # type: ignore[index]
    assert view["rejected"] >= 100
    assert cluster.phase("node1") == "running"


def test_who_is_cut_off_stops_and_the_other_goes_on(cluster: Pair) -> None:
    machine = cluster.nodes["node1"].machine
    cluster.public.unplug(machine, "pub0")
    cluster.private.unplug(machine, "priv0")
    cluster.wait_until(lambda: responder(cluster, "node1") == "", "node1 has stopped it")
    cluster.wait_until(lambda: responder(cluster, "node2") != "", "node2 has started it")
    assert holds_address(cluster, "node2")
    cluster.wait_until(lambda: not holds_address(cluster, "node1"), "node1 has no address")


def test_a_user_without_rights_gets_one_clear_refusal(cluster: Pair) -> None:
    node = cluster.nodes["node1"]
    for folder in (node.root, node.root.parent, *node.root.parent.parents):
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    program = f"""
import os, socket
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect({str(node.root / "run/hapair/control.sock")!r})
    asking.send(b'{{"verb": "form"}}\\n')
    print(asking.recv(10000).decode())
"""
    answer = node.run(sys.executable, "-I", "-S", "-c", program)
    assert "only root may do" in answer.stdout, answer.stderr
    assert '"ok":false' in answer.stdout
    assert cluster.standing("node1") == "together"
