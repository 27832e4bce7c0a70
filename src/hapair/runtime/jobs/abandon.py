"""clbuildapp --abandon: end a build or a release whose note cannot be read, by its marks."""

import asyncio
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapair.core.plan.remnants import Remnant, Remnants, WayBack, way_back
from hapair.core.plan.steps import Work
from hapair.core.words.state import NodeState
from hapair.model.application import Application, Volume
from hapair.model.built import Built, BuiltApplication
from hapair.model.status import Record, Wanted
from hapair.rpc.messages import ExitCode, JsonObject, Malformed, RpcError
from hapair.runtime.codec import decode, encode
from hapair.runtime.jobs.job import Do, Job, Say, take_back
from hapair.runtime.jobs.unfinished import JobFile, UnreadableError
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.node.peer import Peer
from hapair.runtime.verbs import Call

LOOK_LIMIT_S: Final = 120.0


async def remnants(
    state: NodeState,
    workshop: Workshop,
    of_peer: tuple[Volume, ...] = (),
    *,
    by_fstab: bool = True,
) -> Remnants:
    """Look for what this node has of builds that are not in force; RpcError when LVM is silent.

    ``of_peer``: what the other node has files for. Its data may be at home here.
    ``by_fstab``: a line of fstab that was left out tells where it is, unless both nodes have one.
    """
    volumes = [each for built in state.built.applications for each in built.volumes]
    used = tuple(each.resource for each in volumes)
    found: list[Remnant] = []
    nameless: list[str] = []
    described = await _described(state, workshop)
    for each in (*described, *(each for each in of_peer if each not in described)):
        if isinstance(each, str):
            nameless.append(each)
        elif each.resource not in used and not each.shares_disk_with(tuple(volumes)):
            try:
                group = await workshop.volumes.group(each.volume_group)
            except ValueError as error:
                mend = f"look there: {state.me}# vgs; lvs"
                raise RpcError(str(error), mend, exit_code=ExitCode.NOT_NOW) from None
            data = group.volume(each.logical_volume)
            made = data is not None and data.ours
            # A line of fstab outlives the disk: without the volume no data is at home here.
            held = data is not None and await asyncio.to_thread(
                _is_held, workshop, each, by_fstab=by_fstab and not made
            )
            record = _released(state, each)
            found.append(
                Remnant(
                    each,
                    held,
                    made,
                    described=each in described,
                    released=record.application if record is not None else "",
                    owner=record.owner if record is not None else "",
                )
            )
    return Remnants(state.me, tuple(found), used, tuple(nameless))


def _released(state: NodeState, volume: Volume) -> Record | None:
    """Return the record of the application that a volume is of; None when there is none.

    A build writes it after its last step, and a release forgets it in one of its last: what is not
    built and has a record was released.
    """
    found = [
        record
        for record in state.stored.records
        if record.application not in state.built.by_name
        and volume.resource.startswith(f"{record.application}.")
    ]
    return max(found, key=lambda record: len(record.application), default=None)


def _is_held(workshop: Workshop, volume: Volume, *, by_fstab: bool) -> bool:
    return (
        workshop.natives.mounted(volume)
        or workshop.file_systems.mounted(volume) is not False
        or (by_fstab and workshop.natives.left_out(volume))
    )


async def _described(state: NodeState, workshop: Workshop) -> tuple[Volume | str, ...]:
    try:
        return await asyncio.to_thread(workshop.files.described)
    except OSError as error:
        raise RpcError(f"{state.me}: {error}", "mend the disk, then type it again") from None


