"""Carry out the steps of a build on this node, whichever node asked for them."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hapair import __version__
from hapair.config import built_json
from hapair.model.leftover import Stage
from hapair.ports.programs import CommandRunner, Finished, TimedOut
from hapair.rpc.messages import JsonObject, RpcError
from hapair.runtime.building import archive, keys
from hapair.runtime.building.files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    NewFile,
    ResourceFiles,
    digest,
    read_or_empty,
    superfluous,
    to_text,
)
from hapair.runtime.building.staging import Staging, StagingError
from hapair.runtime.building.steps import Answer, Step, StepKind
from hapair.runtime.places import Places

CHANGED: Final = "built.json has changed since it was looked at, as by clbuildapp"
CHANGED_MEND: Final = "try again"
COMMAND_TIMEOUT_S: Final = 30.0
START_TIMEOUT_S: Final = 120.0  # Type=notify: systemctl waits until the daemon is ready.
RELOAD_TIMEOUT_S: Final = 60.0
APPLICATIONS: Final = "hapair-apps.service"  # Holds applications while the daemon restarts.
DAEMON: Final = "hapaird.service"
MEMBERSHIP: Final = "hapair-node.service"  # Joins at boot, leaves in order at shutdown.
SERVICES: Final = (APPLICATIONS, DAEMON, MEMBERSHIP)
LVM_LOCAL: Final = "etc/lvm/lvmlocal.conf"
LVM_BLOCK: Final = """\
# hapair: begin. LVM must not open DRBD's devices: a scan would hold one that is about to move,
# and hang on one whose writes are frozen. Purging hapair removes these lines.
devices {
    global_filter = [ "r|^/dev/drbd|" ]
}
# hapair: end
"""
LVM_BLOCK_PATTERN: Final = re.compile(r"(?ms)^# hapair: begin.*?^# hapair: end\n?")

AskDaemon = Callable[[str, float], JsonObject]  # Verb and time limit; raises RpcError.


@dataclass(frozen=True, slots=True)
class NodeHands:
    ask_daemon: AskDaemon
    resource_files: ResourceFiles


class NodeSide:
    """Everything a build changes on a node happens here. The caller holds the build lock."""

    def __init__(self, places: Places, run: CommandRunner, hands: NodeHands) -> None:
        self._places = places
        self._run = run
        self._hands = hands

    async def perform(self, step: Step) -> Answer:
        """Carry the step out. An error in the answer says whether anything was changed."""
        try:
            return await self._perform(step)
        except (StagingError, keys.KeysError, archive.ArchiveError) as error:
            return Answer(error=str(error), mend="run clbuild again; it clears leftovers first")
        except OSError as error:
            return Answer(error=str(error), mend="df -h /etc /cmbackup; dmesg | tail")

    async def _perform(self, step: Step) -> Answer:
        staging = Staging(self._places, step.generation)
        match step.kind:
            case StepKind.BEGIN:
                return await self._begin(step, staging)
            case StepKind.STAGE:
                if digest(read_or_empty(self._places.built)) != step.built_seen:
                    return Answer(CHANGED, CHANGED_MEND)
                if step.archive:
                    archive.make(self._places, step.archive, node=step.node, version=__version__)
                staging.stage(self._all_files(step, staging))
            case StepKind.COMMIT:
                staging.commit()
            case StepKind.UNDO:
                staging.undo()
            case StepKind.FINISH:
                staging.finish()
            case StepKind.LOOK:
                reached: Stage | None = staging.stage_reached
                return Answer(stage=reached.value if reached else "")
            case StepKind.READ_ARCHIVE:
                return self._read_archive(step)
            case StepKind.ACTIVATE:
                staging.finish()
                return await self._activate(step)
        return Answer()

    # --- Before anything is in use --------------------------------------------------------------

    async def _begin(self, step: Step, staging: Staging) -> Answer:
        if step.load_drbd and (error := await self._failure("modprobe", "drbd")):
            return Answer(
                error=f"the DRBD module cannot be loaded: {error}",
                mend="dmesg | tail; with Secure Boot the module must be signed",
            )
        staging.begin()
        certificate = read_or_empty(self._places.node_certificate)
        if step.new_key_pair:
            await keys.make_pair(self._run, staging.folder, node=step.node, cluster=step.cluster)
            certificate = read_or_empty(staging.folder / "node.crt")
        secret = read_or_empty(self._places.cluster_key) if step.give_cluster_key else b""
        return Answer(certificate=to_text(certificate), cluster_key=to_text(secret))

    def _all_files(self, step: Step, staging: Staging) -> tuple[NewFile, ...]:
        """Add what only this node can make to what it was sent."""
        files = list(step.files)
        if step.new_key_pair:
            for name, mode in (("node.key", PRIVATE_MODE), ("node.crt", PUBLIC_MODE)):
                content = to_text(read_or_empty(staging.folder / name))
                files.append(NewFile(f"etc/cluster/keys/{name}", content, mode))
        if step.lvm_filter:
            files.append(self._lvm_file())
        if step.restore:
            files += self._archived_files(step)
        files += self._resource_files(step, files)
        return tuple(files)

    def _resource_files(self, step: Step, others: list[NewFile]) -> list[NewFile]:
        """Return DRBD's files for the volumes of built.json; a restore removes the others."""
        contents = [file.content for file in step.files if file.path == archive.BUILT]
        coming = {file.path: file.content for file in others}
        key = coming.get(keys.CLUSTER_KEY, read_or_empty(self._places.cluster_key))
        files = [
            file
            for content in contents
            for file in self._hands.resource_files(built_json.loads(content), key)
        ]
        if not step.restore:
            return files
        return [*files, *superfluous(self._places, files)]

    def _lvm_file(self) -> NewFile:
        before = to_text(read_or_empty(self._places.root / LVM_LOCAL))
        rest = LVM_BLOCK_PATTERN.sub("", before)
        if rest and not rest.endswith("\n"):
            rest += "\n"
        return NewFile(LVM_LOCAL, rest + LVM_BLOCK)

    # --- Restore --------------------------------------------------------------------------------

    def _read_archive(self, step: Step) -> Answer:
        found = archive.read(self._places.archives / step.restore)
        if found.built is None:
            return Answer(
                error=f"{step.restore} was made before anything was built",
                mend="clrestore --list shows the others",
            )
        return Answer(
            cluster=found.built.cluster.name,
            generation=found.built.generation,
            note=found.manifest.node,
        )

    def _archived_files(self, step: Step) -> list[NewFile]:
        """Return the archive's files, and the removal of those that it does not have."""
        found = archive.read(self._places.archives / step.restore)
        sent = {file.path for file in step.files}
        files = [file for file in found.files if file.path not in sent]
        kept = sent | {file.path for file in files}
        present = [path for path, _ in archive.configuration_files(self._places)]
        return [*files, *(NewFile(path, remove=True) for path in present if path not in kept)]

    # --- Afterwards -----------------------------------------------------------------------------

    async def _activate(self, step: Step) -> Answer:
        if step.enable and (error := await self._failure("systemctl", "enable", *SERVICES)):
            return Answer(error=f"the services cannot be enabled: {error}", mend="systemctl status")
        if await self._reloaded():
            return Answer(note="hapaird took the configuration over")
        # A restart is a start where nothing runs, and safe elsewhere: what runs is adopted.
        for argv in (("start", APPLICATIONS), ("restart", DAEMON)):
            if error := await self._failure("systemctl", *argv, timeout_s=START_TIMEOUT_S):
                return Answer(
                    error=f"the daemon does not start: {error}", mend="journalctl -u hapaird -n 50"
                )
        return Answer(note="hapaird was started")

    async def _reloaded(self) -> bool:
        try:
            await asyncio.to_thread(self._hands.ask_daemon, "reload", RELOAD_TIMEOUT_S)
        except RpcError:
            return False
        return True

    async def _failure(self, *argv: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command; return why it failed, or nothing."""
        match await self._run(argv, timeout_s=timeout_s):
            case Finished(exit_code=0):
                return ""
            case Finished(exit_code=exit_code, stderr=stderr):
                return stderr.strip() or f"{argv[0]} ended with exit code {exit_code}"
            case TimedOut(after_s):
                return f"{argv[0]} gave no answer within {after_s:.0f} s"
