"""A person's lab, which outlives a command: ``cllab up`` makes it, ``cllab down`` ends it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hapair_lab.errors import LabError
from hapair_lab.folders import age_s, runs_folder
from hapair_lab.lab import DESCRIPTION, ClosingOnError, Lab
from hapair_lab.process import any_runs_in
from hapair_lab.saved import Saved
from hapair_lab.tools import locked

POINTER: Final = "current"
STARTING: Final = "starting"  # In the folder of a lab whose start has not come to its end.
YOUNG_S: Final = 600


def _pointer() -> Path:
    return runs_folder() / POINTER


def current_folder() -> Path | None:
    """Return the folder of the person's lab, or None if there is none."""
    pointer = _pointer()
    if not pointer.is_symlink():
        return None
    folder = pointer.resolve()
    return folder if (folder / DESCRIPTION).exists() else None


def current() -> Lab:
    """Return the person's running lab; LabError if there is none."""
    folder = current_folder()
    if folder is None:
        raise LabError("the lab is not up", hint="cllab up")
    return Lab.attach(folder)


def running() -> Lab | None:
    """Return the person's lab if its start came to its end and something of it runs, else None."""
    folder = current_folder()
    if folder is None or (folder / STARTING).exists():
        return None
    lab = Lab.attach(folder)
    return lab if lab.is_running() else None


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let no other command start or end the person's lab meanwhile; wait for one that does."""
    waiting = "waiting until another cllab up, restore or down has ended"
    with locked("current-lab", waiting=waiting):
        yield


def bring_up(saved: Saved) -> Lab:
    """Start the person's lab from a snapshot, and let it run on after this process.

    The pointer is set before anything is started: ``bring_down`` finds what a killed start left.
    """
    lab = Lab.at_rest(saved, dies_with_parent=False)
    pointer, starting = _pointer(), lab.folder / STARTING
    with contextlib.ExitStack() as on_error:
        on_error.callback(pointer.unlink, missing_ok=True)
        on_error.enter_context(ClosingOnError(lab))
        starting.touch()
        pointer.unlink(missing_ok=True)
        pointer.symlink_to(lab.folder)
        lab.continue_from(saved)
        starting.unlink()
        on_error.pop_all()
    return lab


def bring_down() -> bool:
    """End the person's lab and all that belongs to it; tell whether there was one."""
    folder = current_folder()
    if folder is not None:
        Lab.attach(folder).close()
    _pointer().unlink(missing_ok=True)
    return folder is not None


def sweep() -> None:
    """Remove the folders of labs whose processes are all gone, e.g. after a killed test run.

    Young folders are left alone: a lab may just be starting in them.
    """
    kept = current_folder()
    for folder in runs_folder().iterdir():
        if folder.is_symlink() or not folder.is_dir() or folder == kept:
            continue
        if age_s(folder) < YOUNG_S:
            continue
        if not any_runs_in(folder):
            shutil.rmtree(folder, ignore_errors=True)
