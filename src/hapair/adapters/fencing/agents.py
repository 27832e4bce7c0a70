"""Run fence agents unchanged: parameters on standard input, the answer in the exit code.

The fence agent API: exit code 0 says success, for ``status`` that the node is on; 2 says, for
``status`` only, that it is off; everything else is a failure.
"""

import asyncio
import os
import re
from functools import partial
from pathlib import Path
from typing import Final

from hapair.adapters.fencing.metadata import MetaData, parse
from hapair.adapters.fencing.secrets import Parameters, read_parameters
from hapair.adapters.shared.apart import apart
from hapair.adapters.shared.process import COMMAND_NOT_EXECUTABLE, COMMAND_NOT_FOUND
from hapair.model.cluster import FenceMethod
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.programs import CommandRunner, Finished, TimedOut

FOLDER: Final = Path("/usr/sbin")
NAME: Final = re.compile(r"fence_[A-Za-z0-9_-]+")
SUCCESS: Final = 0
STATUS_OFF: Final = 2
NOT_STARTED: Final = (COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE)
NEEDED_ACTIONS: Final = ("off", "status")
META_DATA_TIMEOUT_S: Final = 20.0


class FenceAgents:
    """Switches a node off by an agent of ``folder``; keeps nothing between two calls.

    ``owner`` is the user to whom files of secrets must belong: root.
    """

    def __init__(self, run: CommandRunner, *, folder: Path = FOLDER, owner: int = 0) -> None:
        self._run = run
        self._folder = folder
        self._owner = owner

    async def switch_off(self, method: FenceMethod) -> Outcome:
        """Switch ``method.node`` off, then ask whether it is; both within ``method.timeout_s``.

        Done: the agent confirmed that it is off. Refused: nothing was asked of the device.
        Unknown: it may be off, or may become so later. Agents confirm ``off`` when the node already
        is, so asking again is harmless.
        """
        parameters = await apart(method.agent, partial(self._ready, method))
        if isinstance(parameters, Refused):
            return parameters
        deadline_s = asyncio.get_running_loop().time() + method.timeout_s
        match await self._act(method, "off", parameters, method.timeout_s):
            case TimedOut():
                return Unknown(_too_slow(method, "switch", "off"))
            case Finished() as off if off.exit_code in NOT_STARTED:
                return Refused(f"{method.agent} cannot be started: {parameters.shown(off.stderr)}")
            case Finished() as off if off.exit_code != SUCCESS:
                return Unknown(_failed(method, "off", off, parameters))
            case Finished():
                left_s = deadline_s - asyncio.get_running_loop().time()
                return await self._confirm(method, parameters, left_s)

    async def _confirm(self, method: FenceMethod, parameters: Parameters, left_s: float) -> Outcome:
        match await self._act(method, "status", parameters, max(left_s, 0.0)):
            case TimedOut():
                return Unknown(_too_slow(method, "confirm that it switched", "off"))
            case Finished(exit_code=code) if code == STATUS_OFF:
                return Done(f"{method.agent} confirmed that {method.node} is off")
            case Finished(exit_code=code) if code == SUCCESS:
                return Unknown(
                    f"{method.agent} said that it switched {method.node} off, but it is on; "
                    f"look at the plug or power limit that the method names"
                )
            case Finished() as status:
                return Unknown(_failed(method, "status", status, parameters))

    async def check(self, method: FenceMethod) -> Outcome:
        """Try everything but the switch, while ``method.node`` is known to be on.

        Done: the agent reached the device and said that the node is on. An answer "off" is
        refused: such a method would "confirm" the death of a node that lives.
        """
        parameters = await apart(method.agent, partial(self._ready, method))
        if isinstance(parameters, Refused):
            return parameters
        described = await self.meta_data(method.agent)
        if not isinstance(described, MetaData):
            return described
        if missing := [name for name in NEEDED_ACTIONS if name not in described.actions]:
            return Refused(
                f"{method.agent} has no action {missing[0]}: nobody could confirm that "
                f"{method.node} is off; use another agent"
            )
        if strange := [name for name, _ in method.parameters if not described.knows(name)]:
            return Refused(
                f"{method.agent} knows no parameter {strange[0]}: see man {method.agent}"
            )
        match await self._act(method, "status", parameters, method.timeout_s):
            case TimedOut():
                return Unknown(_too_slow(method, "tell whether it is", "on"))
            case Finished(exit_code=code) if code == SUCCESS:
                return Done(f"{method.agent} says that {method.node} is on")
            case Finished(exit_code=code) if code == STATUS_OFF:
                return Refused(
                    f"{method.agent} says that {method.node} is off, but it runs: the address or "
                    f"plug of the method is another machine's"
                )
            case Finished() as status:
                return Refused(_failed(method, "status", status, parameters))

    async def meta_data(self, agent: str) -> MetaData | Refused | Unknown:
        """Return the parameters and actions that an agent has; it touches no device for that."""
        path = self._agent(agent)
        if isinstance(path, Refused):
            return path
        asked = Parameters((), ())
        match await self._run(
            (str(path),), timeout_s=META_DATA_TIMEOUT_S, stdin=asked.stdin("metadata")
        ):
            case TimedOut(after_s):
                return Unknown(f"{agent} did not describe itself within {after_s:g} s")
            case Finished(exit_code=code, stdout=text) if code == SUCCESS:
                return parse(agent, text)
            case Finished() as failed:
                said = asked.shown(failed.stderr) or f"exit code {failed.exit_code}"
                return Refused(f"{agent} does not describe itself here: {said}")

    def _ready(self, method: FenceMethod) -> Parameters | Refused:
        path = self._agent(method.agent)
        return path if isinstance(path, Refused) else read_parameters(method, owner=self._owner)

    def _agent(self, name: str) -> Path | Refused:
        if not NAME.fullmatch(name):
            return Refused(f"{name!r} is no name of a fence agent, such as fence_ipmilan")
        path = self._folder / name
        if not os.access(path, os.X_OK):
            return Refused(f"there is no {path}: apt-get install fence-agents")
        return path

    async def _act(
        self, method: FenceMethod, action: str, parameters: Parameters, timeout_s: float
    ) -> Finished | TimedOut:
        return await self._run(
            (str(self._folder / method.agent),),
            timeout_s=timeout_s,
            stdin=parameters.stdin(action),
        )


def _too_slow(method: FenceMethod, what: str, state: str) -> str:
    return (
        f"{method.agent} did not {what} {method.node} {state} within {method.timeout_s:g} s; "
        f"look at its device and network"
    )


def _failed(method: FenceMethod, action: str, how: Finished, parameters: Parameters) -> str:
    said = parameters.shown(how.stderr) or parameters.shown(how.stdout) or "it said nothing"
    return f"{method.agent} failed at {action} of {method.node} (exit code {how.exit_code}): {said}"
