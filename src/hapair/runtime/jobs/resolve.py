"""clresolve: compare two copies that went apart, and let one of them give its writes up.

Each node answers for its own side, and asks itself again directly before its copy is given up.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hapair.core.copies.split_brain import Choice, Found, Half, Pair, Use, choose, judge
from hapair.core.words.effects import Severity
from hapair.model.data import Connection, VolumeFacts
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.ports.machine import Clock
from hapair.rpc.messages import ExitCode, JsonObject, RpcError
from hapair.runtime.codec import Malformed, decode, encode
from hapair.runtime.history.journal_log import Journal
from hapair.runtime.jobs.split_side import LocalSide, SideVolume, SplitSide, SplitWork
from hapair.runtime.node.node import Node
from hapair.runtime.verbs import Call, Handler, Verb, Verbs

SIDE_LIMIT_S: Final = 30.0
FILES_LIMIT_S: Final = 150.0
STEP_LIMIT_S: Final = 120.0
CONNECTED_WITHIN_S: Final = 20.0
CONNECT_TRIES: Final = 3
LOOK_S: Final = 0.5
AGAIN: Final = "type it again: it goes on where it was"


@dataclass(frozen=True, slots=True)
class ResolveStep:
    node: str
    work: SplitWork
    resource: str
    text: str
    overwritten_bytes: int = 0  # By the resync that follows, at least.


@dataclass(frozen=True, slots=True)
class Situation:
    """Both sides of one application."""

    application: str
    here: SplitSide
    there: SplitSide

    def pair(self, resource: str) -> Pair:
        first, second = (side.volume(resource) for side in (self.here, self.there))
        return Pair(Half(first.facts, first.generations), Half(second.facts, second.generations))

    @property
    def split(self) -> tuple[str, ...]:
        """Return the resources whose copies really went apart."""
        names = (volume.resource for volume in self.here.volumes)
        return tuple(name for name in names if judge(self.pair(name)).answer is Found.SPLIT)

    @property
    def why_not(self) -> str:
        told = [
            f"{volume.resource}: {judge(self.pair(volume.resource)).because}"
            for volume in self.here.volumes
        ]
        return "; ".join(told) or "it has no replicated data"

    @property
    def choice(self) -> Choice:
        owner = self.here.owner or self.there.owner
        use = Use(owner, self.here.node, self.there.node, self.here.uses, self.there.uses)
        return choose(use)

    def overwritten_bytes(self, resource: str) -> int:
        both = (self.here.volume(resource).facts, self.there.volume(resource).facts)
        return sum(facts.out_of_sync_bytes for facts in both if facts is not None)


def snapshots_of(situation: Situation, victim: str) -> list[ResolveStep]:
    found: list[ResolveStep] = []
    for name in situation.split:
        text = f"{victim}: keep a snapshot of {name} as it is now"
        size_bytes = situation.overwritten_bytes(name)
        found.append(ResolveStep(victim, SplitWork.SNAPSHOT, name, text, size_bytes))
    return found


def connections_of(
    situation: Situation, victim: str, resources: Sequence[str]
) -> list[ResolveStep]:
    """Return how the copies of ``resources`` meet: first everything that loses nothing."""
    nodes = (situation.here.node, situation.there.node)
    (survivor,) = (node for node in nodes if node != victim)
    found: list[ResolveStep] = []
    for name in resources:
        for node in (victim, survivor):
            text = f"{node}: stop {name} from connecting"
            found.append(ResolveStep(node, SplitWork.DISCONNECT, name, text))
    for name in resources:
        text = f"{victim}: connect {name} and give up what only {victim} wrote"
        found.append(ResolveStep(victim, SplitWork.DISCARD, name, text))
        text = f"{survivor}: connect {name} and complete the copy of {victim}"
        found.append(ResolveStep(survivor, SplitWork.CONNECT, name, text))
    return found


class SplitBrainResolver:
    def __init__(
        self,
        node: Callable[[], Node],
        side: LocalSide,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._node = node
        self._side = side
        self._journal = journal
        self._clock = clock
        self._at_work = asyncio.Lock()

    def verbs(self) -> Verbs:
        return {
            "split-look": Verb(self.look, cancellable=True),
            "split-resolve": Verb(self.resolve),
        }

    def for_peer(self) -> dict[str, Handler]:
        """Return what the peer's wizard may ask of this node."""
        return {
            "split-side": self._answer_side,
            "split-files": self._answer_files,
            "split-step": self._answer_step,
        }

    async def look(self, call: Call) -> JsonObject:
        """Compare both sides; with ``files`` also which files differ."""
        situation = await self._look(call.text("application"))
        answer = _told(situation)
        if situation.split and call.flag("files"):
            await self._add_files(call, situation, answer)
        return answer

    async def resolve(self, call: Call) -> JsonObject:
        """Let ``victim`` give up what only it wrote. RpcError: refused, or stopped half-way."""
        name, victim = call.text("application"), call.text("victim")
        snapshot = call.flag("snapshot", default=True)
        if self._at_work.locked():
            raise RpcError(
                "another clresolve is at work", "wait for it", exit_code=ExitCode.NOT_NOW
            )
        async with self._at_work:
            situation = await self._look(name)
            _refuse_unless_split(situation, victim)
            steps = snapshots_of(situation, victim) if snapshot else []
            steps += connections_of(situation, victim, situation.split)
            if call.flag("plan"):
                return {"application": name, "steps": [step.text for step in steps], "done": False}
            kept = await self._carry_out(call, name, steps)
            await self._until_connected(call, situation, victim)
        return {
            "application": name,
            "victim": victim,
            "steps": [step.text for step in steps],
            "snapshots": kept,
            "volumes": list(situation.split),
            "done": True,
        }

    async def _look(self, name: str) -> Situation:
        here = await self._side.describe(name)
        answer = await self._node().peer.request(
            "split-side", {"application": name}, timeout_s=SIDE_LIMIT_S
        )
        return Situation(name, here, _decoded(answer))

    async def _add_files(self, call: Call, situation: Situation, answer: JsonObject) -> None:
        files: list[JsonObject] = []
        for side in (situation.here, situation.there):
            for name in situation.split:
                call.progress(f"looking for files of {name} that changed on {side.node}")
                told = await self._files(side, name)
                files.append({"node": side.node, "resource": name, **told})
        answer["files"] = files

    async def _files(self, side: SplitSide, resource: str) -> JsonObject:
        since_wall_s = side.volume(resource).apart_since_wall_s
        if since_wall_s is None:
            return {"why": "it is not known since when the copies are apart", "changed": []}
        args: JsonObject = {"resource": resource, "since_wall_s": since_wall_s}
        if side.node == self._node().identity.me:
            return await self._answer_files(Call(args))
        try:
            return await self._node().peer.request("split-files", args, timeout_s=FILES_LIMIT_S)
        except RpcError as error:
            return {"why": error.error, "changed": []}

    async def _carry_out(self, call: Call, name: str, steps: Sequence[ResolveStep]) -> list[str]:
        kept: list[str] = []
        for number, step in enumerate(steps, start=1):
            call.progress(step.text, number, len(steps))
            outcome = await self._do(step)
            if not isinstance(outcome, Done):
                self._journal.add("split-brain", f"{step.text}: {outcome.why}", application=name,
                                  severity=Severity.ALARM)  # fmt: skip
                raise RpcError(f"{step.text}: {outcome.why}", _mend(step))
            self._journal.add("split-brain", step.text, application=name)
            if step.work is SplitWork.SNAPSHOT:
                kept.append(outcome.note)
        return kept

    async def _do(self, step: ResolveStep) -> Outcome:
        if step.node == self._node().identity.me:
            return await self._side.do(step.work, step.resource, step.overwritten_bytes)
        args: JsonObject = {
            "work": step.work.value,
            "resource": step.resource,
            "overwritten_bytes": step.overwritten_bytes,
        }
        try:
            answer = await self._node().peer.request("split-step", args, timeout_s=STEP_LIMIT_S)
        except RpcError as error:
            return Unknown(error.error)
        why = answer.get("refused")
        return Refused(str(why)) if why else Done(str(answer.get("note", "")))

    async def _until_connected(self, call: Call, situation: Situation, victim: str) -> None:
        """Wait, and connect again should one node have begun with its own try in between.

        DRBD forgets that a copy gives up when it was refused, or lost the connection, once.
        """
        name = situation.application
        apart: list[str] = []
        for tries_left in reversed(range(CONNECT_TRIES)):
            call.progress(f"waiting until the copies of {name} are connected")
            apart = await self._still_apart(situation.split)
            if not apart:
                text = f"resolved: {victim} gives up what only it wrote, its copy is completed"
                self._journal.add("split-brain", text, application=name, severity=Severity.WARNING)
                return
            if tries_left:
                call.progress(f"they are not after {CONNECTED_WITHIN_S:g} s: once more")
                await self._carry_out(call, name, connections_of(situation, victim, apart))
        facts = [self._facts(resource) for resource in apart]
        alone = any(f is not None and f.connection is Connection.STAND_ALONE for f in facts)
        what = "the kernel refused the connection" if alone else "they do not connect"
        raise RpcError(
            f"the copies are not connected after {CONNECT_TRIES} tries of"
            f" {CONNECTED_WITHIN_S:g} s: {what}",
            f"look at: journalctl -k; clstat; then {AGAIN}",
            exit_code=ExitCode.UNFINISHED,
        )

    async def _still_apart(self, resources: Sequence[str]) -> list[str]:
        """Return what is not connected in time."""
        waited_until_s = self._clock.monotonic_s() + CONNECTED_WITHIN_S
        while True:
            apart = [name for name in resources if not self._is_connected(name)]
            if not apart or self._clock.monotonic_s() >= waited_until_s:
                return apart
            await asyncio.sleep(LOOK_S)

    def _facts(self, resource: str) -> VolumeFacts | None:
        return self._node().hands.replication.facts(resource)

    def _is_connected(self, resource: str) -> bool:
        facts = self._facts(resource)
        return facts is not None and facts.kernel_answers

    # What the peer's wizard asks of this node.

    async def _answer_side(self, call: Call) -> JsonObject:
        return {"side": encode(await self._side.describe(call.text("application")))}

    async def _answer_files(self, call: Call) -> JsonObject:
        resource, since_wall_s = call.text("resource"), call.number("since_wall_s")
        files = await self._side.files(resource, since_wall_s)
        if isinstance(files, str):
            return {"why": files, "changed": []}
        return {"why": "", "changed": [encode(each) for each in files]}

    async def _answer_step(self, call: Call) -> JsonObject:
        try:
            work = SplitWork(call.text("work"))
        except ValueError as error:
            raise RpcError(f"a step that is not understood: {error}") from None
        size_bytes = int(call.number("overwritten_bytes", 0))
        outcome = await self._side.do(work, call.text("resource"), size_bytes)
        if isinstance(outcome, Done):
            return {"note": outcome.note}
        return {"refused": outcome.why}


