"""The folders with data of a service: by its open files, its working folder, its configuration."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hapair.adapters.services.containers import in_containers, volumes_of
from hapair.adapters.shared.mounts import Mount, MountTable, mount_table, number_of
from hapair.adapters.shared.spaces import PROC
from hapair.model.service import SeenFolder, SeenMount, SeenProcess

FILES_MAX: Final = 100_000  # Open ones that are looked at.
FOLDERS_MAX: Final = 64
CONFIG_BYTES_MAX: Final = 256 << 10
CONFIG_FILES_MAX: Final = 64
# No data: the system's own, what a boot empties, and logs.
NO_DATA: Final = (
    "/dev", "/proc", "/sys", "/run", "/var/run", "/var/log", "/var/lock",
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/etc", "/root", "/var/cache",
    "/var/lib/systemd", "/home",
    # What containers are made of, but not their volumes.
    "/var/lib/containers/storage/overlay", "/var/lib/containers/storage/overlay-containers",
    "/var/lib/docker/overlay2", "/var/lib/docker/containers",
    "/tmp", "/var/tmp",  # noqa: S108 - nothing is written there
)  # fmt: skip
# Folders that are nobody's alone: what lies directly in them is.
PLACES: Final = frozenset({"/", "/var", "/var/lib", "/var/spool", "/srv", "/opt", "/mnt", "/data"})
DRBD_MAJOR: Final = 147
WRITING: Final = os.O_WRONLY | os.O_RDWR
# By the program's name: its files of configuration, and what stands in front of a folder there.
CONFIGS: Final = {
    "apache2": (("/etc/apache2/sites-enabled/*", "/etc/apache2/apache2.conf"), "DocumentRoot"),
    "httpd": (("/etc/httpd/conf/*.conf", "/etc/httpd/conf.d/*.conf"), "DocumentRoot"),
    "nginx": (("/etc/nginx/sites-enabled/*", "/etc/nginx/conf.d/*.conf"), "root"),
    "smbd": (("/etc/samba/smb.conf",), "path"),
    "mariadbd": (("/etc/mysql/*.cnf", "/etc/mysql/*/*.cnf"), "datadir"),
    "mysqld": (("/etc/mysql/*.cnf", "/etc/mysql/*/*.cnf"), "datadir"),
    "postgres": (("/etc/postgresql/*/*/postgresql.conf",), "data_directory"),
    "redis-server": (("/etc/redis/redis.conf",), "dir"),
    "dovecot": (("/etc/dovecot/conf.d/10-mail.conf", "/etc/dovecot/dovecot.conf"), "mail_location"),
    "master": (("/etc/postfix/main.cf",), "queue_directory|virtual_mailbox_base"),
    "named": (("/etc/bind/named.conf.options", "/etc/named.conf"), "directory"),
}


def folders_of(
    processes: tuple[SeenProcess, ...], told: tuple[str, ...], no_data: tuple[str, ...] = NO_DATA
) -> tuple[SeenFolder, ...]:
    """Return the folders with data, outermost ones, at most FOLDERS_MAX.

    ``told`` are those that the unit names; below ``no_data`` there is none.
    """
    contained = in_containers(processes)
    plain = tuple(each for each in processes if each not in contained)
    every = [
        *((each, "the unit names it") for each in told),
        *(each for process in plain for each in (*_opened(process), *_working(process))),
        *_configured(plain),
        *(each for process in contained for each in volumes_of(process)),
    ]
    found: dict[str, str] = {}
    for place, why in every:
        real = os.path.realpath(place)
        if _is_data(real, no_data) and Path(real).is_dir():
            found.setdefault(real, why)
    table = mount_table()
    return tuple(
        SeenFolder(place, why, _seen(table.reached(place)))
        for place, why in _outermost(found, table).items()
    )


def mounted_from(groups: frozenset[str]) -> tuple[SeenMount, ...]:
    """Return all that is mounted from these volume groups."""
    seen = map(_seen, mount_table().every)
    return tuple(dict.fromkeys(each for each in seen if each and each.volume_group in groups))


def _is_data(place: str, no_data: tuple[str, ...]) -> bool:
    inside = any(place == each or place.startswith(f"{each}/") for each in no_data)
    return place.startswith("/") and not inside and place not in PLACES


def _opened(process: SeenProcess) -> Iterator[tuple[str, str]]:
    """Yield the folders of files that the process may write."""
    folder = PROC / str(process.pid)
    count = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder / "fd"):
            count += 1
            if count > FILES_MAX:
                return
            with contextlib.suppress(OSError, ValueError):
                target = str(Path(entry.path).readlink())
                info = (folder / "fdinfo" / entry.name).read_text(encoding="ascii")
                flags = int(re.search(r"^flags:\s*([0-7]+)", info, re.MULTILINE)[1], 8)  # type: ignore[index]
                plain = target.startswith("/") and not target.endswith(" (deleted)")
                if plain and flags & WRITING and Path(entry.path).is_file():
                    yield (
                        str(Path(target).parent),
                        f"{process.name} writes {Path(target).name} there",
                    )


def _working(process: SeenProcess) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):
        place = str((PROC / str(process.pid) / "cwd").readlink())
        yield place, f"it is the working folder of {process.name}"


def _configured(processes: tuple[SeenProcess, ...]) -> Iterator[tuple[str, str]]:
    """Yield what well known programs have in their configuration."""
    for name in dict.fromkeys(each.name for each in processes):
        patterns, keyword = CONFIGS.get(name, ((), ""))
        files = [file for each in patterns for file in sorted(Path("/").glob(each.lstrip("/")))]
        value = rf'^\s*(?:{keyword})\s*[=\s]\s*(?:\w+:)?["\']?(/[^\s"\';]+)'
        wanted = re.compile(value, re.MULTILINE)
        for file in files[:CONFIG_FILES_MAX]:
            with contextlib.suppress(OSError):
                with file.open("rb") as opened:
                    text = opened.read(CONFIG_BYTES_MAX).decode(errors="replace")
                for place in wanted.findall(text):
                    yield place, f"{file} names it"


def _outermost(found: dict[str, str], table: MountTable) -> dict[str, str]:
    """Leave out what lies in another one on the same mount."""
    kept: dict[str, str] = {}
    for place in sorted(found):
        inside = [each for each in kept if place.startswith(f"{each}/")]
        if not any(table.reached(each) == table.reached(place) for each in inside):
            kept[place] = found[place]
    return dict(list(kept.items())[:FOLDERS_MAX])


def _seen(mount: Mount | None) -> SeenMount | None:
    if mount is None:
        return None
    major, minor = mount.device
    if major == 0 and (number := number_of(mount.source)) is not None:
        major, minor = number  # Of a file system with numbers of its own, like btrfs.
    group, volume = logical_volume(Path(f"/sys/dev/block/{major}:{minor}/dm"))
    return SeenMount(
        mount.mount_point, mount.source, mount.kind, group, volume, drbd=major == DRBD_MAJOR
    )


def logical_volume(folder: Path) -> tuple[str, str]:
    """Return the group and the name of a logical volume; empty for any other device."""
    try:
        uuid = (folder / "uuid").read_text(encoding="ascii").strip()
        name = (folder / "name").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "", ""
    found = re.fullmatch("((?:[^-]|--)+)-((?:[^-]|--)+)", name)
    if not uuid.startswith("LVM-") or found is None:
        return "", ""
    return found[1].replace("--", "-"), found[2].replace("--", "-")
