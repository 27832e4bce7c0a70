"""A real DRBD resource on two guests, operated in the words of the simulator's model."""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from hapair.model.data import Connection
from hapair.model.outcome import Done, Outcome, Refused
from hapair_lab.lab import Lab, in_parallel
from hapair_lab.machine import Machine
from hapair_lab.topology import Segment
from tests.sim.sides import Fencing

SETTLES_WITHIN_S: Final = 60.0
BLOCK: Final = 4096
BLOCKS: Final = 200  # The writes of a sequence; block 0 is left alone.
# Short times, so that a loss is noticed soon; a slow resync, so that it can be interrupted.
RESOURCE: Final = """resource r0 {
  device /dev/drbd0;
  disk /dev/vg/data;
  meta-disk internal;
  protocol C;
  options { on-no-data-accessible io-error; }
  handlers { fence-peer "/opt/fence-peer"; }
  net { timeout 20; connect-int 1; ping-int 1; ping-timeout 5; }
  disk { resync-rate 400k; c-plan-ahead 0; fencing FENCING; }
  on node1 { address 10.77.2.1:7788; }
  on node2 { address 10.77.2.2:7788; }
}
"""
# It says that it was asked and waits until the test tells it what to answer.
HANDLER: Final = """#!/bin/sh
echo "$DRBD_RESOURCE" >>/run/fence.asked
for wait in $(seq 300); do
  [ ! -e /run/fence.answer ] || exit "$(cat /run/fence.answer)"
  sleep 0.1
done
exit 1
"""
FROZEN: Final = "s"
LET_FAIL: Final = (
    "if grep -q 's-----' /proc/drbd; then drbdsetup detach 0 --force; drbdsetup resume-io 0; fi"
)
STATE: Final = re.compile(
    r"^ *0: cs:(\S+)(?: ro:(\S+) ds:(\S+) +(?:[ABC] +)?([rs])\S*)?", re.MULTILINE
)
WORDS: Final = {
    "StandAlone": Connection.STAND_ALONE,
    "Connected": Connection.CONNECTED,
    "SyncSource": Connection.SYNC_SOURCE,
    "SyncTarget": Connection.SYNC_TARGET,
}
ON_THE_WAY: Final = ("WFReportParams", "WFBitMap", "Starting", "WFSync", "Negotiating", "Attaching")


@dataclass(frozen=True, slots=True)
class State:
    """What one kernel says; empty words while the resource is down."""

    roles: str = ""
    disks: str = ""
    connection: str = ""
    suspended: bool = False


