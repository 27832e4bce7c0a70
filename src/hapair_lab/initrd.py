"""A very small initial ram disk: load the modules of the root disk, mount it, go on.

The distribution's own would work too, but takes an emulated guest ten seconds longer.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Loaded in this order, with what they depend on; the root disk needs the first two, the others
# are loaded here because it is faster than letting udev find them one by one.
MODULES: Final = ("virtio_pci", "virtio_blk", "ext4", "virtio_net", "virtio_console", "virtio_rng")

# A kernel command line with this word boots, says the answer on the console and powers off: that
# is how hardware virtualisation is probed.
PROBE_WORD: Final = "lab.probe"
PROBE_ANSWER: Final = "lab-probe-answered"

INIT_SCRIPT: Final = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
if /bin/busybox grep -q {probe} /proc/cmdline; then
  echo {answer} >/dev/console
  /bin/busybox poweroff -f
fi
for module in {modules}; do /bin/busybox insmod /modules/$module; done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 100 ]; do
  /bin/busybox usleep 50000
  tries=$((tries+1))
done
/bin/busybox mount -t ext4 -o noatime /dev/vda /root || exec /bin/busybox sh
/bin/busybox mount --move /dev /root/dev
/bin/busybox umount /sys /proc
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""

DIRECTORY: Final = 0o040755
FILE: Final = 0o100755
ALIGNMENT: Final = 4


@dataclass(frozen=True, slots=True)
class Member:
    """A file or folder of the archive."""

    name: str
    mode: int
    content: bytes = b""


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def cpio(members: Iterable[Member]) -> bytes:
    """Return the members in the kernel's "newc" format."""
    archive = b""
    for number, member in enumerate((*members, Member("TRAILER!!!", 0)), start=1):
        name = member.name.encode() + b"\0"
        fields = (number, member.mode, 0, 0, 1, 0, len(member.content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        archive += _padded(header + name) + _padded(member.content)
    return archive


def module_files(modules_folder: Path) -> list[Path]:
    """Return the files of ``MODULES`` and their dependencies in the order of loading.

    Modules that are built into the kernel have no file and need none.
    """
    dependencies: dict[str, list[str]] = {}
    for line in (modules_folder / "modules.dep").read_text().splitlines():
        name, _, needed = line.partition(":")
        dependencies[name] = needed.split()
    by_name = {_module_name(path): path for path in dependencies}
    ordered: list[str] = []
    for module in MODULES:
        path = by_name.get(module)
        if path is None:
            continue
        # modules.dep lists the nearest dependency first, the farthest last.
        for needed in (*reversed(dependencies[path]), path):
            if needed not in ordered:
                ordered.append(needed)
    return [modules_folder / path for path in ordered]


def _module_name(path: str) -> str:
    return Path(path).name.split(".")[0].replace("-", "_")


def _module_content(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _init_script(modules: list[str]) -> bytes:
    return INIT_SCRIPT.format(
        modules=" ".join(modules), probe=PROBE_WORD, answer=PROBE_ANSWER
    ).encode()


def build(busybox: Path, modules_folder: Path | None) -> bytes:
    """Return the initial ram disk for the kernel whose modules are in ``modules_folder``.

    Without modules it is good for a probe alone.
    """
    files = module_files(modules_folder) if modules_folder is not None else []
    names = [f"{_module_name(path.name)}.ko" for path in files]
    folders = ("bin", "dev", "modules", "proc", "root", "sys")
    return cpio(
        [Member(folder, DIRECTORY) for folder in folders]
        + [Member("init", FILE, _init_script(names))]
        + [Member("bin/busybox", FILE, busybox.read_bytes())]
        + [
            Member(f"modules/{name}", FILE, _module_content(path))
            for name, path in zip(names, files, strict=True)
        ]
    )