def _decoded(answer: JsonObject) -> SplitSide:
    try:
        return decode(SplitSide, answer.get("side"))
    except Malformed as error:
        raise RpcError(
            f"the peer's answer is not understood: {error}",
            "install the same version on both nodes",
        ) from None


def _refuse_unless_split(situation: Situation, victim: str) -> None:
    if not situation.split:
        raise RpcError(
            f"there is no split brain of {situation.application}: {situation.why_not}",
            "see: clstat",
        )
    choice = situation.choice
    if victim not in (situation.here.node, situation.there.node):
        raise RpcError(
            f"{victim} is no node of this cluster",
            f"one of: {', '.join(choice.possible)}",
            exit_code=ExitCode.USAGE,
        )
    if victim not in choice.possible:
        raise RpcError(
            f"{victim} uses its copy of {situation.application}: a side that runs is never the"
            " victim",
            f"the victim can be: {', '.join(choice.possible)}"
            if choice.possible
            else f"stop it on one node first; see: clstat --why {situation.application}",
        )


def _mend(step: ResolveStep) -> str:
    match step.work:
        case SplitWork.SNAPSHOT:
            return (
                "nothing was discarded; make room (vgs), or give the writes up without a copy of"
                " them: clresolve --no-snapshot"
            )
        case SplitWork.DISCONNECT:
            return f"nothing was discarded; mend the cause and {AGAIN}"
        case SplitWork.DISCARD | SplitWork.CONNECT:
            return f"mend the cause and {AGAIN}"


