"""A scenario with the never-stopping client and the checkers around it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from hapair_lab import cluster
from hapair_lab.channel import GuestGoneError
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import NeverStoppingClient, missing
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from hapair_lab.topology import Segment
from tests.checkers.rules import NodeSeen, nothing_lost, one_writer

SERVER: Final = "server.py"


@dataclass(frozen=True, slots=True)
class Story:
    lab: Lab
    client: NeverStoppingClient

    @property
    def node1(self) -> Machine:
        return self.lab.node1

    @property
    def node2(self) -> Machine:
        return self.lab.node2

    def service_answers(self, lines: int = 20) -> None:
        """Wait until so many more lines are acknowledged, and look at rule R1."""
        self.client.wait_for_answers(lines, timeout_s=PATIENCE_S)
        one_writer([seen(node) for node in self.lab.nodes if node.is_on()])

    def runs_on(self, name: str = "orders") -> str:
        """Return the node on which the program really runs; empty when on none."""
        running = [n.name for n in self.lab.nodes if n.is_on() and name in seen(n).programs]
        assert len(running) <= 1, running
        return running[0] if running else ""

    def redundant_again(self) -> None:
        cluster.wait_until_redundant(self.lab, PATIENCE_S)

    def wait_for_note(self, node: Machine, name: str) -> None:
        """Wait until the node's history has a line of that name."""
        self.lab.wait_until(
            f"{node.name} notes {name}", lambda: name in notes(node), timeout_s=PATIENCE_S
        )


@contextmanager
def serving(lab: Lab) -> Iterator[Story]:
    """Let the client write all through the story; then nothing acknowledged may be missing."""
    client = NeverStoppingClient(lab.outside, cluster.SERVICE_ADDRESS)
    client.start()
    client.wait_for_answers(10, timeout_s=PATIENCE_S)
    story = Story(lab, client)
    yield story
    record = client.stop()
    where = lab.machine(story.runs_on())
    lines = where.get(cluster.LINES_FILE).decode()
    present = set(record.numbers) - set(missing(record, lines))
    nothing_lost(set(record.numbers), present, where.name)
    gap_s = record.longest_gap.seconds
    say(f"longest gap {gap_s:.1f} s, {len(record.numbers)} lines acknowledged, none missing")


def looked_at(node: Machine, command: str) -> str:
    """Return what a command prints that only looks; a node that boots meanwhile is asked anew."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return node.check(command, timeout_s=PATIENCE_S)
        except GuestGoneError:
            if time.monotonic() > until_s or not node.is_on():
                raise
            time.sleep(0.5)


def seen(node: Machine) -> NodeSeen:
    """Ask the kernel of a node what it really does."""
    text = looked_at(
        node,
        "cat /proc/drbd 2>/dev/null | grep -o 'ro:Primary' | sed 's/^/drbd /'; "
        "grep ^/dev/drbd /proc/mounts | cut -d' ' -f2 | sed 's/^/mount /'; "
        "for group in /sys/fs/cgroup/hapair.slice/hapair-apps.service/*/; do "
        '[ -z "$(cat "$group/cgroup.procs")" ] || echo "program $(basename "$group")"; done',
    )
    found: dict[str, list[str]] = {"drbd": [], "mount": [], "program": []}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        found[kind].append(rest)
    # The lab's applications have one volume each, so that its place among them is its name.
    return NodeSeen(
        node=node.name,
        primary=tuple(found["mount"]) if found["drbd"] else (),
        mounted=tuple(found["mount"]),
        programs=tuple(found["program"]),
    )


def part_the_nodes(lab: Lab) -> None:
    """Let no frame pass between the two nodes; what else they reach, they still reach."""
    for segment in Segment:
        lab.cut(lab.node1, lab.node2, segment=segment)
        lab.cut(lab.node2, lab.node1, segment=segment)


def alarms(node: Machine) -> str:
    """Return what clstat tells a person, in one line."""
    return " ".join(node.run("clstat").stdout.split())


def wait_for_alarm(lab: Lab, node: Machine, words: str) -> None:
    """Wait until clstat tells a person."""
    lab.wait_until(
        f"clstat on {node.name} says {words}",
        lambda: words in alarms(node),
        timeout_s=PATIENCE_S,
    )


def boot_of(node: Machine) -> str:
    """Return the identity of the boot; empty while the guest does not answer."""
    try:
        return node.run("cat /proc/sys/kernel/random/boot_id", timeout_s=5).stdout
    except GuestGoneError:
        return ""


def server_pid(node: Machine) -> str:
    """Return the process of the application; it must not change when nothing may restart it."""
    return node.check("cat /run/orders.pid").strip()


def notes(node: Machine) -> tuple[str, ...]:
    """Return the names of all lines in the node's history."""
    try:
        text = node.get("/var/lib/hapair/events.jsonl").decode(errors="replace")
    except LabError:  # Nothing is written yet, or it has no power.
        return ()
    # The last line may be on its way to the disk; a power cut leaves zeros or half a line.
    names = re.findall(r'^\0*\{.*"name": ?"([^"]+)".*\}$', text, flags=re.MULTILINE)
    return tuple(names)


def standing(node: Machine) -> str:
    """Return what the node's daemon says of its place; empty when it does not answer."""
    try:
        nodes = node.ask_daemon("status")["nodes"]
    except LabError:
        return ""
    assert isinstance(nodes, dict)
    return str((nodes[node.name] or {}).get("standing", ""))


def wait_for_standing(lab: Lab, wanted: str, *nodes: Machine) -> float:
    begun_s = time.monotonic()
    for node in nodes:
        lab.wait_until(
            f"{node.name} is {wanted}",
            lambda node=node: standing(node) == wanted,  # type: ignore[misc]
            timeout_s=PATIENCE_S,
        )
    return time.monotonic() - begun_s