class RealDrbd:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        in_parallel(self._make_volume, lab.nodes)

    @staticmethod
    def _make_volume(node: Machine) -> None:
        node.put("/opt/fence-peer", HANDLER, mode=0o755)
        node.check("vgcreate -q vg /dev/vdb && lvcreate -q -y -L 32M -n data vg && modprobe drbd")

    def fresh(self, fencing: Fencing) -> None:
        """Make both sides new: connected, UpToDate, Secondary, without any history."""
        self.mend()
        in_parallel(lambda node: self._make_fresh(node, fencing), self.lab.nodes)
        self.lab.wait_until(
            "both sides are connected",
            lambda: all(s.connection == "Connected" for s in self.states()),
            timeout_s=SETTLES_WITHIN_S,
        )
        self.lab.node1.check("drbdadm new-current-uuid --clear-bitmap r0/0")
        self.lab.node1.check("drbdadm primary r0")
        self.lab.node1.check(
            f"dd if=/dev/zero of=/dev/drbd0 bs={BLOCK} count={BLOCKS} oflag=direct"
        )
        self.lab.node1.check("drbdadm secondary r0")
        self.settle()

    @staticmethod
    def _make_fresh(node: Machine, fencing: Fencing) -> None:
        if not node.is_on():
            node.power_on()
        node.put("/etc/drbd.d/r0.res", RESOURCE.replace("FENCING", fencing))
        # What is frozen, and a handler that still waits, would keep the device in use.
        node.run(
            f"echo 1 >/run/fence.answer; {LET_FAIL}; sleep 0.5; rm -f /run/fence.* /run/write.*"
        )
        node.check(
            "sync; modprobe drbd; drbdadm secondary r0; drbdadm down r0; "
            "drbdadm create-md --force r0 && drbdadm up r0"
        )

    def states(self) -> list[State]:
        return [self.state(node) for node in self.lab.nodes]

    def state(self, node: Machine) -> State:
        if not node.is_on():
            return State()
        found = STATE.search(node.run("cat /proc/drbd").stdout)
        if found is None or found.group(1) == "Unconfigured":
            return State()
        word = found.group(1)
        connection = word if word.startswith(ON_THE_WAY) else WORDS.get(word, "Connecting")
        return State(found.group(2), found.group(3), connection, found.group(4) == FROZEN)

    def settle(self) -> None:
        """Wait until nothing is on its way any more: handshakes, resyncs, time-outs."""
        calm = 0
        before: list[State] = []

        def is_calm() -> bool:
            nonlocal calm, before
            now = self.states()
            moving = any(self._is_moving(state) for state in now) or self._will_meet(now)
            calm = 0 if moving or now != before else calm + 1
            before = now
            return calm >= 3

        self.lab.wait_until("DRBD has settled", is_calm, timeout_s=SETTLES_WITHIN_S)

    def _will_meet(self, states: list[State]) -> bool:
        """Tell whether both sides look for each other, or one has not noticed that it is alone."""
        up = [state.connection for state in states if state.connection]
        alone = len(up) < 2 or bool(self.lab.cuts())
        if alone:
            return any(word not in ("Connecting", "StandAlone") for word in up)
        return all(word == "Connecting" for word in up) or len(set(up) & {"Connected"}) == 1 != len(
            set(up)
        )

    @staticmethod
    def _is_moving(state: State) -> bool:
        words = (state.connection, *state.disks.split("/"))
        return any(word.startswith((*ON_THE_WAY, "Sync")) for word in words)

    # --- Operations ----------------------------------------------------------------------------

    def run(self, node: Machine, command: str) -> Outcome:
        finished = node.run(command, timeout_s=60)
        return Done() if finished.ok else Refused(f"{finished.stdout}{finished.stderr}".strip())

    def bring_up(self, node: Machine) -> Outcome:
        return self.run(node, "modprobe drbd; drbdadm adjust r0")

    def take_down(self, node: Machine) -> Outcome:
        return self.run(node, "drbdadm down r0")

    def promote(self, node: Machine) -> Outcome:
        return self.run(node, "drbdsetup primary 0")

    def promote_asking(self, node: Machine, answer: int) -> Outcome:
        """Promote; whenever the handler is asked it gives this answer."""
        return self.run(
            node,
            f"echo {answer} >/run/fence.answer; drbdsetup primary 0; code=$?; "
            "rm -f /run/fence.*; exit $code",
        )

    def answer(self, node: Machine, answer: int) -> None:
        """Let the handler that waits end with this exit code."""
        node.check("while [ ! -e /run/fence.asked ]; do sleep 0.1; done", timeout_s=30)
        node.check(
            f"rm /run/fence.asked; echo {answer} >/run/fence.answer; "
            "while pgrep -f '[f]ence-peer' >/dev/null; do sleep 0.1; done; rm /run/fence.answer"
        )

    def asked(self, node: Machine) -> int:
        """Tell how many handlers run on the node."""
        return len(node.run("pgrep -f '/bin/sh /opt/[f]ence-peer'").stdout.split())

    def resume(self, node: Machine) -> Outcome:
        return self.run(node, "drbdsetup resume-io 0")

    def demote(self, node: Machine) -> Outcome:
        return self.run(node, "drbdsetup secondary 0")

    def detach(self, node: Machine) -> Outcome:
        return self.run(node, "drbdsetup detach 0 --force")

    def attach(self, node: Machine) -> Outcome:
        return self.run(node, "drbdadm attach r0")

    def write(self, node: Machine, number: int) -> bool:
        """Write one block; tell whether it was acknowledged."""
        return node.run(_writing(number), timeout_s=60).ok

    def begin_write(self, node: Machine, number: int) -> None:
        """Write one block without waiting for its end."""
        command = f"{{ {_writing(number)}; echo $? >/run/write.{number}; }}"
        node.check(f"({command}) >/dev/null 2>&1 </dev/null & sleep 0.3")

    def ended_writes(self, node: Machine) -> dict[int, bool]:
        """Return for each write that was begun and has ended whether it was acknowledged."""
        said = node.run("sleep 0.5; cd /run; grep . write.* /dev/null").stdout
        ended = (line.removeprefix("write.").split(":") for line in said.splitlines())
        return {int(number): code == "0" for number, code in ended}

    def dirty(self, node: Machine) -> None:
        """Write so much that a resync takes some seconds."""
        node.check("dd if=/dev/urandom of=/dev/drbd0 bs=1M seek=8 count=6 oflag=direct")

    def cut(self) -> None:
        one, two = self.lab.nodes
        self.lab.cut(one, two, segment=Segment.PRIVATE)
        self.lab.cut(two, one, segment=Segment.PRIVATE)

    def mend(self) -> None:
        self.lab.mend_all_cuts()

    def crash(self, node: Machine) -> None:
        node.power_off()

    def power_on(self, node: Machine) -> None:
        node.power_on()

    def numbers(self, node: Machine) -> set[int]:
        """Return the numbers of the writes that a reader on the node finds."""
        command = (
            f"dd if=/dev/drbd0 bs={BLOCK} count={BLOCKS} iflag=direct 2>/dev/null | base64 -w0"
        )
        blocks = node.check(f"{command} | cut -c1-{BLOCK * BLOCKS * 2}")
        return _numbers_in(blocks)


def _writing(number: int) -> str:
    return (
        f"yes {number:03d} | head -c {BLOCK} | "
        f"dd of=/dev/drbd0 bs={BLOCK} seek={number} count=1 iflag=fullblock oflag=direct"
    )


def _numbers_in(encoded: str) -> set[int]:
    content = b64decode(encoded)
    heads = (content[start : start + 3] for start in range(0, len(content), BLOCK))
    return {int(head) for head in heads if head.isdigit()}
