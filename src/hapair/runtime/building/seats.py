"""The two nodes as clbuild sees them: this one, and the other one through a command runner."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hapair.model.node_facts import NodeFacts, ScanRequest
from hapair.ports.programs import CommandRunner, Finished, TimedOut
from hapair.rpc.messages import Malformed
from hapair.runtime.building.node_side import NodeSide
from hapair.runtime.building.scanning import NodeScan, OtherVersionError, unpack_facts
from hapair.runtime.building.steps import Answer, Step, StepKind
from hapair.runtime.codec import dumps, loads

SCAN_TIMEOUT_S: Final = 240.0
STEP_TIMEOUT_S: Final = 90.0
ACTIVATE_TIMEOUT_S: Final = 240.0
CONNECTION_FAILED: Final = 255  # ssh's own exit code.
COMMAND_NOT_FOUND: Final = 127
SCAN_COMMAND: Final = ("clscan", "--request")
STEP_COMMAND: Final = ("clbuild", "--carry-out")


@dataclass(frozen=True, slots=True)
class NoScan:
    """The node could not be scanned."""

    why: str
    mend: str


class Seat(Protocol):
    """One node: it can be scanned, and it carries out steps."""

    @property
    def node(self) -> str: ...

    async def scan(self, request: ScanRequest) -> NodeFacts | NoScan:
        """Return the facts, with the clock as its difference to this node's clock."""
        ...

    async def perform(self, step: Step) -> Answer: ...


class LocalSeat:
    def __init__(self, node: str, scan: NodeScan, side: NodeSide) -> None:
        self._node = node
        self._scan = scan
        self._side = side

    @property
    def node(self) -> str:
        return self._node

    async def scan(self, request: ScanRequest) -> NodeFacts | NoScan:
        facts = await self._scan.scan(request, lock_is_ours=True)
        return replace(facts, wall_ms=0)

    async def perform(self, step: Step) -> Answer:
        return await self._side.perform(step)


class RemoteSeat:
    """``run`` starts commands on the other node. Secrets travel on standard input only."""

    def __init__(
        self, node: str, run: CommandRunner, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._node = node
        self._run = run
        self._wall_s = wall_s

    @property
    def node(self) -> str:
        return self._node

    async def scan(self, request: ScanRequest) -> NodeFacts | NoScan:
        match await self._run(SCAN_COMMAND, timeout_s=SCAN_TIMEOUT_S, stdin=dumps(request)):
            case TimedOut(after_s):
                return NoScan(f"the scan did not end within {after_s:.0f} s", "try again; see: top")
            case Finished(exit_code=0, stdout=stdout):
                return self._facts(stdout)
            case Finished(exit_code=code, stderr=stderr):
                return self._failed(code, stderr.strip())

    def _facts(self, stdout: str) -> NodeFacts | NoScan:
        arrived_ms = int(self._wall_s() * 1000)
        try:
            facts = unpack_facts(stdout)
        except OtherVersionError as error:
            return NoScan(
                f"it has version {error.version} of hapair, which this one does not understand",
                "install the same version on both nodes",
            )
        except Malformed as error:
            return NoScan(
                f"its answer is not understood ({error})", f"on {self._node}: clscan --json"
            )
        return replace(facts, wall_ms=facts.wall_ms - arrived_ms)

    def _failed(self, code: int, stderr: str) -> NoScan:
        last = stderr.splitlines()[-1] if stderr else f"exit code {code}"
        if code == COMMAND_NOT_FOUND:
            return NoScan("hapair is not installed there", f"on {self._node}: apt install hapair")
        if code == CONNECTION_FAILED:
            return NoScan(f"the SSH connection broke ({last})", f"ssh root@{self._node} true")
        return NoScan(f"the scan failed there ({last})", f"on {self._node}: clscan --json")

    async def perform(self, step: Step) -> Answer:
        """Ask the node to carry the step out; ``lost`` when it may have done it."""
        timeout_s = ACTIVATE_TIMEOUT_S if step.kind is StepKind.ACTIVATE else STEP_TIMEOUT_S
        try_again = f"run clbuild again when {self._node} can be reached"
        match await self._run(STEP_COMMAND, timeout_s=timeout_s, stdin=dumps(step)):
            case TimedOut(after_s):
                return Answer(f"no answer within {after_s:.0f} s", try_again, lost=True)
            case Finished(exit_code=0, stdout=stdout):
                # A login may print greetings around the answer.
                lines = [line for line in stdout.splitlines() if line.startswith("{")]
                try:
                    return loads(Answer, "".join(lines[-1:]).encode())
                except Malformed as error:
                    return Answer(f"its answer is not understood ({error})", try_again, lost=True)
            case Finished(stderr=stderr):
                said = stderr.strip().splitlines()
                return Answer(said[-1] if said else "no answer", try_again, lost=True)
