"""Archives of /etc/cluster in /cmbackup: make, list, verify, read."""

import io
import re
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair.config import built_json
from hapair.config.codec import DamagedError
from hapair.model.built import Built
from hapair.rpc.messages import Malformed
from hapair.runtime.building.files import PRIVATE_MODE, NewFile, digest, to_text, write_durably
from hapair.runtime.building.staging import PREFIX
from hapair.runtime.codec import dumps, loads
from hapair.runtime.places import Places

MANIFEST: Final = "MANIFEST.json"
FORMAT: Final = 1
BYTES_MAX: Final = 64 * 1024**2  # Of everything in an archive, so that none can fill the memory.
BUILT: Final = "etc/cluster/built/built.json"
NAME: Final = re.compile(r"cluster-(?P<date>\d{8}-\d{6})-(?P<generation>\d+)\.tar\.gz")


class ArchiveError(Exception):
    """The archive cannot be used; the text is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Member:
    path: str
    mode: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    format: int
    node: str
    version: str  # Of hapair, when it was made.
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Archive:
    """The content of an archive whose every byte is what the manifest says."""

    name: str
    manifest: Manifest
    files: tuple[NewFile, ...]
    built: Built | None  # None: made before anything was built.


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    date: str
    generation: int
    size_bytes: int


def archive_name(date: str, generation: int) -> str:
    return f"cluster-{date}-{generation}.tar.gz"


def archive_name_now(generation: int) -> str:
    """Return the name of an archive of this generation that is made now, in local time."""
    return archive_name(time.strftime("%Y%m%d-%H%M%S"), generation)


def configuration_files(places: Places) -> Iterator[tuple[str, Path]]:
    """Yield the files of /etc/cluster, without links and without what is being staged."""
    for file in sorted(places.configuration.rglob("*")):
        path = str(file.relative_to(places.root))
        if file.is_file() and not file.is_symlink() and f"/{PREFIX}" not in f"/{path}":
            yield path, file


def make(places: Places, name: str, *, node: str, version: str) -> Path:
    """Write the present /etc/cluster into /cmbackup, readable by root alone.

    Raises OSError; then there is no archive of this name, or the whole one.
    """
    content = [
        (path, file.stat().st_mode & 0o777, file.read_bytes())
        for path, file in configuration_files(places)
    ]
    members = tuple(Member(path, mode, digest(data)) for path, mode, data in content)
    manifest = dumps(Manifest(FORMAT, node, version, members))
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for path, mode, data in ((MANIFEST, PRIVATE_MODE, manifest), *content):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = mode, len(data)
            tar.addfile(entry, io.BytesIO(data))
    places.archives.mkdir(mode=0o700, parents=True, exist_ok=True)
    archive = places.archives / name
    write_durably(archive, target.getvalue(), PRIVATE_MODE)
    return archive


def listed(places: Places) -> tuple[Listed, ...]:
    """Return the archives of this node, newest first. Their content is not looked at."""
    found = []
    for file in places.archives.glob("cluster-*.tar.gz"):
        match = NAME.fullmatch(file.name)
        if match:
            size = file.stat().st_size
            found.append(Listed(file.name, match["date"], int(match["generation"]), size))
    return tuple(sorted(found, key=lambda each: (each.date, each.generation), reverse=True))


def read(file: Path) -> Archive:
    """Read and check an archive whole; ArchiveError names what is wrong with it."""
    content = _members(file)
    raw = content.pop(MANIFEST, None)
    if raw is None:
        raise ArchiveError("it has no manifest; hapair did not make it")
    try:
        manifest = loads(Manifest, raw[1])
    except Malformed as error:
        raise ArchiveError(f"its manifest is damaged ({error})") from None
    if manifest.format != FORMAT:
        raise ArchiveError(f"it has format {manifest.format}, this version reads {FORMAT}")
    wanted = {member.path: member for member in manifest.members}
    for path in sorted(wanted.keys() | content.keys()):
        if path not in content:
            raise ArchiveError(f"{path} is missing in it")
        if path not in wanted or digest(content[path][1]) != wanted[path].digest:
            raise ArchiveError(f"{path} in it is not what was archived")
    files = tuple(
        NewFile(path, to_text(content[path][1]), wanted[path].mode & 0o777)
        for path in sorted(content)
    )
    built = _built(content[BUILT][1]) if BUILT in content else None
    return Archive(file.name, manifest, files, built)


def _built(content: bytes) -> Built:
    try:
        return built_json.loads(content)
    except DamagedError as error:
        raise ArchiveError(f"its built.json cannot be used ({error})") from None


def _members(file: Path) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    left_bytes = BYTES_MAX
    try:
        with tarfile.open(file, mode="r:gz") as tar:
            for entry in tar:
                left_bytes -= entry.size
                reader = tar.extractfile(entry) if entry.isreg() else None
                if reader is None or left_bytes < 0:
                    raise ArchiveError(f"{entry.name} in it is no plain file, or it is too large")
                found[entry.name] = (entry.mode, reader.read())
    except FileNotFoundError:
        raise ArchiveError("there is no such file") from None
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise ArchiveError(f"it cannot be read ({error})") from None
    return found
