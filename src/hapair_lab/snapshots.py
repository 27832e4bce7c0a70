"""The chain of snapshots: each step is built once on the running lab of its parent, then reused.

    os-booted -> installed (our package) -> formed (a cluster with an application)

A step's key is the hash of its own ingredients and its parent's key, so a changed package makes
new snapshots of what depends on it and of nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab import qemu, topology, uml
from hapair_lab.acceleration import Acceleration
from hapair_lab.errors import LabError
from hapair_lab.folders import age_s, cache_folder, discard, runs_folder
from hapair_lab.guests import Guests, uml_kernel
from hapair_lab.images import Image, image_in_cache, remove
from hapair_lab.lab import BOOKWORM, MIXED, TRIXIE, ClosingOnError, Lab, equipment, read_description
from hapair_lab.progress import say, step
from hapair_lab.saved import (
    BY_HAND,
    Saved,
    all_saved,
    is_saved,
    read_saved,
    snapshots_folder,
    unusable,
)
from hapair_lab.tools import BUILD_TIMEOUT_S, locked
from hapair_lab.turns import turn_of

# Variants of one name and kind that are kept, for who works on several branches.
KEPT_PER_NAME: Final = 2
# What all together may take before those go that were not used for longest: all scenarios on both
# kinds of guests need less.
KEPT_BYTES: Final = 24 * 1024**3
SPARED_S: Final = 1800.0
BUILDING_S: Final = 3 * BUILD_TIMEOUT_S  # Longer than any image is being built.
FETCHED: Final = ("packages-*.tar", "uml-*-*")
PROCESSOR: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Rest:
    """What runs in guests that are halted for a snapshot: how it ends in order and comes back."""

    before_halt: Callable[[Lab], None]
    after_boot: Callable[[Lab], None]


NOTHING_RUNS: Final = Rest(lambda _: None, lambda _: None)


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain.

    ``build`` works on a running lab that continues from the parent's snapshot and leaves it as
    the snapshot shall be; ``ingredients`` are all things that its result depends on. Only the
    first link has ``releases``: those of the guests that are booted for it. ``rest`` is for guests
    that cannot be frozen (the parent's, unless the link has its own).
    """

    name: str
    parent: Step | None
    ingredients: tuple[str, ...]
    build: Callable[[Lab], None]
    releases: tuple[tuple[str, str], ...] = tuple(BOOKWORM.items())
    rest: Rest | None = None

    @property
    def chain(self) -> tuple[Step, ...]:
        """The link and all before it, the last one first."""
        return (self,) if self.parent is None else (self, *self.parent.chain)

    @property
    def first(self) -> Step:
        """The link with which the chain begins."""
        return self.chain[-1]

    @property
    def resting(self) -> Rest:
        """How guests that cannot be frozen are halted and come back."""
        if self.rest is not None:
            return self.rest
        return NOTHING_RUNS if self.parent is None else self.parent.resting


def _settle(lab: Lab) -> None:
    """Let the guests come to rest, so that a scenario does not begin amid the end of the boot."""
    for machine in lab.machines:
        machine.check("udevadm settle; sync")


OS_BOOTED: Final = Step("os-booted", None, (), _settle)
TRIXIE_BOOTED: Final = Step("trixie-booted", None, (), _settle, tuple(TRIXIE.items()))
MIXED_BOOTED: Final = Step("mixed-booted", None, (), _settle, tuple(MIXED.items()))


def file_hash(path: Path) -> str:
    """Return the hash of a file's content, as an ingredient."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _processor() -> str:
    """Return the model of this host's processor: saved states carry its clock rate with them."""
    for line in PROCESSOR.read_text().splitlines():
        if line.startswith("model name"):
            return line
    return ""


def _machine_ingredients(
    images: Mapping[str, Image], acceleration: Acceleration
) -> tuple[str, ...]:
    """Return what a saved state depends on besides the guests' own doing."""
    emulator = inspect.getsource(uml if acceleration is Acceleration.UML else qemu)
    image_keys = repr([(guest, image.key) for guest, image in sorted(images.items())])
    how = repr(acceleration.arguments)
    return (image_keys, how, emulator, repr(topology.GUESTS), _processor())


def key_of(wanted: Step, images: Mapping[str, Image], acceleration: Acceleration) -> str:
    """Return the hash that names the snapshot of a step."""
    if wanted.parent is None:
        before: tuple[str, ...] = _machine_ingredients(images, acceleration)
    else:
        before = (key_of(wanted.parent, images, acceleration),)
    text = repr((wanted.name, before, wanted.ingredients))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder_of(name: str, key: str) -> Path:
    """Return where the snapshot of that name and key is kept."""
    return snapshots_folder() / f"{name}-{key}"


