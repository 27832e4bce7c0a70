"""Real DRBD resources on two guests, operated in the words of the simulator's model."""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Final

from hapair.model.data import Connection
from hapair.model.outcome import Done, Outcome, Refused
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab, in_parallel
from hapair_lab.machine import Machine
from tests.sim.sides import Fencing

SETTLES_WITHIN_S: Final = PATIENCE_S
CALM_LOOKS: Final = 6  # The kernel may be about to start a handshake or the handler.
BLOCK: Final = 4096
BLOCKS: Final = 200  # The writes of a sequence; block 0 is left alone.
# Short times, so that a loss is noticed soon, and longer ones than a busy host lets a guest stand
# still: a loss that was none asks handlers that nobody answers. A slow resync is interrupted.
RESOURCE: Final = """resource NAME {
  device /dev/drbdNUMBER;
  disk /dev/vg/NAME;
  meta-disk internal;
  protocol C;
  options { on-no-data-accessible io-error; }
  handlers { fence-peer "/opt/fence-peer NAME"; }
  net { timeout 50; connect-int 1; ping-int 1; ping-timeout 40; }
  disk { resync-rate 400k; c-plan-ahead 0; fencing FENCING; }
  on node1 { address 10.77.2.1:PORT; }
  on node2 { address 10.77.2.2:PORT; }
}
"""
FIRST_PORT: Final = 7788
# Says that it waits, and waits until the test tells it what to answer.
HANDLER: Final = """#!/bin/sh
echo >"/run/fence.$1.waits"
trap 'rm "/run/fence.$1.waits"' EXIT
for wait in $(seq 1800); do
  [ ! -e "/run/fence.$1.answer" ] || exit "$(cat "/run/fence.$1.answer")"
  sleep 0.1
done
exit 1
"""
# Incoming packets of one resource are lost on both nodes; those that a node sends are lost there.
CARD: Final = "priv0"
# What comes of one connection, whichever end it was made from.
CUT: Final = (
    f"tc qdisc add dev {CARD} clsact 2>/dev/null; for end in src_port dst_port; do "
    f"tc filter add dev {CARD} ingress pref PORT protocol ip "
    "flower ip_proto tcp $end PORT action drop || exit 1; done"
)
FROZEN: Final = "s"
STATE: Final = (
    r"^ *{}: cs:(\S+)(?: ro:(\S+) ds:(\S+) +(?:[ABC] +)?([rs])\S*)?"  # Of one minor number.
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


def prepare(lab: Lab, count: int) -> None:
    """Make the volumes of ``count`` resources, and give both nodes the handler."""
    volumes = "; ".join(f"lvcreate -q -y -L 32M -n r{number} vg" for number in range(count))

    def make(node: Machine) -> None:
        node.put("/opt/fence-peer", HANDLER, mode=0o755)
        node.check(f"vgcreate -q vg /dev/vdb; {volumes}; modprobe drbd")

    in_parallel(make, lab.nodes)


class RealDrbd:
    """One resource; others on the same guests are not disturbed, but for ``crash``."""

    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.number = number
        self.name = f"r{number}"
        self.port = FIRST_PORT + number
        self.device = f"/dev/drbd{number}"
        self.is_cut = False
        self._state = re.compile(STATE.format(number), re.MULTILINE)

    def fresh(self, fencing: Fencing) -> None:
        """Make both sides new: connected, UpToDate, Secondary, without any history."""
        self.mend()
        in_parallel(lambda node: self._make_fresh(node, fencing), self.lab.nodes)
        self.lab.wait_until(
            "both sides are connected",
            lambda: all(s.connection == "Connected" for s in self.states()),
            timeout_s=SETTLES_WITHIN_S,
        )
        self.lab.node1.check(
            f"drbdadm new-current-uuid --clear-bitmap {self.name}/0; drbdadm primary {self.name}; "
            f"dd if=/dev/zero of={self.device} bs={BLOCK} count={BLOCKS} oflag=direct; "
            f"drbdadm secondary {self.name}"
        )
        self.settle()

    def _make_fresh(self, node: Machine, fencing: Fencing) -> None:
        text = RESOURCE.replace("NAME", self.name).replace("NUMBER", str(self.number))
        text = text.replace("PORT", str(self.port)).replace("FENCING", fencing)
        node.put(f"/etc/drbd.d/{self.name}.res", text)
        # What is frozen, and a handler that still waits, would keep the device in use.
        let_fail = ""
        if self.state(node).suspended:
            let_fail = (
                f"drbdsetup detach {self.number} --force; sleep 1; {self._resume}; sleep 0.5;"
            )
        answer, waits = f"/run/fence.{self.name}.answer", f"/run/fence.{self.name}.waits"
        node.run(f"echo 1 >{answer}; {let_fail} rm -f /run/write.{self.name}.*")
        node.check(
            f"sync; modprobe drbd; drbdadm secondary {self.name}; for try in 1 2 3 4 5; do "
            f"drbdadm down {self.name} && drbdadm create-md --force {self.name} && "
            f"while [ -e {waits} ]; do sleep 0.1; done && rm -f {answer} && "
            f"drbdadm up {self.name} && exit 0; sleep 1; done; exit 1",
            timeout_s=SETTLES_WITHIN_S,
        )

    @property
    def _resume(self) -> str:
        return f"drbdsetup resume-io {self.number}"

    def states(self) -> list[State]:
        return [self.state(node) for node in self.lab.nodes]

    def state(self, node: Machine) -> State:
        try:
            found = self._state.search(node.get("/proc/drbd").decode())
        except LabError:  # It has no power, or the module is not loaded.
            return State()
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
            moving = (
                any(self._is_moving(state) for state in now)
                or self._will_meet(now)
                or self._news_is_on_its_way(now)
            )
            calm = 0 if moving or now != before else calm + 1
            before = now
            return calm >= CALM_LOOKS

        self.lab.wait_until("DRBD has settled", is_calm, timeout_s=SETTLES_WITHIN_S)

    def _will_meet(self, states: list[State]) -> bool:
        """Tell whether both sides look for each other, or one has not noticed that it is alone."""
        up = [state.connection for state in states if state.connection]
        alone = len(up) < 2 or self.is_cut
        if alone:
            return any(word not in ("Connecting", "StandAlone") for word in up)
        return all(word == "Connecting" for word in up) or len(set(up) & {"Connected"}) == 1 != len(
            set(up)
        )

    @staticmethod
    def _news_is_on_its_way(states: list[State]) -> bool:
        """Tell whether two that are connected say different things of each other."""
        one, two = states
        if {one.connection, two.connection} != {"Connected"}:
            return False
        return any(
            said.split("/") != heard.split("/")[::-1]
            for said, heard in ((one.roles, two.roles), (one.disks, two.disks))
        )

    @staticmethod
    def _is_moving(state: State) -> bool:
        words = (state.connection, *state.disks.split("/"))
        return any(word.startswith((*ON_THE_WAY, "Sync")) for word in words)

    # --- Operations ----------------------------------------------------------------------------

    def run(self, node: Machine, command: str) -> Outcome:
        finished = node.run(command, timeout_s=SETTLES_WITHIN_S)
        return Done() if finished.ok else Refused(f"{finished.stdout}{finished.stderr}".strip())

    def bring_up(self, node: Machine) -> Outcome:
        return self.run(node, f"modprobe drbd; drbdadm adjust {self.name}")

    def take_down(self, node: Machine) -> Outcome:
        return self.run(node, f"drbdadm down {self.name}")

    def promote(self, node: Machine) -> Outcome:
        return self.run(node, f"drbdsetup primary {self.number}")

    def promote_asking(self, node: Machine, answer: int) -> Outcome:
        """Promote; whenever the handler is asked it gives this answer."""
        return self.run(
            node,
            f"echo {answer} >/run/fence.{self.name}.answer; drbdsetup primary {self.number}; "
            f"code=$?; rm -f /run/fence.{self.name}.*; exit $code",
        )

    def answer(self, node: Machine, answer: int) -> None:
        """Let the handler that waits end with this exit code."""
        waits, said = f"/run/fence.{self.name}.waits", f"/run/fence.{self.name}.answer"
        node.check(
            f"while [ ! -e {waits} ]; do sleep 0.1; done; echo {answer} >{said}; "
            f"while [ -e {waits} ]; do sleep 0.1; done; rm {said}",
            timeout_s=SETTLES_WITHIN_S,
        )

    def asked(self, node: Machine) -> bool:
        """Tell whether the handler of this resource runs on the node."""
        try:
            node.get(f"/run/fence.{self.name}.waits")
        except LabError:
            return False
        return True

    def resume(self, node: Machine) -> Outcome:
        return self.run(node, self._resume)

    def demote(self, node: Machine) -> Outcome:
        return self.run(node, f"drbdsetup secondary {self.number}")

    def detach(self, node: Machine) -> Outcome:
        return self.run(node, f"drbdsetup detach {self.number} --force")

    def attach(self, node: Machine) -> Outcome:
        return self.run(node, f"drbdadm attach {self.name}")

    def write(self, node: Machine, number: int) -> bool:
        """Write one block; tell whether it was acknowledged."""
        return node.run(self._writing(number), timeout_s=SETTLES_WITHIN_S).ok

    def begin_write(self, node: Machine, number: int) -> None:
        """Write one block without waiting for its end."""
        command = f"{{ {self._writing(number)}; echo $? >/run/write.{self.name}.{number}; }}"
        node.check(f"({command}) >/dev/null 2>&1 </dev/null & sleep 0.3")

    def ended_writes(self, node: Machine) -> dict[int, bool]:
        """Return for each write that was begun and has ended whether it was acknowledged."""
        prefix = f"write.{self.name}."
        said = node.run(f"sleep 0.5; cd /run; grep . {prefix}* /dev/null").stdout
        ended = (line.removeprefix(prefix).split(":") for line in said.splitlines())
        return {int(number): code == "0" for number, code in ended}

    def dirty(self, node: Machine) -> None:
        """Write so much that a resync takes some seconds."""
        node.check(f"dd if=/dev/urandom of={self.device} bs=1M seek=8 count=12 oflag=direct")

    def cut(self) -> None:
        """Lose all its packets. A node that boots has no rule: the one of the other is enough."""
        commands = CUT.replace("PORT", str(self.port))
        in_parallel(lambda node: node.check(commands), self.lab.nodes)
        self.is_cut = True

    def mend(self) -> None:
        if self.is_cut:
            nodes = [node for node in self.lab.nodes if node.is_on()]
            in_parallel(self._remove_rules, nodes)
            self.is_cut = False

    def _remove_rules(self, node: Machine) -> None:
        node.run(f"tc filter delete dev {CARD} ingress pref {self.port}")

    def crash(self, node: Machine) -> None:
        node.power_off()

    def power_on(self, node: Machine) -> None:
        node.power_on()

    def numbers(self, node: Machine) -> set[int]:
        """Return the numbers of the writes that a reader on the node finds."""
        command = (
            f"dd if={self.device} bs={BLOCK} count={BLOCKS} iflag=direct 2>/dev/null | base64 -w0"
        )
        blocks = node.check(f"{command} | cut -c1-{BLOCK * BLOCKS * 2}")
        return _numbers_in(blocks)

    def _writing(self, number: int) -> str:
        return (
            f"yes {number:03d} | head -c {BLOCK} | "
            f"dd of={self.device} bs={BLOCK} seek={number} count=1 iflag=fullblock oflag=direct"
        )


def _numbers_in(encoded: str) -> set[int]:
    content = b64decode(encoded)
    heads = (content[start : start + 3] for start in range(0, len(content), BLOCK))
    return {int(head) for head in heads if head.isdigit()}
