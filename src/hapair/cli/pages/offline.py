"""What files and the kernel tell while the daemon is down."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from hapair.cli.common import ExitCode, places, print_json
from hapair.cli.pages.history import line_of
from hapair.cli.pages.one_application import unknown_application
from hapair.cli.screen.reading import Reader
from hapair.cli.screen.terminal import Paint, Style, filled, paint_for
from hapair.config.built_json import loads
from hapair.config.codec import DamagedError
from hapair.model.application import Volume
from hapair.model.built import Built
from hapair.model.timeline import Happening
from hapair.rpc.history import read_happening
from hapair.rpc.messages import DaemonDown, JsonObject, Malformed, parse_object
from hapair.runtime.places import Places

LAST_LINES: Final = 5
HISTORY_BYTES_MAX: Final = 1024 * 1024
DRBD_DEVICE: Final = re.compile(
    r"^\s*(?P<minor>\d{1,9}): cs:(?P<connection>\S+)"
    r"(?: ro:(?P<roles>\S+) ds:(?P<disks>\S+))?",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """What could be read; a file that cannot be read is told in ``troubles``."""

    built: Built | None
    stored: Reader
    devices: dict[int, str]  # What the kernel says of each DRBD minor.
    mounted: frozenset[str]  # Devices.
    history: tuple[Happening, ...]
    troubles: tuple[str, ...]


def look(where: Places, name: str = "") -> Found:
    """Read what is there, of all applications or of one; one that is not built is a trouble."""
    found = _look(where)
    return _of_one(found, name) if name else found


def _of_one(found: Found, name: str) -> Found:
    built = found.built
    if built is None:
        return found
    unknown = unknown_application(name, tuple(sorted(built.by_name)))
    mine = tuple(each for each in built.applications if each.application.name == name)
    records = [each.content for each in found.stored.inners("records")]
    return replace(
        found,
        built=replace(built, applications=mine),
        troubles=found.troubles if mine else (*found.troubles, f"{unknown.error}; {unknown.mend}"),
        stored=Reader(
            {
                **found.stored.content,
                "records": [r for r in records if r.get("application") == name],
            }
        ),
        history=tuple(each for each in found.history if each.application == name),
    )


def _look(where: Places) -> Found:
    troubles: list[str] = []
    built: Built | None = None
    try:
        built = loads(where.built.read_bytes())
    except FileNotFoundError:
        troubles.append(f"{where.built} is not there: nothing is built on this node (clbuild)")
    except OSError as error:
        troubles.append(f"{where.built} cannot be read: {error.strerror}")
    except DamagedError as error:
        troubles.append(f"{where.built} is damaged: {error}; clrestore brings one back")
    state = where.memory / "state.json"
    stored = Reader()
    try:
        stored = Reader(parse_object(state.read_bytes()))
    except OSError as error:
        troubles.append(f"{state} cannot be read: {error.strerror}")
    except Malformed as error:
        mend = "while the peer runs the cluster, remove it and start the daemon"
        troubles.append(f"{state} is damaged ({error}); {mend}")
    proc = where.root / "proc"
    return Found(
        built=built,
        stored=stored,
        devices=drbd_devices(_text(proc / "drbd")),
        mounted=frozenset(
            line.split()[0] for line in _text(proc / "self/mounts").splitlines() if line.strip()
        ),
        history=history_from_file(where),
        troubles=tuple(troubles),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def drbd_devices(text: str) -> dict[int, str]:
    """Read /proc/drbd (DRBD 8): what each minor is doing, in DRBD's own words."""
    return {
        int(match["minor"]): " ".join(
            word for word in (match["connection"], match["roles"], match["disks"]) if word
        )
        for match in DRBD_DEVICE.finditer(text)
    }


