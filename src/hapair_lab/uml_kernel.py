"""Gets a User Mode Linux kernel from the distribution's packages, and finds out whether it works.

Which kernel runs on which processor cannot be told from versions: some die at the first program on
processors with large floating point states. So the suites are tried in turn, each by really
booting, and what booted is kept in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hapair_lab import initrd, package_sources
from hapair_lab.errors import LabError
from hapair_lab.folders import BOOT_ID, cache_folder, discard, runs_folder
from hapair_lab.progress import say, step
from hapair_lab.tools import locked, run_tool

# The newest first that is known to work at all; what a suite has changes.
SUITES: Final = ("forky", "sid", "trixie", "bookworm")
PACKAGES: Final = ("user-mode-linux", "libc6")
BINARY: Final = "usr/bin/linux.uml"
FORMER_BINARY: Final = "usr/bin/linux"
LIBRARIES: Final = ("ld-linux-x86-64.so.2", "libc.so.6")
# What no scenario can do without, as modules or built in.
MODULES: Final = ("drbd", "dm-mod", "veth")
MODULE_LISTS: Final = ("modules.dep", "modules.builtin")
PROBE_TIMEOUT_S: Final = 60
# A folder in memory from which programs may be started; the kernel keeps its own memory there.
MEMORY_FOLDER: Final = "/dev/shm"  # noqa: S108
REMEMBERED: Final = "uml.json"
NONE_HOLDS_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class UmlKernel:
    """A kernel in the cache: ``linux``, the C library that it wants, and its modules."""

    folder: Path

    @property
    def key(self) -> str:
        """The name that tells it from others."""
        return self.folder.name

    @property
    def modules(self) -> Path:
        """The folder of the modules; its name is the kernel's release."""
        return next((self.folder / "modules").iterdir())

    def lacks(self) -> tuple[str, ...]:
        """Return the files and modules without which there is no lab and that are not there."""
        files = [name for name in ("linux", *LIBRARIES) if not (self.folder / name).is_file()]
        known = ""
        for path in (self.folder / "modules").glob("*/modules.*"):
            if path.name in MODULE_LISTS:
                known += path.read_text()
        return (*files, *(name for name in MODULES if f"/{name}.ko" not in known))

    def install(self, folder: Path, final: Path) -> Path:
        """Put the kernel and its library into ``folder``, to be run as it lies in ``final``."""
        linux = folder / "kernel"
        for name in LIBRARIES:
            shutil.copyfile(self.folder / name, folder / name)
            (folder / name).chmod(0o755)
        shutil.copyfile(self.folder / "linux", linux)
        linux.chmod(0o755)
        interpreter = str(final / LIBRARIES[0])
        run_tool(
            *("patchelf", "--set-interpreter", interpreter),
            *("--force-rpath", "--set-rpath", str(final), str(linux)),
        )
        return linux


