"""clbuildapp: survey both nodes, plan, then run the job and tell the cores."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from hapair.config.built_json import dumps as dump_built
from hapair.config.built_json import loads as load_built
from hapair.config.codec import encode
from hapair.config.format_appconf import APPLICATION_NAME
from hapair.config.kinds import Wrong
from hapair.core.explain import Alarm
from hapair.core.plan.application import Plan, Situation, make_plan
from hapair.core.plan.release import Release, is_remembered
from hapair.core.plan.remnants import Remnants
from hapair.core.plan.steps import TAKES_BACK, Step, Work
from hapair.core.words.events import Command, Forget, Introduce, Want
from hapair.core.words.state import NodeState
from hapair.model.application import Application, Volume
from hapair.model.built import Built
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Wanted
from hapair.model.storage import Folder, NodeStorage, Place
from hapair.ports.machine import Storage
from hapair.ports.programs import CommandRunner
from hapair.rpc.messages import ExitCode, JsonObject, Malformed, RpcError
from hapair.runtime.building.change import to_its_end
from hapair.runtime.building.files import BUSY, BUSY_MEND, BusyError, only_builder
from hapair.runtime.codec import decode
from hapair.runtime.jobs.abandon import Leaving, remnants
from hapair.runtime.jobs.answers import (
    as_answer,
    as_text,
    failed,
    refused,
    released,
    result,
    somebody_builds,
)
from hapair.runtime.jobs.brought import must_be_packable, with_brought
from hapair.runtime.jobs.job import (
    BACK,
    BACKWARDS,
    UNDO_RETRY_S,
    Job,
    JobFailedError,
    Say,
    run,
    take_back,
)
from hapair.runtime.jobs.parcel import Parcel, ParcelError, pack, refusal, unpack
from hapair.runtime.jobs.release import (
    WANTED_AGAIN,
    departure,
    job_of,
    left_out,
    not_ended,
    ordered,
)
from hapair.runtime.jobs.survey import (
    asked,
    kept_places,
    obstacles,
    places_of,
    question,
    survey,
    ways_to,
)
from hapair.runtime.jobs.unfinished import (
    WAY_OUT,
    JobFile,
    UnreadableError,
    told_at_work,
    told_left,
    told_taken_back,
    told_unreadable,
)
from hapair.runtime.jobs.whose import departed, is_complete
from hapair.runtime.jobs.workshop import Workshop
from hapair.runtime.jobs.written import written
from hapair.runtime.node.node import Node
from hapair.runtime.node.peer import Peer
from hapair.runtime.places import Places
from hapair.runtime.verbs import Call, Handler

SURVEY_LIMIT_S: Final = 120.0
STEP_LIMIT_S: Final = 300.0
BACK_S: Final = 15.0  # How long a peer may be lost before a step on it fails.


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the builder needs of the running daemon."""

    node: Callable[[], Node]  # RpcError when no cluster is built.
    reload: Callable[[], Awaitable[None]]  # Use what was just written to built.json.
    command: Callable[[Command], Awaitable[JsonObject]]  # RpcError when the core refuses.
    run: CommandRunner
    places: Places
    memory: Storage
    halt: Handler  # As clhaltapp asks for it.
    retry_s: float = UNDO_RETRY_S  # Between two tries to take something back.


