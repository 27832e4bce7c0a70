"""What is watched of an application, with what is watched where nobody wrote a monitor."""

from hapair.model.application import Application
from hapair.model.monitor import HANGS_S, FileSystemProbe, Monitor, Probe, ProcessProbe


def watched(application: Application) -> tuple[Monitor, ...]:
    """Return its monitors; of file systems and processes there always is one."""
    written = application.monitors.each
    always: list[Monitor] = []
    if application.volume_groups and not _has(written, FileSystemProbe):
        always.append(Monitor("filesystem", FileSystemProbe(), timeout_s=HANGS_S))
    if application.program is not None and not _has(written, ProcessProbe):
        always.append(Monitor("process", ProcessProbe()))
    return (*always, *written)


def _has(monitors: tuple[Monitor, ...], kind: type[Probe]) -> bool:
    return any(isinstance(each.probe, kind) for each in monitors)