@dataclass(frozen=True, slots=True)
class Leaving:
    state: NodeState
    peer: Peer
    file: JobFile
    workshop: Workshop
    do: Do

    async def abandon(self, call: Call, say: Say) -> JsonObject:
        """Take back what can be known, set the note aside, and tell both.

        Raises RpcError: what could not be taken back is named; the note stays then.
        """
        planned, noted = call.flag("plan"), self.file.present()
        job = await asyncio.to_thread(self._readable)
        if job is not None:
            return await self._abandon_readable(job, say, planned=planned)
        mine = await remnants(self.state, self.workshop, by_fstab=noted)
        theirs = await self._ask(mine)
        if theirs is not None:
            mine = await remnants(self.state, self.workshop, theirs.volumes())
        way = way_back(mine, theirs, noted=noted)
        if theirs is None and way.released:
            raise self._perhaps_built_there(way.released)
        if not planned:
            await self._go(way, say)
        aside = await asyncio.to_thread(self._set_aside) if noted and not planned else None
        return self._result(way, aside)

    def _perhaps_built_there(self, released: tuple[Remnant, ...]) -> RpcError:
        """Refuse to mount here what a peer that does not know of the release may be told to run."""
        peer, names = self.peer.name, ", ".join(sorted({each.released for each in released}))
        by_hand = "; ".join(
            f"drbdadm down {v.resource} && mount {v.backing_device} {shlex.quote(v.mount_point)}"
            for v in sorted((each.volume for each in released), key=lambda v: v.mount_point)
        )
        return RpcError(
            f"{peer} cannot be reached, and may not know yet that {names} was released",
            f"bring it back, then type it again. When it is lost for good: {by_hand}",
            exit_code=ExitCode.NOT_NOW,
        )

    def _readable(self) -> Job | None:
        try:
            return self.file.load()
        except UnreadableError:
            return None

    async def _abandon_readable(self, job: Job, say: Say, *, planned: bool) -> JsonObject:
        """Take a job back by its note; a peer that is lost keeps its part, and no more than that.

        Where the peer may have the new configuration, nothing is given up: it would come back.
        """
        me, begun = self.state.me, job.steps[: job.begun]
        way = WayBack(begun, (), me)
        if planned:
            return self._result(way, None)
        left = await take_back(job, self.do, self._keep, say, me=me)
        if not left:
            return self._result(way, None)
        installed = any(step.work is Work.INSTALL and step.node != me for step in begun)
        mine = (await remnants(self.state, self.workshop)).found
        if installed or mine or self.peer.connected:
            raise self._left(left)
        aside = await asyncio.to_thread(self._set_aside)
        mend = f"when {self.peer.name} is back, type here: clbuildapp --abandon"
        return self._result(WayBack(begun, (*left, mend), me), aside)

    async def _go(self, way: WayBack, say: Say) -> None:
        built = _with_released(self.state.built, way.released)
        job = Job("", built, built, way.steps, begun=len(way.steps))

        async def keep(_: Job | None) -> None:
            """Leave the note as it is: it is what cannot be read."""

        if left := await take_back(job, self.do, keep, say, me=way.home):
            raise self._left(left)

    def _left(self, left: tuple[str, ...]) -> RpcError:
        peer = self.peer.name
        return RpcError(
            f"this could not be taken back: {'; '.join(left)}",
            "mend the cause and type it again; nothing is lost, and the note stays where it is."
            f" What cannot be mended on {peer}: stop hapaird there, and type it again here",
        )

    async def _keep(self, job: Job | None) -> None:
        await asyncio.to_thread(self.file.keep, job)

    async def _ask(self, mine: Remnants) -> Remnants | None:
        """Ask the peer what it has; None when it cannot be reached. RpcError: it refuses."""
        if not self.peer.connected:
            return None
        args: JsonObject = {"remnants": encode(mine)}
        try:
            answer = await self.peer.request("build-remnants", args, timeout_s=LOOK_LIMIT_S)
        except RpcError as error:
            if not error.mend:  # Its version is older, or it hangs.
                error.mend = f"update hapair on {self.peer.name}; or stop it there, then only what"
                error.mend += " is on this node is taken back: systemctl stop hapaird"
            raise
        try:
            return decode(Remnants, answer.get("remnants"))
        except Malformed as error:
            raise RpcError(f"{self.peer.name} answers nonsense: {error}") from None

    def _set_aside(self) -> Path:
        try:
            return self.file.set_aside()
        except OSError as error:
            raise RpcError(f"{self.file.place}: {error.strerror}", "mend the disk") from None

    def _result(self, way: WayBack, aside: Path | None) -> JsonObject:
        told = list(way.told)
        if not self.peer.connected:
            told.append(f"{self.peer.name} cannot be reached: type it again when it is back")
        works = [step.undone(work) for step in reversed(way.steps) for work in step.undo]
        if aside is not None and not works:
            told += _stopped(self.state)
        released = sorted({each.released for each in way.released})
        return {"steps": works, "told": told, "aside": str(aside or ""), "released": released}


def _with_released(built: Built, released: tuple[Remnant, ...]) -> Built:
    """Return what is built with what was released, as far as steps ask for it."""
    volumes: dict[tuple[str, str], tuple[Volume, ...]] = {}
    for each in released:
        key = each.released, each.owner
        volumes[key] = (*volumes.get(key, ()), each.volume)
    entries = [
        BuiltApplication(Application(name, owner), of, "") for (name, owner), of in volumes.items()
    ]
    return replace(built, applications=(*built.applications, *entries))


def _stopped(state: NodeState) -> Iterator[str]:
    """Say what a release may have stopped before it changed anything."""
    for record in state.stored.records:
        name = record.application
        if record.wanted is Wanted.DOWN and name in state.built.by_name:
            yield f"{name} is built, and stopped; to run it: clrunapp {name}"