class ApplicationBuilder:
    def __init__(self, around: Surroundings, workshop: Callable[[], Workshop]) -> None:
        self._around = around
        self._make_workshop = workshop
        self._busy = False
        self._at_work = asyncio.Lock()  # Jobs are run, and taken back, one after the other.
        self._for_peer = asyncio.Lock()  # A step may go on when the builder that asked is gone.
        self._file = JobFile(around.places, around.memory)
        self._told: Alarm | None = None  # How far a job of this node is, for people.
        self._released = ""  # The application that is being released.

    def for_peer(self) -> dict[str, Handler]:
        """Return what the peer's builder may ask of this node."""
        return {
            "build-survey": self._answer_survey,
            "build-step": self._answer_step,
            "build-install": self._answer_install,
            "build-remnants": self._answer_remnants,
            "release-survey": self._answer_release_survey,
            "release-want": self._answer_release_want,
        }

    @property
    def _workshop(self) -> Workshop:
        return self._make_workshop()

    @property
    def _state(self) -> NodeState:
        return self._around.node().state

    @property
    def _peer(self) -> Peer:
        return self._around.node().peer

    async def buildapp(self, call: Call, text: bytes | None = None) -> JsonObject:
        """Handle the verb ``buildapp`` {application, plan}; ``text`` is what appconf.xml will be.

        Raises RpcError: refused with all problems before anything changed, or failed half-way
        and taken back.
        """
        name = call.text("application")
        if isinstance(wrong := APPLICATION_NAME.kind.read(name), Wrong):
            raise RpcError(f"APP: {wrong.what}", wrong.mend, exit_code=ExitCode.USAGE)
        application, print_, warnings = written(self._around.places, self._state.built, name, text)
        if self._busy or (call.flag("plan") and self._file.present()):
            raise somebody_builds(self._state.me)
        if call.flag("plan"):
            return result(name, await self._look(call, application, print_), warnings)
        self._busy = True  # From the survey on: two nodes that plan at once would both refuse.
        try:
            async with self._at_work:
                await self._clear_former(call)
                with self._alone():
                    plan = await self._look(call, application, print_)
                    before = self._state.built
                    if plan.steps:
                        await self._run_job(call, Job(name, before, plan.built, plan.steps))
        finally:
            self._rest()
        anew = name not in before.by_name
        if anew or self._state.record(name) is None:
            # Also without steps: an earlier run may have died after its last step.
            has_data = self._state.built.application(name).volumes
            wanted = Wanted.DATA if has_data else Wanted.DOWN
            await to_its_end(self._around.command(Introduce(name, wanted, anew)))
        return result(name, plan, warnings) | {"changed": bool(plan.steps)}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep clbuild away, which would commit under the generation that this job leads to."""
        try:
            with only_builder(self._around.places):
                yield
        except BusyError:
            raise RpcError(BUSY, BUSY_MEND, exit_code=ExitCode.NOT_NOW) from None

    async def _look(self, call: Call, application: Application, print_: str) -> Plan:
        call.progress(f"looking at the storage of {application.name} on both nodes")
        return await self._plan(application, print_)

    def has_interrupted(self) -> bool:
        """Tell whether there is the note of a job that did not come to its end."""
        return not self._busy and self._file.present()

    def alarms(self) -> tuple[Alarm, ...]:
        """Say which of its two ends an unfinished job is on the way to."""
        if self._told is None or not (self._busy or self._file.present()):
            return ()
        return (self._told,)

    async def finish_interrupted(self, call: Call) -> tuple[str, ...]:
        """Take back a job that did not come to its end; return what could not be."""
        async with self._at_work:
            return await self._take_back_former(call)

    async def _take_back_former(self, call: Call) -> tuple[str, ...]:
        try:
            job = await asyncio.to_thread(self._file.load)
        except UnreadableError as error:
            self._told = told_unreadable(self._file.place, error)
            return (self._told.text,)
        if job is None:
            return ()
        if is_complete(self._state, job):
            job = replace(job, begun=0)  # Nothing of it is taken back.
        say, retry_s = self._saying(call, job), self._around.retry_s
        left = await take_back(job, self._do, self._keep, say, me=self._state.me, retry_s=retry_s)
        self._told = told_left(job, left) if left else None
        return left

    def _saying(self, call: Call, job: Job) -> Say:
        """Tell each step to the caller, and to whoever types clstat."""

        def say(text: str, number: int, of: int) -> None:
            back = text.startswith(BACKWARDS)
            if job.gives_back:
                text = text.removeprefix(BACK)
            call.progress(text, number, of)
            self._told = told_taken_back(job, text) if back else told_at_work(job, text)

        return say

    async def _clear_former(self, call: Call) -> None:
        left = await to_its_end(self._take_back_former(call))
        if left:
            raise RpcError(
                f"an earlier clbuildapp did not come to its end: {'; '.join(left)}",
                f"mend the cause and type it again; without its note, or without the other node:"
                f" {WAY_OUT} --plan",
            )

    async def abandon(self, call: Call) -> JsonObject:
        """Handle the verb ``abandon`` {plan}: take back by its marks what no note tells of.

        Raises RpcError: nothing was changed, or what could not be taken back is named.
        """
        if self._busy:
            raise somebody_builds(self._state.me)
        self._busy = True
        try:
            async with self._at_work:
                leaving = Leaving(self._state, self._peer, self._file, self._workshop, self._do)
                return await to_its_end(leaving.abandon(call, call.progress))
        finally:
            self._rest()

    async def release(self, call: Call) -> JsonObject:
        """Handle the verb ``release`` {application, plan}: let it leave the cluster with its data.

        Raises RpcError: refused before anything changed, failed half-way and taken back, or out of
        the cluster with something left to give back, which is tried again.
        """
        name = call.text("application")
        if self._busy or (call.flag("plan") and self._file.present()):
            raise somebody_builds(self._state.me)
        call.progress(f"looking at {name} on both nodes")
        if call.flag("plan"):
            return released(name, await self._departure(name), changed=False)
        self._busy, self._released = True, name
        try:
            async with self._at_work:
                await self._clear_former(call)
                with self._alone():
                    release = await self._departure(name)
                    if release is not None:
                        job = job_of(self._state.built, name, release)
                        await self._run_job(call, job)
                        if left := await to_its_end(self._take_back_former(call)):
                            raise not_ended(job.command, left, release.start_again)
        finally:
            self._rest()
        return released(name, release, changed=release is not None)

    async def _departure(self, name: str) -> Release | None:
        around = self._around
        return await departure(around.node(), self._workshop, around.places, around.run, name)

    def refuse_beside(self, application: str) -> None:
        """Raise RpcError while the application is being released: it would be started beside."""
        if application and application == self._released:
            mend = "wait for it; clstat says what becomes of it"
            raise RpcError(f"{application} is being released", mend, exit_code=ExitCode.NOT_NOW)

    def _rest(self) -> None:
        self._busy, self._released = False, ""
        if not self._file.present():
            self._told = None

    async def _plan(self, application: Application, print_: str) -> Plan:
        state = self._state
        here = await self._survey(application)
        answer = await self._peer.request(
            "build-survey",
            {
                "application": application.name,
                "built": as_text(state.built, application),
                **question(places_of(here.groups)),
            },
            timeout_s=SURVEY_LIMIT_S,
        )
        folder = self._around.places.appconf(application.name).parent
        peer = await asyncio.to_thread(
            with_brought, decode(NodeStorage, answer.get("storage")), here, application, folder
        )
        record, is_built = state.record(application.name), application.name in state.built.by_name
        situation = Situation(
            built=state.built,
            application=application,
            fingerprint=print_,
            file=str(self._around.places.appconf(application.name)),
            here=here,
            peer=peer,
            owner=record.owner if record is not None and is_built else "",
            moving=application.name in state.moving,
            remembered=is_remembered(state, application.name),
        )
        plan = make_plan(situation)
        if not isinstance(plan, Plan):
            raise refused(application.name, plan)
        # It is carried over in the last step: what cannot be is seen before the first one.
        await asyncio.to_thread(must_be_packable, folder)
        return plan

    async def _survey(
        self, application: Application, peers: tuple[Place, ...] | None = None
    ) -> NodeStorage:
        """Look at this node; ``peers``: where the new volumes are mounted on the other one."""
        me, workshop = self._state.me, self._workshop
        kept = kept_places(self._state.built, application.name)
        try:
            async with asyncio.timeout(SURVEY_LIMIT_S):
                ways = await asyncio.to_thread(ways_to, workshop.natives, peers or ())
                away = (*kept, *(peers or ()))
                found = await survey(me, application, workshop, self._around.run, away)
                in_the_way = await asyncio.to_thread(
                    obstacles,
                    workshop.natives,
                    places_of(found.groups) if peers is None else peers,
                    kept,
                    application,
                    elsewhere=peers is not None,
                )
                return replace(found, folders=ways, obstacles=in_the_way)
        except (TimeoutError, ValueError) as error:
            raise RpcError(
                f"the storage of {me} does not answer: {str(error) or 'no answer in time'}",
                f"look there for a disk or file system that hangs: {me}# dmesg | tail; vgs; mount",
                exit_code=ExitCode.NOT_NOW,
            ) from None

    async def _run_job(self, call: Call, job: Job) -> None:
        me, say, retry_s = self._state.me, self._saying(call, job), self._around.retry_s
        try:
            await run(job, self._do, self._keep, say, me=me, retry_s=retry_s)
        except asyncio.CancelledError as interruption:
            if isinstance(interruption.__cause__, JobFailedError):
                self._told = told_left(job, interruption.__cause__.not_undone)
            raise
        except JobFailedError as error:
            if error.not_undone:
                self._told = told_left(job, error.not_undone)
            raise failed(job, error) from None

    async def _do(self, step: Step, work: Work, job: Job) -> Outcome:
        me = self._state.me
        if work is step.work and (why := departed(self._state, job)):
            return Refused(why)
        built = job.before if work is Work.INSTALL_FORMER else job.built
        if work in (Work.INSTALL, Work.INSTALL_FORMER):
            return await self._install(step.node, job.application, built)
        if work is Work.HALT:
            return await ordered(self._around.halt(Call({"application": job.application})))
        if work in WANTED_AGAIN:
            return await self._want(job.application, WANTED_AGAIN[work])
        if step.node == me:
            return await self._work(work, step.volume[0], built, step.folders)
        args: JsonObject = {
            "work": work.value,
            "volume": encode(step.volume[0]),
            "built": dump_built(built).decode(),
            "step": encode(step),
        }
        return await self._ask_peer("build-step", args)

    async def _want(self, application: str, wanted: Wanted) -> Outcome:
        """Let its owner write it: a peer that was given the right meanwhile may be that by now."""
        record = self._state.record(application)
        if record is None or record.owner == self._state.me:
            return await ordered(self._around.command(Want(application, wanted)))
        return await self._ask_peer("release-want", {"application": application, "wanted": wanted})

    async def _work(
        self, work: Work, volume: Volume, built: Built, folders: tuple[Folder, ...] = ()
    ) -> Outcome:
        """Do a work here; what the configuration in force uses is never taken back."""
        for each in self._state.built.applications:
            if work in TAKES_BACK and volume.shares_disk_with(each.volumes):
                return Refused(f"{volume.resource} belongs to {each.application.name}, as built")
        if work is Work.FORGET:
            entry = built.by_resource[volume.resource]
            forget = Forget(entry.application.name, volume.resource)
            return await ordered(self._around.command(forget))
        return await self._workshop.do(work, volume, built, folders)

    async def _ask_peer(self, verb: str, args: JsonObject, *, again: bool = True) -> Outcome:
        """Let the peer do it; ``again``: once more when its connection is lost meanwhile."""
        try:
            answer = await self._peer.request(verb, args, timeout_s=STEP_LIMIT_S, connect_s=BACK_S)
        except RpcError as error:
            if again and error.exit_code is ExitCode.UNFINISHED:
                return await self._ask_peer(verb, args, again=False)
            return Unknown(error.error)
        why = answer.get("refused")
        return Refused(str(why)) if why else Done()

    async def _install(self, node: str, application: str, built: Built) -> Outcome:
        try:
            folder = self._around.places.appconf(application).parent
            files = pack(folder) if application in built.by_name else ()
        except (ParcelError, OSError) as error:
            return Refused(str(error))
        parcel = Parcel(application, dump_built(built).decode(), files)
        if node == self._state.me:
            return await self._unpack(replace(parcel, files=()))
        return await self._ask_peer("build-install", {"parcel": encode(parcel)})

    async def _unpack(self, parcel: Parcel, why_not: Callable[[], str] = lambda: "") -> Outcome:
        around = self._around
        async with self._for_peer:
            return await unpack(parcel, self._state, around.places, around.reload, why_not)

    async def _keep(self, job: Job | None) -> None:
        """Store the job, or forget it: clbuild refuses while there is one."""
        await asyncio.to_thread(self._file.keep, job)

    # What the peer's builder asks of this node.

    async def _answer_survey(self, call: Call) -> JsonObject:
        self._refuse_beside_job()
        name = call.text("application")
        built = load_built(call.text("built").encode())
        storage = await self._survey(built.application(name).application, asked(call.args))
        return {"storage": encode(storage, defaults=False)}

    async def _answer_remnants(self, call: Call) -> JsonObject:
        self._refuse_beside_job()
        try:
            theirs = decode(Remnants, call.args.get("remnants"))
        except Malformed as error:
            raise RpcError(f"a question that is not understood: {error}") from None
        async with self._for_peer:
            mine = await remnants(self._state, self._workshop, theirs.volumes())
            return {"remnants": encode(mine)}

    async def _answer_release_survey(self, call: Call) -> JsonObject:
        self._refuse_beside_job()
        found = await left_out(self._state, self._workshop, call.text("application"))
        return {"left_out": list(found)}

    async def _answer_release_want(self, call: Call) -> JsonObject:
        wanted = Want(call.text("application"), Wanted(call.text("wanted")))
        return await self._around.command(wanted)

    def _refuse_beside_job(self) -> None:
        """Keep the peer's builder away while a job of this node is under way or unfinished."""
        me = self._state.me
        if self._busy:
            raise somebody_builds(me)
        if self._file.present():
            raise RpcError(
                f"a clbuildapp did not come to its end on {me}",
                f"look there, it says what to type: {me}# clstat",
                exit_code=ExitCode.NOT_NOW,
            )

    async def _answer_step(self, call: Call) -> JsonObject:
        try:
            work = Work(call.text("work"))
            volume = decode(Volume, call.args.get("volume"))
            sent = call.args.get("step")  # An earlier version sends none.
            folders = decode(Step, sent).folders if sent is not None else ()
        except (ValueError, Malformed) as error:
            raise RpcError(f"a step that is not understood: {error}") from None
        built = load_built(call.text("built").encode())
        async with self._for_peer:
            return as_answer(await self._work(work, volume, built, folders))

    async def _answer_install(self, call: Call) -> JsonObject:
        parcel = decode(Parcel, call.args.get("parcel"))
        return as_answer(await self._unpack(parcel, lambda: refusal(parcel, self._state)))