def _told(situation: Situation) -> JsonObject:
    choice = situation.choice
    return {
        "application": situation.application,
        "split": bool(situation.split),
        "why": "" if situation.split else situation.why_not,
        "owner": situation.here.owner or situation.there.owner,
        "volumes": [
            {
                "resource": volume.resource,
                "rule": judge(situation.pair(volume.resource)).name,
                "because": judge(situation.pair(volume.resource)).because,
                "split": volume.resource in situation.split,
            }
            for volume in situation.here.volumes
        ],
        "sides": [_side_object(side) for side in (situation.here, situation.there)],
        "victim": choice.proposed,
        "because": choice.because,
        "possible": list(choice.possible),
        "files": [],
    }


def _side_object(side: SplitSide) -> JsonObject:
    return {
        "node": side.node,
        "standing": side.standing,
        "holds_right": side.holds_right,
        "phase": side.phase,
        "uses": side.uses,
        "wall_s": side.wall_s,
        "volumes": [_volume_object(volume) for volume in side.volumes],
    }


def _volume_object(volume: SideVolume) -> JsonObject:
    facts = volume.facts
    return {
        "resource": volume.resource,
        "role": facts.role if facts is not None else "",
        "disk": facts.disk if facts is not None else "",
        "connection": facts.connection if facts is not None else "",
        "written_bytes": facts.out_of_sync_bytes if facts is not None else None,
        "mounted": volume.mounted,
        "apart_since_wall_s": volume.apart_since_wall_s,
        "kept": list(volume.kept),
    }