def fetched(suite: str) -> UmlKernel:
    """Fetch the packages of a suite without touching what apt knows of this host."""
    sources = package_sources.lines_for(suite, tuple(package_sources.host_sources()))
    if not sources:
        raise LabError("this host's apt names no mirror of Debian")
    work = Path(tempfile.mkdtemp(prefix="build-uml-", dir=cache_folder()))
    try:
        (work / "tree").mkdir()
        # Only the suite itself: unstable has neither updates nor a security archive.
        apt = package_sources.apt_apart(work, sources[:1])
        run_tool(*apt, "update")
        run_tool(*apt, "download", *PACKAGES, cwd=work)
        for package in work.glob("*.deb"):
            run_tool("dpkg-deb", "--extract", str(package), str(work / "tree"))
        return kept(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def kept(work: Path) -> UmlKernel:
    """Move what is needed of the packages unpacked in ``work/tree`` into the cache.

    Raises:
        LabError: They are laid out in another way than those that we know, or lack a module that
            every lab needs.
    """
    tree = work / "tree"
    binary = tree / BINARY if (tree / BINARY).exists() else tree / FORMER_BINARY
    result = work / "result"
    result.mkdir()
    libraries = {path.name: path for path in tree.glob("**/x86_64-linux-gnu/*.so.*")}
    try:
        shutil.move(binary, result / "linux")
        shutil.move(tree / "usr/lib/uml/modules", result / "modules")
        for name in LIBRARIES:
            shutil.copyfile(libraries[name], result / name)
        version = UmlKernel(result).modules.name
    except (OSError, KeyError, StopIteration) as error:
        raise LabError(f"its packages are laid out in an unknown way: {error!r}") from error
    if lacking := UmlKernel(result).lacks():
        raise LabError(f"it has no {', '.join(lacking)}")
    digest = hashlib.sha256()
    for name in ("linux", *LIBRARIES):
        digest.update((result / name).read_bytes())
    folder = cache_folder() / f"uml-{version}-{digest.hexdigest()[:12]}"
    if not folder.exists():
        result.rename(folder)
    return UmlKernel(folder)


def boots(kernel: UmlKernel, busybox: Path) -> bool:
    """Boot the kernel with nothing but a ram disk, whose program says one word and powers off.

    It lies where kernels of guests do: programs may not be started in every folder.
    """
    with tempfile.TemporaryDirectory(prefix="probe-", dir=runs_folder()) as name:
        folder = Path(name)
        ram_disk = folder / "initrd"
        ram_disk.write_bytes(initrd.build(busybox, None))
        arguments = [
            str(kernel.install(folder, folder)),
            *("mem=128M", "seccomp=on", "umid=probe", f"uml_dir={folder}/", f"initrd={ram_disk}"),
            *("con=null", "con0=null,fd:1", "quiet", initrd.PROBE_WORD),
        ]
        console = folder / "console"
        with console.open("wb") as said, contextlib.suppress(OSError):
            environment = {"HOME": name, "TMPDIR": MEMORY_FOLDER}
            _run_to_its_end(arguments, said, environment)
        return initrd.PROBE_ANSWER in console.read_text(errors="replace")


def _run_to_its_end(arguments: list[str], said: BinaryIO, environment: Mapping[str, str]) -> None:
    """Run a kernel; after the time limit it is killed, and its programs always are."""
    with subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PROBE_TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def working_kernel(
    make_busybox: Callable[[], Path], fetch: Callable[[str], UmlKernel] = fetched
) -> UmlKernel | None:
    """Return a kernel that boots here, or None when there is none; said once, then remembered.

    The answer holds until the host boots again: it may be another processor then. That there is
    none holds for ``NONE_HOLDS_S``: the mirror may have been out of reach.

    Args:
        make_busybox: Makes the program with which a kernel is probed; called when one is.
        fetch: Brings the kernel of a suite into the cache; LabError if there is none.
    """
    with locked("uml"):
        remembered = cache_folder() / REMEMBERED
        boot_id = BOOT_ID.read_text().strip()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            answer = json.loads(remembered.read_text())
            if answer["boot_id"] == boot_id:
                folder = cache_folder() / answer["kernel"]
                if not answer["kernel"]:
                    if time.time() - remembered.stat().st_mtime < NONE_HOLDS_S:
                        return None
                elif not UmlKernel(folder).lacks():
                    return UmlKernel(folder)
        found = _search(make_busybox(), fetch)
        name = found.key if found is not None else ""
        remembered.write_text(json.dumps({"boot_id": boot_id, "kernel": name}))
    return found


def _search(busybox: Path, fetch: Callable[[str], UmlKernel]) -> UmlKernel | None:
    in_cache = sorted(cache_folder().glob("uml-*-*"), key=lambda path: path.stat().st_mtime)
    for folder in reversed(in_cache):
        kernel = UmlKernel(folder)
        if kernel.lacks():
            discard(folder)
        elif boots(kernel, busybox):
            say(f"User Mode Linux was probed by booting it: {kernel.key} works")
            return kernel
    for suite in SUITES:
        try:
            with step(f"fetching User Mode Linux from Debian {suite}"):
                kernel = fetch(suite)
        except LabError as error:
            say(f"there is no User Mode Linux from Debian {suite}: {error}")
            continue
        if boots(kernel, busybox):
            say(f"User Mode Linux was probed by booting it: {kernel.key} works")
            return kernel
        say(f"User Mode Linux was probed by booting it: {kernel.key} does not work here")
        discard(kernel.folder)
    return None
