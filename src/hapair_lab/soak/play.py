"""Plays the faults of a round, mends everything, and waits until all is as it was before."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from hapair.model.cluster import ArbitrationKind
from hapair_lab import cluster, faults
from hapair_lab.channel import GuestGoneError
from hapair_lab.errors import LabError
from hapair_lab.lab import Lab
from hapair_lab.machine import Machine
from hapair_lab.soak.menu import MENU, Hit
from hapair_lab.soak.schedule import RoundPlan
from hapair_lab.soak.watch import Watcher
from hapair_lab.soak.words import STOPS_THE_NODE, Fault, Kind, Role
from hapair_lab.soak.writers import Writer

PATIENCE_S: Final = 300.0  # Emulated guests are slow, and slower when the host is busy.
POLL_S: Final = 1.0
# A serial line of User Mode Linux may stand still for ever at a boot: the guest runs, and only the
# lab does not reach it. After so long it is reset once more, unless the other node hears that it
# has not left the cluster yet: then it does not end its shutdown.
STANDS_STILL_S: Final = 150.0
LATELY_S: Final = 5.0
ANSWERS: Final = 10  # Of each application, before it counts as back.
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
TYPED_TIMEOUT_S: Final = 60.0
# These are done from outside of the guest, so it need not answer.
NEED_NO_AGENT: Final = frozenset(
    {
        Kind.POWER_OFF,
        Kind.FREEZE,
        Kind.PUBLIC_CABLE,
        Kind.PRIVATE_CABLE,
        Kind.PUBLIC_SWITCH,
        Kind.PRIVATE_SWITCH,
        Kind.PUBLIC_ONE_WAY,
        Kind.PRIVATE_ONE_WAY,
        Kind.BOTH_SWITCHES,
        Kind.WITNESS_KILLED,
        Kind.WITNESS_HUNG,
    }
)


@dataclass(slots=True)
class Moment:
    """Something that is due in a round: a fault begins, or is mended."""

    at_s: float
    fault: Fault
    mend: bool


def moments_of(plan: RoundPlan) -> list[Moment]:
    """Return begins and mends in the order of their times."""
    begins = [Moment(fault.at_s, fault, mend=False) for fault in plan.faults]
    mends = [Moment(fault.until_s, fault, mend=True) for fault in plan.faults]
    return sorted(begins + mends, key=lambda moment: moment.at_s)


@dataclass(slots=True)
class Round:
    """One round on a lab whose clients write."""

    lab: Lab
    watcher: Watcher
    writers: tuple[Writer, ...]
    arbitration: ArbitrationKind
    struck: list[Kind] = field(default_factory=list)
    reset_again: list[str] = field(default_factory=list)  # By the lab, which did not reach them.
    _hits: dict[Fault, Hit] = field(default_factory=dict)
    _boots: dict[str, str] = field(default_factory=dict)  # Nodes that are to have booted since.

    def play(self, plan: RoundPlan) -> None:
        """Do all faults and mend them; gaps between them are never shorter than planned."""
        before_s = 0.0
        for moment in moments_of(plan):
            time.sleep(moment.at_s - before_s)
            before_s = moment.at_s
            if moment.mend:
                self._mend(moment.fault)
            else:
                self._strike(moment.fault)
            if self.arbitration is ArbitrationKind.OPERATOR and _only_power(plan):
                self._confirm_what_is_off()

    def _strike(self, fault: Fault) -> None:
        hit = self._whom(fault)
        if fault.kind not in NEED_NO_AGENT and not self._answers(hit.node):
            self.lab.note(f"left out: {fault.kind}, {hit.node.name} is off or boots")
            return
        try:
            if fault.kind in (Kind.RESET, Kind.REBOOT):
                self._boots[hit.node.name] = hit.node.get(BOOT_ID).decode()
            MENU[fault.kind].strike(hit)
        except LabError as error:
            self.lab.note(f"left out: {fault.kind}, {hit.node.name} did not take it: {error}")
        else:
            self.struck.append(fault.kind)
        self._hits[fault] = hit

    @staticmethod
    def _answers(node: Machine) -> bool:
        try:
            return node.is_on() and node.channel().answers_hello()
        except LabError:
            return False

    def _whom(self, fault: Fault) -> Hit:
        one, two = self.lab.nodes
        active = self.watcher.where("orders")
        first, second = (two, one) if active == two.name else (one, two)
        if fault.role is Role.STANDBY:
            first, second = second, first
        return Hit(self.lab, first, second)

    def _mend(self, fault: Fault) -> None:
        """Mend a fault; what cannot be mended now is mended when all machines have booted."""
        hit = self._hits.get(fault)
        if hit is None:
            return
        if fault.kind in NEED_NO_AGENT or self._answers(hit.node):
            with contextlib.suppress(LabError):
                MENU[fault.kind].mend(hit)

    def _confirm_what_is_off(self) -> None:
        """Play the operator who looked: one machine is off, so the other may act alone."""
        for node, other in (self.lab.nodes, reversed(self.lab.nodes)):
            if node.is_on() and not other.is_on():
                node.note(f"{node.name}# clconfirm peer-is-down")
                node.begin(
                    f"for try in $(seq 30); do clconfirm peer-is-down --yes {other.name} && exit;"
                    " sleep 1; done",
                    timeout_s=TYPED_TIMEOUT_S,
                )

    # --- Afterwards ----------------------------------------------------------------------------

    def recover(self) -> float:
        """Wait until both nodes are together again, redundant, and everything is served.

        Returns the seconds that took. LabError says what did not come back.
        """
        begun_s = time.monotonic()
        self.lab.mend_all_cuts()
        for node in self.lab.nodes:
            if not node.is_on():
                node.power_on(wait=False)
        for node in self.lab.nodes:
            self._wait_until_booted(node, begun_s)
        for node in self.lab.nodes:
            faults.right_clock(node)
        for fault, hit in self._hits.items():
            MENU[fault.kind].mend(hit)
        self._wait("both copies of everything are UpToDate", self._is_redundant, begun_s)
        self._wait("both nodes act together", self._is_together, begun_s)
        took_s = time.monotonic() - begun_s
        wanted = {writer: writer.look().count + ANSWERS for writer in self.writers}
        for writer, count in wanted.items():
            self._wait(
                f"{writer.application} answers again",
                lambda writer=writer, count=count: writer.look().count >= count,  # type: ignore[misc]
                begun_s,
            )
        for writer in self.writers:
            self._wait(
                f"{writer.application} is seen running",
                lambda writer=writer: bool(self.watcher.where(writer.application)),  # type: ignore[misc]
                begun_s,
            )
        return took_s

    def check_promises(self) -> None:
        """Compare what the clients were promised with what is there."""
        for writer in self.writers:
            writer.check(self.lab.machine(self.watcher.where(writer.application)))

    def _wait(self, what: str, holds: Callable[[], bool], begun_s: float) -> None:
        while not holds():
            if time.monotonic() - begun_s > PATIENCE_S:
                raise LabError(f"not within {PATIENCE_S:.0f} s after the last mend: {what}")
            if self.watcher.broken:
                return  # The soak ends here: the evidence is fresher without a wait.
            time.sleep(POLL_S)

    def _wait_until_booted(self, node: Machine, begun_s: float) -> None:
        before = self._boots.pop(node.name, "")
        resets_at_s = begun_s + STANDS_STILL_S

        def has_booted() -> bool:
            nonlocal resets_at_s
            if time.monotonic() > resets_at_s:
                resets_at_s = inf
                self.reset_lost(node)
            try:
                if not node.channel().answers_hello():
                    node.close_channel()  # The boot may have cut an answer short: connect anew.
                    return False
                return node.get(BOOT_ID).decode() != before
            except LabError:
                return False

        self._wait(f"{node.name} has booted", has_booted, begun_s)
        node.wait_until_booted()

    def reset_lost(self, node: Machine) -> None:
        """Reset a machine that the lab does not reach; LabError if it does not end its shutdown."""
        if any(hears_leaving(other) for other in self.lab.nodes if other is not node):
            raise LabError(f"{node.name} has not left the cluster after {STANDS_STILL_S:.0f} s")
        node.note(f"{node.name}: nothing comes through its line")
        node.reset(wait=False)
        self.reset_again.append(node.name)

    def _is_redundant(self) -> bool:
        with contextlib.suppress(GuestGoneError):
            return cluster.is_redundant(self.lab)
        return False

    def _is_together(self) -> bool:
        return all(standing(node) == "together" for node in self.lab.nodes)


def standing(node: Machine) -> str:
    """Return what the node's daemon says of its place; empty when it does not answer."""
    return str(_said(node).get("standing", ""))


def hears_leaving(node: Machine) -> bool:
    """Tell whether the node's daemon hears just now that its peer leaves the cluster."""
    seen = _said(node).get("peer_view", {})
    heard_ago_s = seen.get("heard_ago_s")
    lately = heard_ago_s is not None and heard_ago_s < LATELY_S
    return lately and seen.get("standing") == "leaving"


def _said(node: Machine) -> dict[str, Any]:
    """Return what the node's daemon says; nothing when it does not answer."""
    try:
        return dict(json.loads(node.run("clstat --json").stdout)["nodes"][node.name])
    except (LabError, ValueError, KeyError, TypeError):
        return {}


def _only_power(plan: RoundPlan) -> bool:
    return all(fault.kind in STOPS_THE_NODE for fault in plan.faults)
