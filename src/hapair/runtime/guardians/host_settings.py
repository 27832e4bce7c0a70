"""Sees when the machine's files are no longer as clbuild was content with them.

A configuration management puts its own lvm.conf back, an upgrade enables a service, somebody tidies
a hook up: nothing is wrong at once, and the next boot, move or alert finds it out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.core.explain import Alarm
from hapair.core.plan.situation import Side
from hapair.core.plan.storage_checks import lost
from hapair.core.words.effects import Severity
from hapair.model.node_facts import NodeFacts
from hapair.rpc.messages import RpcError
from hapair.runtime.building import hooks
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.node.node import Node

LOOK_S: Final = 600.0
NAME: Final = "host-settings"


@dataclass(slots=True)
class HostSettings:
    """``seen`` returns what this node's files say, or None when that is not known just now."""

    node: Callable[[], Node]
    seen: Callable[[str, Sequence[str]], Awaitable[NodeFacts | None]]
    journal: Journal
    _alarms: tuple[Alarm, ...] = ()

    def alarms(self) -> tuple[Alarm, ...]:
        return self._alarms

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once; while nobody can look, what was seen last counts."""
        try:
            node = self.node()
        except RpcError:
            return
        me = node.identity.me
        facts = await self.seen(me, node.built.cluster.alerts.hooks)
        if facts is None:
            return
        found = tuple(
            Alarm(NAME, f"{problem.field}: {problem.what}")
            for problem in (
                *lost(Side(me, facts, node.built)),
                *hooks.objections(me, facts, node.built.cluster.alerts),
            )
        )
        for alarm in found:
            if alarm not in self._alarms:
                self.journal.add(alarm.name, alarm.text, severity=Severity.WARNING)
        self._alarms = found