def history_from_file(where: Places | None = None) -> tuple[Happening, ...]:
    """Return the history of this node as its file has it; empty when it cannot be read."""
    file = (where or places()).history
    found: list[Happening] = []
    for each in (file.with_suffix(".1.jsonl"), file):
        try:
            lines = each.read_bytes()[-HISTORY_BYTES_MAX:].splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                found.append(read_happening(parse_object(line)))
            except Malformed:
                continue
    return tuple(found)


def show_offline(down: DaemonDown, name: str = "", *, as_json: bool) -> int:
    """Show the page that does not need the daemon; return clstat's exit code."""
    found = look(places(), name)
    if as_json:
        print_json(_content(found, down))
    else:
        print("\n".join(offline_lines(found, down, paint_for(sys.stdout))))
    return int(ExitCode.NOT_NOW)


def _content(found: Found, down: DaemonDown) -> JsonObject:
    built = found.built
    applications = built.applications if built is not None else ()
    return {
        "daemon": "down",
        "exit_code": int(ExitCode.NOT_NOW),
        "error": down.error,
        "mend": down.mend,
        "cluster": built.cluster.name if built is not None else "",
        "generation": built.generation if built is not None else 0,
        "stored": dict(found.stored.content),
        "applications": [
            {
                "name": each.application.name,
                "volumes": [_volume_object(found, volume) for volume in each.volumes],
            }
            for each in applications
        ],
        "troubles": list(found.troubles),
    }


def _volume_object(found: Found, volume: Volume) -> JsonObject:
    return {
        "resource": volume.resource,
        "kernel": found.devices.get(volume.minor, ""),
        "mounted": volume.device in found.mounted,
    }


def offline_lines(found: Found, down: DaemonDown, paint: Paint) -> Iterator[str]:
    built = found.built
    name = f" {built.cluster.name}" if built is not None else ""
    yield f"{paint(Style.STRONG, f'CLUSTER{name}')}"
    yield paint(Style.ALARM, "  The daemon of this node does not answer.")
    yield from filled(down.error, "  ")
    yield from filled(f"{down.mend}; then: journalctl -u hapaird -n 50", "  -> ")
    yield from filled(
        "Applications go on without the daemon, but nobody here watches them: mend it soon.",
        "  ",
    )
    for trouble in found.troubles:
        yield from filled(trouble, "  ! ")
    yield ""
    yield paint(Style.STRONG, "WHAT THIS NODE REMEMBERS")
    yield from _memory(found)
    yield ""
    yield paint(Style.STRONG, "WHAT ITS KERNEL DOES NOW")
    yield from _kernel(found)
    if found.history:
        yield ""
        yield paint(Style.STRONG, "LAST LINES OF THE HISTORY")
        for happening in found.history[-LAST_LINES:]:
            yield f"  {line_of(happening, paint)}"


def _memory(found: Found) -> Iterator[str]:
    stored = found.stored
    if not stored.content:
        yield "  nothing that could be read"
        return
    formed = "member of the cluster" if stored.flag("formed") else "halted"
    right = ", holds the right to act alone" if stored.flag("holds_right") else ""
    yield f"  {formed}, epoch {stored.whole('epoch')}{right}"
    for record in stored.inners("records"):
        failed = record.texts("failed_on")
        more = f"; its last start failed on {', '.join(failed)}" if failed else ""
        yield (
            f"  {record.text('application')}: belongs to {record.text('owner')},"
            f" wanted {record.text('wanted')}{more}"
        )
    behind = stored.texts("behind")
    if behind:
        yield f"  copies here that miss writes: {', '.join(behind)}"


def _kernel(found: Found) -> Iterator[str]:
    if found.built is None or not any(each.volumes for each in found.built.applications):
        yield "  no replicated volume is known; drbdsetup status tells what the kernel has"
        return
    for each in found.built.applications:
        for volume in each.volumes:
            state = found.devices.get(volume.minor, "not configured in the kernel")
            mounted = volume.device in found.mounted
            where = f"mounted on {volume.mount_point}" if mounted else "not mounted"
            yield f"  {volume.resource}: {state}, {where}"
