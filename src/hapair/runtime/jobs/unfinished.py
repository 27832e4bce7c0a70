"""The note of a job that is under way: kept on disk, read again, told to people, set aside."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.config import codec
from hapair.config.built_json import dumps as dump_built
from hapair.config.built_json import loads as load_built
from hapair.config.codec import DamagedError, encode
from hapair.core.explain import Alarm
from hapair.core.plan.steps import WITHOUT_VOLUME, Step
from hapair.durable import set_aside
from hapair.ports.machine import Storage
from hapair.rpc.messages import Malformed
from hapair.runtime.codec import loads
from hapair.runtime.jobs.job import Job
from hapair.runtime.places import Places

JOB: Final = "job.json"
NAME: Final = re.compile(rb'"application":\s*"([\w.-]{1,64})"')
WAY_OUT: Final = "clbuildapp --abandon"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A job as it lies on disk: built configurations in their own strict form."""

    application: str
    before: str
    built: str
    steps: tuple[Step, ...]
    begun: int


class UnreadableError(Exception):
    """There is a note of a job, and what it says is not known."""

    def __init__(self, application: str, why: str) -> None:
        super().__init__(why)
        self.application = application  # As far as that can be made out; else empty.


class JobFile:
    def __init__(self, places: Places, memory: Storage) -> None:
        self._places = places
        self._memory = memory

    @property
    def place(self) -> Path:
        return self._places.job

    def present(self) -> bool:
        """Tell whether there is a note of any kind, also an empty one."""
        return self.place.exists()

    def load(self) -> Job | None:
        """Return the job, or None without one; UnreadableError says why it is not known."""
        content = b""
        try:
            found = self._memory.load(JOB)
            if found is None:
                return None
            content = found
            return decode_job(content)
        except (Malformed, DamagedError, OSError) as error:
            name = NAME.search(content)
            raise UnreadableError(name[1].decode() if name else "", str(error)) from None

    def keep(self, job: Job | None) -> None:
        """Store the job, or forget it; OSError."""
        if job is None:
            self._memory.forget(JOB)
        else:
            self._memory.store(JOB, encode_job(job, self._memory.load(JOB)))

    def set_aside(self) -> Path:
        """Rename the note, so that nothing takes it for a job any more; return its new name."""
        return set_aside(self.place)


def encode_job(job: Job, written: bytes | None = None) -> bytes:
    """Return the note, with what a newer version knows more of it in the one that lies there."""
    before, built = dump_built(job.before).decode(), dump_built(job.built).decode()
    encoded = encode(_Stored(job.application, before, built, job.steps, job.begun))
    with suppress(DamagedError):  # What cannot be read was set aside, or is of another job.
        former = codec.loads(written) if written is not None else None
        encoded = codec.kept(_Stored, former, encoded)
    return json.dumps(encoded, separators=(",", ":")).encode()


def decode_job(content: bytes) -> Job:
    """Read a stored job; Malformed or DamagedError when it is damaged or of a newer version."""
    stored = loads(_Stored, content)
    before, built = load_built(stored.before.encode()), load_built(stored.built.encode())
    if not 0 <= stored.begun <= len(stored.steps):
        raise Malformed(f"{stored.begun} steps were begun of {len(stored.steps)}")
    if any(not step.volume and step.work not in WITHOUT_VOLUME for step in stored.steps):
        raise Malformed("a step does not say which volume it is for")
    return Job(stored.application, before, built, stored.steps, stored.begun)


def told_at_work(job: Job, doing: str) -> Alarm:
    name = job.application
    aim = "built" if name in job.built.by_name else "released"
    text = (
        f"{job.command} is at work ({doing}); it ends with {name} {aim}, or, when it fails or is"
        " interrupted, with everything as before"
    )
    return Alarm("builds", text, name)


def told_taken_back(job: Job, doing: str) -> Alarm:
    text = f"{job.command} did not come to its end ({doing}); it ends with everything as before"
    if job.gives_back:
        text = f"{job.command} is at work ({doing}); it is out of the cluster by now"
    return Alarm("takes-back", text, job.application)


def told_left(job: Job, left: tuple[str, ...]) -> Alarm:
    what = "this is not yet as before"
    if job.gives_back:
        what = "it is out of the cluster, but this is left of it"
    text = f"{job.command} did not come to its end, and {what}: {'; '.join(left)}"
    return Alarm("not-taken-back", text, job.application)


def told_unreadable(place: Path, error: UnreadableError) -> Alarm:
    whose = f"clbuildapp {error.application}" if error.application else "a clbuildapp"
    text = f"{whose} did not come to its end, and its note {place} cannot be read: {error}"
    return Alarm("job-unreadable", text, error.application)
