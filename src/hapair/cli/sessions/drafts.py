"""Files that are read for drafts, and where drafts go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hapair.config.clconf import examine_clconf
from hapair.migrate.drafts import Draft, Drafts, drafts_from
from hapair.migrate.lines import Place, Source, UnreadableError
from hapair.model.cluster import Cluster
from hapair.rpc.messages import ExitCode, RpcError
from hapair.runtime.building.files import PRIVATE_MODE, read_regular, write_durably

READ_BYTES_MAX: Final = 16 << 20  # More than any reader takes.


def drafts_of_files(tool: str, names: Sequence[str]) -> Drafts:
    """Return the drafts; RpcError when a file cannot be used, with its line and the mend."""
    sources = tuple(_source(Path(name)) for name in names)
    try:
        return drafts_from(tool, sources, _included)
    except UnreadableError as error:
        found = error.problem
        what = f"{found.where}: {found.what}; nothing was written"
        raise RpcError(what, found.mend, exit_code=ExitCode.USAGE) from None


def _source(file: Path) -> Source:
    return Source(str(file), read_regular(file, bytes_max=READ_BYTES_MAX + 1))


def _included(pattern: str, place: Place) -> tuple[Source, ...]:
    """Return the files that a pattern in a file names, as seen from that file's folder."""
    folder = Path(pattern).parent if pattern.startswith("/") else Path(place.file).parent
    relative = Path(pattern).name if pattern.startswith("/") else pattern
    if not relative:
        raise UnreadableError(place, "include names no file", "write the file, or remove the line")
    found = sorted(folder.glob(relative))
    if not found and not set("*?[") & set(pattern):
        mend = "give the files as they lie on the node, or remove the line"
        raise UnreadableError(place, f"there is no file {pattern}", mend)
    return tuple(_source(each) for each in found)


def cluster_of(file: Path) -> Cluster | None:
    """Return what clconf.xml of this node says; None where there is none that can be read."""
    try:
        return examine_clconf(read_regular(file), file=str(file)).value
    except OSError:
        return None


def write(drafts: Sequence[Draft], where: Mapping[str, Path], *, force: bool) -> None:
    """Write the drafts; RpcError when a file is in the way, before anything is written; OSError."""
    for place in where.values():
        if place.exists() and not force:
            mend = "take another --output, or overwrite it with --force"
            raise RpcError(f"{place} exists; nothing was written", mend)
    for each in drafts:
        write_durably(where[each.name], each.text.encode(), PRIVATE_MODE)
