"""Builds the guests' image from the distribution's packages and keeps it in the cache.

An image is a folder: ``root.img`` (ext4), ``kernel`` and ``initrd``.
It is built under a temporary name and renamed when it is whole, so an interrupted build leaves
nothing that could be mistaken for an image. The slow part, the packages, is kept on its own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair_lab import initrd, keys, package_sources, recipe
from hapair_lab.errors import LabError
from hapair_lab.folders import cache_folder, discard
from hapair_lab.progress import step
from hapair_lab.tools import check_tools, locked, run_tool
from hapair_lab.uml_kernel import UmlKernel

BUSYBOX: Final = "usr/bin/busybox"
NAME_SPACE: Final = (
    "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER;"
    " where user name spaces are forbidden only root can build images"
)
LEFT_OUT: Final = (
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/usr/share/i18n/*",
    # PostgreSQL's compiler of queries is larger than all the rest of it, which works without.
    "/usr/lib/*/libLLVM*",
    "/usr/lib/*/libz3*",
    "/usr/lib/postgresql/*/lib/bitcode/*",
    "/usr/lib/postgresql/*/lib/llvmjit*",
)
# Before the packages: else a server's installation makes data that no scenario uses.
NO_DATA: Final = (
    'mkdir -p "$1/etc/postgresql-common/createcluster.d"; echo "create_main_cluster = false"'
    ' >"$1/etc/postgresql-common/createcluster.d/lab.conf"'
)


@dataclass(frozen=True, slots=True)
class Image:
    """A built image in the cache."""

    folder: Path
    key: str

    @property
    def root_disk(self) -> Path:
        """The raw root disk; it is never written to."""
        return self.folder / "root.img"

    @property
    def kernel(self) -> Path:
        """The kernel, booted directly."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """The initial ram disk; the image of a User Mode Linux guest has none."""
        return self.folder / "initrd"


def _as_root(script: str, cwd: Path) -> None:
    """Run a shell script as root; an ordinary user is root in a user name space of his own."""
    prefix = () if os.geteuid() == 0 else ("unshare", "--map-root-user", "--map-auto", "--")
    try:
        run_tool(*prefix, "sh", "-euc", script, cwd=cwd)
    except LabError as error:
        if "\nunshare: " in error.message:
            raise LabError(error.message, hint=NAME_SPACE) from error
        raise


def packages_tar(release: str) -> Path:
    """Return the tar of the release with its packages, fetched if it is not in the cache."""
    digest = hashlib.sha256(repr((recipe.PACKAGES, LEFT_OUT, NO_DATA)).encode()).hexdigest()[:12]
    target = cache_folder() / f"packages-{release}-{digest}.tar"
    if target.exists():
        return target
    with locked(f"packages-{release}"):
        if not target.exists():
            # A name of its own: the tool of a killed program may still be writing.
            work = Path(tempfile.mkdtemp(prefix="build-packages-", dir=cache_folder()))
            try:
                _fetch_packages(release, work / target.name).rename(target)
            finally:
                remove(work)
    return target


def _fetch_packages(release: str, target: Path) -> Path:
    sources = package_sources.lines_for(release, tuple(package_sources.host_sources()))
    with step(
        f"fetching and unpacking Debian {release} ({len(recipe.PACKAGES)} packages and more)"
    ):
        run_tool(
            "mmdebstrap",
            "--variant=minbase",
            "--format=tar",
            f"--include={','.join(recipe.PACKAGES)}",
            f"--essential-hook={NO_DATA}",
            *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
            *(f"--aptopt={setting}" for setting in package_sources.host_settings()),
            release,
            str(target),
            *sources,
        )
    return target


def busybox_in(folder: Path, release: str = recipe.DEFAULT_RELEASE) -> Path:
    """Put the release's statically linked busybox into ``folder`` and return its path."""
    run_tool("tar", "-C", str(folder), "-xf", str(packages_tar(release)), f"./{BUSYBOX}")
    return folder / BUSYBOX


