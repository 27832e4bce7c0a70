"""What befalls a real application, how long nobody could write, and what is there afterwards."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

from hapair_lab import cluster
from hapair_lab.applications.application import SAMPLES, RealApplication
from hapair_lab.errors import LabError
from hapair_lab.lab import PATIENCE_S, Lab
from hapair_lab.ledger import NeverStoppingClient
from hapair_lab.machine import Machine
from hapair_lab.progress import say
from hapair_lab.rules import nothing_lost

VOLUME_MIB: Final = 256
WRITES: Final = 20  # Acknowledged before and after each fault.
# At once: a flood of real writes would also keep its monitors from their answers.
FILL: Final = (
    "fallocate -l $(($(stat -f -c '%f * %S' $(dirname {flood})))) {flood};"
    " dd if=/dev/zero bs=4k >>{flood}; sync; true"
)
FULL_S: Final = 30.0  # Long enough for every monitor to find it, again and again.
RESTARTS: Final = 3  # As the examples have it: so many failures are mended here.


@dataclass(slots=True)
class Play:
    """An application that runs, and a client on ``outside`` that never stops writing to it."""

    lab: Lab
    application: RealApplication
    client: NeverStoppingClient
    outages_s: dict[str, float] = field(default_factory=dict)  # By what befell it.

    @classmethod
    def begin(cls, lab: Lab, application: RealApplication) -> Self:
        """Take the application into the formed cluster ``lab``, as its example says."""
        name = application.name
        cluster.make_storage(
            lab, name, disk="/dev/vdc", size_mib=VOLUME_MIB, mount_point=application.mount_point
        )
        node1 = lab.node1
        folder = f"/etc/cluster/{name}"
        node1.check(f"mkdir {folder} && cp {SAMPLES}/{name}/appconf.xml {folder}")
        application.prepare(lab)
        for command in ("clbuildapp", "clrunapp"):
            node1.check(f"{command} {name}", timeout_s=cluster.COMMAND_S)
        cluster.wait_until_settled(lab)
        client = NeverStoppingClient(
            lab.outside, application.address, application.port, application.speaks
        )
        client.start()
        play = cls(lab, application, client)
        play.goes_well()
        return play

    def runs_on(self) -> Machine:
        """Return the only node on which the application runs and its data is mounted."""
        running = [node for node in self.lab.nodes if self._runs(node)]
        if len(running) != 1:
            names = [node.name for node in running]
            raise LabError(f"{self.application.name} runs on {names}, and not on one node")
        return running[0]

    def _runs(self, node: Machine) -> bool:
        mounted = f" {self.application.mount_point} "
        return (
            node.is_on()
            and mounted in node.get("/proc/mounts").decode()
            and self.application.main_process(node) != 0
        )

    def goes_well(self) -> None:
        """Wait until the client is answered and all that is watched is good."""
        self.client.wait_for_answers(WRITES)
        self.lab.wait_until("all monitors are good", self._is_good, timeout_s=PATIENCE_S)

    def _is_good(self) -> bool:
        told = self.runs_on().run(f"lemsctl {self.application.name} list --json")
        if not told.ok:
            return False
        return {each["state"] for each in json.loads(told.stdout)["monitors"]} == {"good"}

    def befalls(self, what: str, befall: Callable[[], object], back_on: Machine) -> None:
        """Let something befall it; wait until another main process on ``back_on`` serves.

        The time without an acknowledged write is noted under ``what``, unless there is one.
        """
        count, before = self.client.answers(), self.application.main_process(back_on)
        befall()
        self.lab.wait_until(
            f"{self.application.name} is back on {back_on.name} after {what}",
            lambda: self.application.main_process(back_on) not in (0, before),
            timeout_s=PATIENCE_S,
        )
        self.goes_well()
        self._note(what, self.client.record_so_far().since(count - 1).longest_gap.seconds)

    def _note(self, what: str, seconds: float) -> None:
        say(f"{self.application.name}, {what}: back after {seconds:.1f} s")
        self.outages_s.setdefault(what, seconds)

    def kill(self) -> None:
        node = self.runs_on()
        node.check(["kill", "-9", str(self.application.main_process(node))])

    def hang(self) -> None:
        """Let the main process and its children stand still."""
        node = self.runs_on()
        pid = self.application.main_process(node)
        node.check(f"kill -STOP {pid}; pkill -STOP -P {pid}; {self.application.hang_is_felt}")

    def move(self) -> None:
        """Move it to the other node, as planned."""
        node = self.runs_on()
        self.application.across(
            self.lab,
            lambda: node.check(f"clmoveapp {self.application.name}", timeout_s=cluster.COMMAND_S),
        )

    def fills_up(self) -> None:
        """Row 20: let its file system be full for a while; it has to stay where it is."""
        node, flood = self.runs_on(), f"{self.application.mount_point}/flood"
        node.check(FILL.format(flood=flood), timeout_s=PATIENCE_S)
        end_s = time.monotonic() + FULL_S
        self.lab.wait_until(
            "it was full for long", lambda: time.monotonic() > end_s, timeout_s=PATIENCE_S
        )
        self._stayed_on(node)
        page = node.run("clstat").stdout
        if page.count("ALARM") != 1:
            raise LabError(f"{node.name} tells of a full file system, and of nothing else:\n{page}")
        freed_s = float(self.lab.outside.get("/proc/uptime").split()[0])
        node.check(["rm", flood])
        node.check(f"clrunapp {self.application.name} --clear")  # As runbook 20 says.
        self.goes_well()
        back_s = next(a.at_s for a in self.client.record_so_far().acknowledged if a.at_s > freed_s)
        self._note("full, and freed", back_s - freed_s)
        self._stayed_on(node)

    def _stayed_on(self, node: Machine) -> None:
        """Look at its data: with its file system full the program may be down now and then."""
        if f" {self.application.mount_point} " not in node.get("/proc/mounts").decode():
            raise LabError(f"{self.application.name} left {node.name} for a full file system")

    def ends(self) -> None:
        """Stop the client: every acknowledged write is there, none is twice, the data is sound."""
        record = self.client.stop()
        node = self.runs_on()
        stored = Counter(self.application.numbers(node))
        nothing_lost(set(record.numbers), set(stored), node.name)
        twice = sorted(number for number, times in stored.items() if times > 1)
        if twice:
            raise LabError(f"{self.application.name} has stored more than once: {twice}")
        self.application.check(node)
        say(f"{self.application.name}: {len(record.numbers)} writes acknowledged, each there once")


def short_story(lab: Lab, application: RealApplication) -> Play:
    """Play the least that has to work: back here after a crash, there after a loss of power."""
    play = Play.begin(lab, application)
    play.befalls("kill -9", play.kill, back_on=lab.node1)
    play.befalls("power loss", lab.node1.power_off, back_on=lab.node2)
    play.ends()
    return play


def long_story(lab: Lab, application: RealApplication) -> Play:
    """Play all: crash, hang, planned moves, a full disk, too many crashes, a loss of power."""
    play = Play.begin(lab, application)
    play.befalls("kill -9", play.kill, back_on=lab.node1)
    play.befalls("hang", play.hang, back_on=lab.node1)
    for node in (lab.node2, lab.node1):
        play.befalls("planned move", play.move, back_on=node)
    if application.ends_when_full:
        lab.node1.check(f"clrunapp {application.name} --clear")  # What befell it so far.
    else:
        play.fills_up()
    for _ in range(RESTARTS):
        play.befalls("kill -9", play.kill, back_on=lab.node1)
    play.befalls("kill -9, moved", play.kill, back_on=lab.node2)
    play.befalls("power loss", lab.node2.power_off, back_on=lab.node1)
    play.ends()
    return play
