"""Run one probe, or a real parent with its Lems."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hapair.config.codec import encode
from hapair.lems.answers import Answer, Command, Probe, Said
from hapair.lems.asking import Asking
from hapair.lems.loop import Loop
from hapair.model.application import Application, Script
from hapair.model.monitor import Monitor

ORDERS: Final = Application("orders", "node1", Script("/a"))
STREAMS: Final = 3
SOURCE: Final = Path(__file__).parents[2] / "src"


def ask(probe: Probe, timeout_s: float = 10.0) -> Answer:
    """Return what a probe answers, or what counts instead at its time limit."""
    loop, answers = Loop(), list[Answer]()

    def answered(answer: Answer) -> None:
        answers.append(answer)
        loop.ended = True

    asking = Asking(loop, probe, timeout_s, answered)
    loop.run()
    if asking.over:  # A thread that hangs will want to wake it.
        loop.close()
    return answers[0]


def ask_without_descriptors(probe: Probe) -> Answer:
    """Return what a probe answers while its process can open nothing more."""
    with ExitStack() as stack:

        class Asked:
            trouble, asked, close = probe.trouble, probe.asked, probe.close

            def ask(self) -> Said:
                stack.enter_context(without_descriptors())
                return probe.ask()

        return ask(Asked())


@contextmanager
def without_descriptors() -> Iterator[None]:
    """Let this process open nothing more until the end of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (STREAMS, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def with_programs_of(folder: Path, command: Command) -> Command:
    """Return the command as it is where these programs are found before those of the system."""
    path = f"{folder}:{command.environment['PATH']}"
    return replace(command, environment={**command.environment, "PATH": path})


def script(place: Path, text: str) -> str:
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)
    return str(place)


def watch(
    monitors: tuple[Monitor, ...],
    *,
    run: int = 1,
    application: Application = ORDERS,
    group: str = "/nowhere",
    lives: bool = False,
    halted: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return what the daemon tells a Lems; ``halted`` names monitors."""
    told = {
        "run": run,
        "node": "node1",
        "application": encode(application),
        "mounts": [],
        "group": group,
        "lives": lives,
        "monitors": [{**encode(each), "halted": each.name in halted} for each in monitors],
    }
    return {"watch": told}


@contextmanager
def parent(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    call = f"from hapair.lems.main import main; main(['--socket', {str(path)!r}])"
    argv = (sys.executable, "-ISc", f"import sys; sys.path.append({str(SOURCE)!r}); {call}")
    with subprocess.Popen(argv) as process:
        try:
            yield process
        finally:
            process.kill()