def keys_in_cache(last: Step, kind: Guests | None = None) -> dict[str, str]:
    """Return name and key of a link and of all before it; nothing is built for it.

    Empty when not even the images are there: then no snapshot of these keys can be.
    """
    kernel = uml_kernel(kind)
    images = {image_in_cache(release, kernel) for _, release in last.first.releases}
    if not all(image.root_disk.exists() for image in images):
        return {}
    made_of = equipment(dict(last.first.releases), kind)
    return {link.name: key_of(link, *made_of) for link in last.chain}


def ensure(wanted: Step, kind: Guests | None = None) -> Saved:
    """Return the snapshot of a step, built now (with its parents) if the cache has none."""
    images, acceleration = equipment(dict(wanted.first.releases), kind)
    key = key_of(wanted, images, acceleration)
    folder = folder_of(wanted.name, key)
    if not is_saved(folder):
        # The turn comes before the lock: who has a lab may want another one's snapshot.
        with turn_of(acceleration), locked(f"snapshot-{wanted.name}-{acceleration}"):
            if not is_saved(folder):
                discard(folder)
                _build(wanted, key, kind)
    os.utime(folder)
    return read_saved(folder)


def lab_from(wanted: Step, kind: Guests | None = None) -> Lab:
    """Return a lab that continues from the snapshot of a step, which is built if need be.

    The turn is taken first, so that nobody prunes the snapshot while we wait.
    """
    _, acceleration = equipment(dict(wanted.first.releases), kind)
    with turn_of(acceleration):
        return _continued(wanted, ensure(wanted, kind))


def _continued(wanted: Step, saved: Saved) -> Lab:
    """Return a lab that is as it was when ``saved`` was taken."""
    lab = Lab.from_saved(saved)
    with ClosingOnError(lab):
        if not saved.acceleration.can_freeze:
            wanted.resting.after_boot(lab)
    return lab


def _build(wanted: Step, key: str, kind: Guests | None) -> None:
    with _lab_before(wanted, kind) as lab:
        with step(f"snapshot {wanted.name}: preparing the guests"):
            wanted.build(lab)
            if not lab.description.acceleration.can_freeze:
                wanted.resting.before_halt(lab)
        with step(f"snapshot {wanted.name}: saving"):
            save(lab, wanted.name, key)
    prune()


@contextlib.contextmanager
def _lab_before(wanted: Step, kind: Guests | None) -> Iterator[Lab]:
    """Yield the running lab on which a step is built."""
    if wanted.parent is not None:
        parent = ensure(wanted.parent, kind)
        with _continued(wanted.parent, parent) as lab:
            yield lab
        return
    with step("booting node1, node2 and outside"):
        lab = Lab.cold(dict(wanted.releases), kind)
    with lab:
        yield lab


def save(lab: Lab, name: str, key: str) -> Saved:
    """Freeze the lab into a snapshot; its guests are then powered off and may continue from it."""
    target = folder_of(name, key)
    if target.exists():
        raise LabError(f"there is already a snapshot {name}", hint=f"cllab forget {name}")
    work = Path(tempfile.mkdtemp(prefix=".saving-", dir=snapshots_folder()))
    try:
        running = lab.save_to(work)
        saved = Saved(
            name=name,
            key=key,
            folder=work,
            images=lab.description.images,
            acceleration=lab.description.acceleration,
            running=running,
            parent_folder=lab.description.origin_folder,
        )
        saved.write()
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return read_saved(target)


def _ancestors(folder: str) -> Iterator[str]:
    while folder:
        yield folder
        try:
            folder = read_saved(Path(folder)).parent_folder
        except LabError:
            return


def line_of(saved: Saved) -> Iterator[Saved]:
    """Yield a snapshot and those that it stands on, as far as they are still there."""
    with contextlib.suppress(LabError):
        for folder in _ancestors(str(saved.folder)):
            yield read_saved(Path(folder))


def _folders_in_use() -> set[str]:
    """Return the snapshots that running labs stand on."""
    used: set[str] = set()
    for folder in runs_folder().iterdir():
        try:
            used.update(_ancestors(read_description(folder).origin_folder))
        except LabError:
            continue
    return used


def _running() -> Iterator[Lab]:
    """Yield the labs of which something runs; a killed one may have left its folder."""
    for folder in runs_folder().iterdir():
        with contextlib.suppress(LabError):
            lab = Lab.attach(folder)
            if lab.is_running():
                yield lab


