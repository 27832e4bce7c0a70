"""DRBD resources that are not ours: replicated to a machine that lives as long as it likes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Final

from hapair.model.data import Connection, Disk, Role, VolumeFacts
from tests.checkers.rules import BrokenRuleError
from tests.sim.clockwork import Clockwork
from tests.sim.handlers import NO_VERDICT, Handlers
from tests.sim.machine import Machine

NAME: Final = "backup"
CONNECTED: Final = VolumeFacts(
    NAME, Role.PRIMARY, Role.SECONDARY, Disk.UP_TO_DATE, Disk.UP_TO_DATE, Connection.CONNECTED
)
ALONE: Final = VolumeFacts(
    NAME, Role.PRIMARY, Role.UNKNOWN, Disk.UP_TO_DATE, Disk.UNKNOWN, Connection.CONNECTING
)
TARGET: Final = VolumeFacts(
    NAME, Role.SECONDARY, Role.PRIMARY, Disk.INCONSISTENT, Disk.UP_TO_DATE, Connection.SYNC_TARGET
)
DISKLESS: Final = VolumeFacts(
    NAME, Role.PRIMARY, Role.SECONDARY, Disk.DISKLESS, Disk.UP_TO_DATE, Connection.CONNECTED
)
LASTS_S: Final = (2.0, 40.0)


class Others:
    """What the kernels of some nodes say besides; it changes by itself, at random."""

    def __init__(
        self,
        clockwork: Clockwork,
        machines: Mapping[str, Machine],
        handlers: Handlers,
        nodes: Sequence[str],
        seed: str,
    ) -> None:
        self.clockwork = clockwork
        self.machines = machines
        self.handlers = handlers
        self.chance = Random(f"{seed}/others")  # Apart, so that no other draw changes.
        self.on_change: Callable[[str], None] = lambda _node: None
        self.steady = False  # In a story: connected all the time.
        self._facts = dict.fromkeys(nodes, CONNECTED)
        for node in nodes:
            self._later(node)

    def facts(self, node: str) -> tuple[VolumeFacts, ...]:
        facts = self._facts.get(node)
        return () if facts is None else (facts,)

    def _later(self, node: str) -> None:
        self.clockwork.after(self.chance.uniform(*LASTS_S), partial(self._change, node))

    def _change(self, node: str) -> None:
        if self.steady:
            return
        self._later(node)
        facts = self._facts[node] = self.chance.choice(
            (CONNECTED, CONNECTED, ALONE, TARGET, DISKLESS)
        )
        if facts is ALONE and self.machines[node].runs:
            # Its file may name our handler, because a person copied it from one of ours.
            self.handlers.ask(node, NAME, self._answered)
        self.on_change(node)

    @staticmethod
    def _answered(exit_code: int) -> None:
        if exit_code != NO_VERDICT:
            raise BrokenRuleError(f"R3: the peer of {NAME} was called gone ({exit_code})")