def _assemble(release: str, uml: UmlKernel | None, work: Path, result: Path, final: Path) -> None:
    """Make all files of an image in ``result``, with ``work`` for what is in between."""
    packages = packages_tar(release)
    files = (*recipe.guest_files(uml=uml is not None), *keys.lab_keys().guest_files())
    (work / "additions.tar").write_bytes(recipe.tar_of(files))
    with step("laying out the guests' root disk"):
        _as_root(
            f"mkdir tree; tar -C tree --exclude './dev/*' -xf '{packages}'\n"
            "tar -C tree -xf additions.tar; chmod 700 tree/root/.ssh\n"
            "rm -f tree/etc/ssh/ssh_host_rsa_key* tree/etc/ssh/ssh_host_ecdsa_key*\n",
            work,
        )
        tree = work / "tree"
        if uml is None:
            kernel = next((tree / "boot").glob("vmlinuz-*"))
            shutil.copyfile(kernel, result / "kernel")
            modules = next((tree / "usr/lib/modules").iterdir())
            (result / "initrd").write_bytes(initrd.build(tree / BUSYBOX, modules))
            other_modules = ""
        else:
            uml.install(result, final)
            other_modules = (
                f"rm -rf tree/usr/lib/modules/*; cp -r '{uml.modules}' tree/usr/lib/modules\n"
            )
        _as_root(
            f"{other_modules}rm -rf tree/boot/*\n"
            f"truncate -s {recipe.ROOT_DISK_BYTES} '{result}/root.img'\n"
            "mke2fs -q -F -t ext4 -b 4096 -O ^metadata_csum -E lazy_itable_init=1 -m 0 -L root "
            f"-d tree '{result}/root.img'\n"
            "rm -rf tree\n",
            work,
        )


def image_in_cache(release: str = recipe.DEFAULT_RELEASE, uml: UmlKernel | None = None) -> Image:
    """Return where the image of a Debian release by this recipe lies once it is built.

    With ``uml`` it is one for guests with that kernel instead of the release's own.
    """
    kernel = uml.key if uml is not None else ""
    key = recipe.key_of(release, kernel, keys.lab_keys().guest_files())
    return Image(cache_folder() / f"image-{release}{'-uml' if uml else ''}-{key}", key)


def image_for(release: str = recipe.DEFAULT_RELEASE, uml: UmlKernel | None = None) -> Image:
    """Return the image of a Debian release, built now if the cache has none by this recipe."""
    check_tools()
    image = image_in_cache(release, uml)
    if not image.folder.exists():
        with locked(f"image-{release}"):
            if not image.folder.exists():
                _build(release, uml, image.folder)
    os.utime(image.folder)
    return image


def _build(release: str, uml: UmlKernel | None, folder: Path) -> None:
    work = Path(tempfile.mkdtemp(prefix="build-", dir=cache_folder()))
    try:
        result = work / "image"
        result.mkdir()
        _assemble(release, uml, work, result, folder)
        result.rename(folder)
    finally:
        remove(work)


def remove(path: Path) -> None:
    """Remove a file or folder of the cache; a build may have left files of root's name space."""
    if path.name.startswith("build-"):
        _as_root(f"rm -rf '{path}'", cache_folder())
    elif path.is_dir():
        discard(path)
    else:
        path.unlink(missing_ok=True)


def images_to_json(images: Mapping[str, Image]) -> dict[str, dict[str, str]]:
    """Return the images of all guests as JSON can carry them."""
    return {
        guest: {"folder": str(image.folder), "key": image.key} for guest, image in images.items()
    }


def images_from_json(content: Mapping[str, Mapping[str, str]]) -> dict[str, Image]:
    """Read what ``images_to_json`` made; KeyError or TypeError if it is something else."""
    return {guest: Image(Path(image["folder"]), image["key"]) for guest, image in content.items()}