def forget(saved: Saved) -> None:
    """Remove a snapshot; LabError if another one, or a running lab, stands on it."""
    for other in all_saved():
        if str(saved.folder) in _ancestors(other.parent_folder):
            raise LabError(f"snapshot {other.name} stands on {saved.name}: remove it first")
    if any(str(saved.folder) in _ancestors(lab.description.origin_folder) for lab in _running()):
        raise LabError(f"a lab runs on {saved.name}", hint="cllab down")
    discard(saved.folder)


def _image_folders(images: Mapping[str, Image]) -> set[str]:
    return {str(image.folder) for image in images.values()}


def _images_in_use() -> set[str]:
    """Return the images that running labs stand on, also those that no snapshot was taken of."""
    used: set[str] = set()
    for folder in runs_folder().iterdir():
        with contextlib.suppress(LabError):
            used.update(_image_folders(read_description(folder).images))
    return used


def prune(*, kept: int = KEPT_PER_NAME, kept_bytes: int = KEPT_BYTES) -> None:
    """Bound what is kept, and say what goes: snapshots, images that nothing stands on, left-overs.

    Of each name and kind the last used ``kept`` stay, of all ``kept_bytes``. What something else or
    a running lab stands on stays in any case, and so do what a person saved and what was used in
    the last half an hour: another process may be about to start a lab from it.
    """
    for each in _superfluous(kept, kept_bytes):
        say(f"removing an old snapshot {each.name} {each.key}")
        discard(each.folder)
    used = _images_in_use()
    for each in all_saved():
        used.update(_image_folders(each.images))
    for folder in cache_folder().glob("image-*-*"):
        if str(folder) not in used and age_s(folder) >= SPARED_S:
            say(f"removing an old image {folder.name}")
            discard(folder)
    now_s = time.time()
    for path in (*unusable(), *_left_over(now_s)):
        if age_s(path, now_s) >= SPARED_S:
            remove(path)


def _superfluous(kept: int, kept_bytes: int) -> Iterator[Saved]:
    """Yield what goes; of a chain the last link first, so that what it stands on may follow."""
    saved = all_saved()
    in_use = _folders_in_use()
    left_bytes = sum(each.size_bytes() for each in saved)
    seen: Counter[tuple[str, Guests]] = Counter()
    superseded: set[Path] = set()
    for each in saved:  # The last used first.
        seen[each.name, each.guests] += 1
        if seen[each.name, each.guests] > kept:
            superseded.add(each.folder)

    while True:
        stood_on = in_use | {parent for each in saved for parent in _ancestors(each.parent_folder)}
        found = next(
            (
                each
                for each in reversed(saved)
                if (each.folder in superseded or left_bytes > kept_bytes)
                and str(each.folder) not in stood_on
                and each.key != BY_HAND
                and age_s(each.folder) >= SPARED_S
            ),
            None,
        )
        if found is None:
            return
        saved.remove(found)
        left_bytes -= found.size_bytes()
        yield found


def clean(*, everything: bool, older_s: float = math.inf, now_s: float | None = None) -> list[str]:
    """Remove images that nobody uses, and what killed builds and saves left.

    With ``older_s`` the snapshots go too that were not used for so many seconds, with
    ``everything`` all of them and what was fetched. What a running lab stands on stays, and so does
    what another program may be making right now. Returns the names of what was removed.
    """
    now_s = time.time() if now_s is None else now_s
    saved = all_saved()
    used = _folders_in_use()
    if not everything:
        for each in saved:
            if age_s(each.folder, now_s) < older_s:
                used.update(_ancestors(str(each.folder)))
    images = _images_in_use()
    removed = []
    for each in saved:
        if str(each.folder) in used:
            images.update(_image_folders(each.images))
        else:
            removed.append(each.folder)
    spared_s = 0.0 if everything else SPARED_S
    found = [path for path in cache_folder().glob("image-*-*") if age_s(path, now_s) >= spared_s]
    if everything:
        found += [path for pattern in FETCHED for path in cache_folder().glob(pattern)]
    removed += [path for path in found if str(path) not in images]
    removed += [*unusable(), *_left_over(now_s)]
    for path in removed:
        remove(path)
    return [path.name for path in removed]


def _left_over(now_s: float) -> Iterator[Path]:
    """Yield what killed programs left half made; what is young may belong to one that works."""
    for folder, pattern, spared_s in (
        (snapshots_folder(), ".saving-*", SPARED_S),
        (cache_folder(), "tmp*", SPARED_S),
        (cache_folder(), "build-*", BUILDING_S),
        (cache_folder(), "packages-*.part", BUILDING_S),
    ):
        yield from (path for path in folder.glob(pattern) if age_s(path, now_s) >= spared_s)
