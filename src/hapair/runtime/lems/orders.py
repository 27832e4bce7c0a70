"""What a Lems is told to watch: all of it, each time; the newest word replaces the former."""

from dataclasses import dataclass, replace

from hapair.config.codec import encode
from hapair.model.application import Unit
from hapair.model.built import BuiltApplication
from hapair.model.monitor import NO_MONITORS
from hapair.rpc.messages import JsonObject
from hapair.runtime.lems.changes import Watchable
from hapair.runtime.lems.wire import order


@dataclass(frozen=True, slots=True)
class ProgramGroup:
    """The control group that the program of an application has, unless it is a unit."""

    folder: str
    lived: bool = False  # The last start left processes in it: where none is any more, it ended.


def watch_order(
    me: str,
    run: int,
    built: BuiltApplication,
    watchables: tuple[Watchable, ...],
    group: ProgramGroup,
) -> bytes:
    """Write it: all that a Lems knows, also one that comes after the program has ended."""
    application = built.application
    mounts: list[JsonObject] = [
        {
            "device": volume.device,
            "mount_point": volume.mount_point,
            "file_system": volume.file_system.value,
        }
        for volume in built.volumes
    ]
    monitors = [
        {**encode(each.monitor), "halted": each.halted_wall_s is not None} for each in watchables
    ]
    watch: JsonObject = {
        "run": run,
        "node": me,
        "application": encode(replace(application, monitors=NO_MONITORS)),
        "mounts": mounts,
        "group": "" if isinstance(application.program, Unit) else group.folder,
        "lives": group.lived,
        "monitors": monitors,
    }
    return order(watch=watch)
