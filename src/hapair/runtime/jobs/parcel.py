"""What INSTALL carries: the built configuration and the application's own folder."""

import asyncio
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hapair import __version__
from hapair.config.built_json import loads as load_built
from hapair.config.codec import DamagedError
from hapair.core.words.state import NodeState
from hapair.model.built import Built
from hapair.model.outcome import Done, Outcome, Refused, Unknown
from hapair.model.status import Standing
from hapair.rpc.messages import RpcError
from hapair.runtime.building import archive
from hapair.runtime.building.files import mode_for, write_durably
from hapair.runtime.places import Places

FILE_BYTES_MAX: Final = 1024 * 1024
FILES_MAX: Final = 200
FOLDER_BYTES_MAX: Final = 2 * 1024 * 1024  # In JSON it grows up to six times: one message holds it.


class ParcelError(Exception):
    """The folder cannot be sent as it is."""


@dataclass(frozen=True, slots=True)
class ParcelFile:
    name: str  # Relative to the application's folder, with "/" between the parts.
    mode: int
    text: str


@dataclass(frozen=True, slots=True)
class Parcel:
    application: str
    built: str  # The text of built.json.
    files: tuple[ParcelFile, ...] = ()


def pack(folder: Path) -> tuple[ParcelFile, ...]:
    """Return the files of an application's folder: appconf.xml and the scripts beside it.

    Raises:
        ParcelError: a file, or the whole, is too large or no text; it does not belong there.
    """
    files: list[ParcelFile] = []
    left_bytes = FOLDER_BYTES_MAX
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            continue
        left_bytes -= status.st_size
        if status.st_size > FILE_BYTES_MAX or left_bytes < 0 or len(files) >= FILES_MAX:
            raise ParcelError(f"with {path} the folder is too large to be copied to the peer")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ParcelError(f"{path} is no text; only text files are copied") from None
        name = path.relative_to(folder).as_posix()
        files.append(ParcelFile(name, stat.S_IMODE(status.st_mode), text))
    return tuple(files)


def refusal(parcel: Parcel, state: NodeState) -> str:
    """Return why a node does not install what its peer sent; empty: it may.

    One that acts alone was given the right after the peer had begun: what it runs is not changed
    by a peer that it has not met since. Nor is what the peer no longer owns.
    """
    if not is_inside(parcel.application) or not all(is_inside(file.name) for file in parcel.files):
        return "a file's name points out of the application's folder"
    built = load_built(parcel.built.encode())
    if built == state.built:
        return ""
    if state.standing is Standing.ALONE:
        return f"{state.me} acts alone by now, so it takes no other configuration; see: clstat"
    entry, record = state.built.by_name.get(parcel.application), state.record(parcel.application)
    if entry is None or record is None or record.owner != state.me:
        return ""
    if built.generation > state.built.generation:
        return f"{parcel.application} belongs to {state.me} by now"
    lost = [each.resource for each in entry.volumes if each.resource not in built.by_resource]
    return f"{parcel.application} uses {', '.join(lost)} on {state.me} by now" if lost else ""


def is_inside(name: str) -> bool:
    """Tell whether a file's name stays inside the application's folder."""
    parts = name.split("/")
    return bool(name) and not name.startswith("/") and not {"", ".", ".."} & set(parts)


async def unpack(
    parcel: Parcel,
    state: NodeState,
    places: Places,
    reload: Callable[[], Awaitable[None]],
    why_not: Callable[[], str],
) -> Outcome:
    """Write the files, then built.json, then use it; as far as that is not so yet.

    ``why_not`` says what is against it; it is asked again once all is written, which takes time.
    Whoever sent it takes back what is written and not used.
    """
    if why := why_not():
        return Refused(why)
    built = load_built(parcel.built.encode())
    before = await asyncio.to_thread(_on_disk, places)
    if before not in (None, built) and abs(before.generation - built.generation) != 1:
        return Refused(f"generation {before.generation} was built there meanwhile")
    try:
        if before != built:
            await asyncio.to_thread(_write, parcel, built, state, places)
    except OSError as error:
        return Refused(f"{error.filename}: {error.strerror}")
    if state.built == built:
        return Done()
    if why := why_not():
        return Refused(why)
    try:
        await reload()
    except RpcError as error:
        return Unknown(str(error))
    return Done()


def _on_disk(places: Places) -> Built | None:
    try:
        return load_built(places.built.read_bytes())
    except (OSError, DamagedError):
        return None


def _write(parcel: Parcel, built: Built, state: NodeState, places: Places) -> None:
    name = archive.archive_name_now(state.built.generation)
    archive.make(places, name, node=state.me, version=__version__)
    folder = places.appconf(parcel.application).parent
    for file in parcel.files:
        write_durably(folder / file.name, file.text.encode(), file.mode)
    write_durably(places.built, parcel.built.encode(), mode_for(built.cluster))
