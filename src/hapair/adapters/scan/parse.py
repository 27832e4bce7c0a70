"""What the system's own tools and files print, as facts. Text in, values out."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hapair.adapters.shared.mounts import mounts
from hapair.model.node_facts import Card, CardAddress, Link, Protocols

HELPER: Final = "usermode_helper"  # A parameter of the module: what it calls as its handlers.
SOCKET_FIELDS: Final = 10  # Of a line of /proc/net/tcp, as far as the inode.
# Until the module is loaded it tells nothing; every 8.4 speaks these protocols.
PROTOCOLS_OF_8_4: Final = (Protocols(86, 101),)


def _objects(text: str) -> list[Mapping[str, object]]:
    """Return the JSON objects of a list; nothing when the text is no such list."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _inner(item: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    value = item.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _words(item: Mapping[str, object], name: str) -> list[str]:
    value = item.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def cards(ip_json: str, reporting: Iterable[str]) -> tuple[Card, ...]:
    """Read ``ip -json address show``; ``reporting`` are the cards whose drivers tell their link."""
    tell = set(reporting)
    found = []
    for item in _objects(ip_json):
        name, flags = str(item.get("ifname", "")), _words(item, "flags")
        if not name or "LOOPBACK" in flags:
            continue
        enabled = "UP" in flags
        link = Link.UP if "LOWER_UP" in flags else Link.DOWN
        found.append(
            Card(
                name=name,
                enabled=enabled,
                link=link if enabled else Link.UNKNOWN,
                reports_link=name in tell,
                addresses=tuple(
                    CardAddress(
                        f"{each.get('local')}/{each.get('prefixlen')}",
                        leased=each.get("dynamic") is True,
                    )
                    for each in _inner(item, "addr_info")
                    if each.get("scope") != "link" and each.get("local")
                ),
                master=str(item.get("master", "")),
                carrier=str(item.get("link") or ""),
            )
        )
    return tuple(found)


def protocols(proc_drbd: str) -> tuple[Protocols, ...]:
    """Read the ranges of ``/proc/drbd``, e.g. ``(api:1/proto:86-101)``."""
    match = re.search(r"proto:([\d,-]+)", proc_drbd)
    ranges = match[1].split(",") if match else []
    pairs = [part.partition("-") for part in ranges if part]
    return tuple(Protocols(int(low), int(high or low)) for low, _, high in pairs)


def protocols_of_version(version: str) -> tuple[Protocols, ...]:
    return PROTOCOLS_OF_8_4 if version.startswith("8.4.") else ()


def configured_minors(resource_file: str) -> frozenset[int]:
    """Return the minor numbers that a DRBD configuration file names."""
    text = re.sub(r"#.*", "", resource_file)
    return frozenset(
        int(minor) for pair in re.findall(r"\bminor\s+(\d+)|/dev/drbd(\d+)\b", text)
        for minor in pair if minor
    )  # fmt: skip


def common_disk_options(configuration: str) -> frozenset[str]:
    """Return the names of the options that DRBD's common section says of disks."""
    text = re.sub(r'"[^"\n]*"|#.*', "", configuration)
    common = re.findall(r"\bcommon\s*\{((?:[^{}]|\{[^{}]*\})*)\}", text)
    disks = re.findall(r"\bdisk\s*\{([^{}]*)\}", " ".join(common))
    return frozenset(re.findall(r"(?:^|;)\s*([\w-]+)", " ".join(disks)))


def instance_of(unit: str) -> str:
    """Return what a unit of a template is for, e.g. "web" of "drbd@web.target"."""
    escaped = unit.partition("@")[2].rpartition(".")[0]
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), escaped)


def shell_settings(text: str) -> dict[str, str]:
    """Read the plain assignments of a file that a shell reads; the last one of a name counts."""
    found = re.findall(r"^[ \t]*(\w+)=[\"']?([^\"'#\s;]*)", text, re.MULTILINE)
    return dict(found)


def kernel_minors(events: str) -> tuple[tuple[str, int], ...]:
    """Read resources with their minors from ``drbdsetup events2 --now``."""
    found = re.findall(r"^exists device name:(\S+) volume:\d+ minor:(\d+)", events, re.MULTILINE)
    return tuple((name, int(minor)) for name, minor in found)


def lvm_version(text: str) -> str:
    match = re.search(r"LVM version:\s+(\S+)", text)
    return match[1] if match else ""


def lvm_filter(text: str) -> tuple[str, ...]:
    """Read ``lvmconfig devices/global_filter``: one pattern, or a list of them."""
    return lvm_settings(text).get("global_filter", ())


def lvm_settings(text: str) -> dict[str, tuple[str, ...]]:
    """Read what lvmconfig printed: each setting with its values, of which a list has any number."""
    pairs = (line.strip().partition("=") for line in text.splitlines())
    return {
        name: tuple(re.findall(r'"((?:[^"\\]|\\.)*)"', value))
        or ((value,) if value != "[]" else ())
        for name, separator, value in pairs
        if separator
    }


def system_id(text: str) -> str:
    """Read ``lvm systemid``; empty where the machine has none."""
    match = re.search(r"system ID:[ \t]*(\S*)", text)
    return match[1] if match else ""


def lvm_devices(devices_file: str) -> tuple[str, ...]:
    """Return the devices that LVM's devices file names; "." is one that was not there."""
    lines = (line for line in devices_file.splitlines() if not line.startswith("#"))
    return tuple(name for line in lines for name in re.findall(r"\bDEVNAME=(\S+)", line))


@dataclass(frozen=True, slots=True)
class ReportedVolume:
    """One line of ``pvs``: a physical volume with its group."""

    device: str
    group: str
    identity: str
    size_bytes: int
    free_bytes: int
    system_id: str = ""
    lock_type: str = ""
    exported: bool = False


PVS_FIELDS: Final = "pv_name,vg_name,vg_uuid,vg_size,vg_free,vg_systemid,vg_lock_type,vg_exported"


def physical_volumes(pvs_json: str) -> tuple[ReportedVolume, ...]:
    """Read ``pvs --reportformat json --units b --nosuffix -o PVS_FIELDS``."""
    reports = _objects(f"[{pvs_json}]")
    rows = [
        row for report in reports for part in _inner(report, "report") for row in _inner(part, "pv")
    ]
    return tuple(
        ReportedVolume(
            str(row.get("pv_name", "")),
            str(row.get("vg_name", "")),
            str(row.get("vg_uuid", "")),
            _size(row.get("vg_size")),
            _size(row.get("vg_free")),
            str(row.get("vg_systemid", "")),
            str(row.get("vg_lock_type", "")),
            row.get("vg_exported") in ("exported", 1, "1"),
        )
        for row in rows
        if row.get("vg_name")
    )


def _size(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class Socket:
    port: int
    inode: int


def sockets(proc_net: str) -> tuple[Socket, ...]:
    """Read ``/proc/net/tcp`` and the like: every local port that is in use."""
    found = []
    for line in proc_net.splitlines()[1:]:
        words = line.split()
        if len(words) >= SOCKET_FIELDS:
            found.append(Socket(int(words[1].rpartition(":")[2], 16), int(words[9])))
    return tuple(found)


def host_addresses(getent: str) -> tuple[str, ...]:
    """Read ``getent ahosts``: each address once, in the resolver's order."""
    first_words = [
        line.split()[0].partition("%")[0] for line in getent.splitlines() if line.strip()
    ]
    return tuple(dict.fromkeys(first_words))


def file_system_of(path: str, mountinfo: str) -> str:
    """Return the type of the file system that holds ``path``, from ``/proc/self/mountinfo``."""
    best, kind = "", ""
    for mount in mounts(mountinfo):
        at = mount.mount_point
        inside = path == at or path.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best):
            best, kind = at, mount.kind
    return kind


def input_is_filtered(ruleset: str) -> bool:
    """Tell from ``nft list ruleset`` whether incoming packets are dropped by default or by rule."""
    chains = re.split(r"^\s*chain ", ruleset, flags=re.MULTILINE)[1:]
    incoming = [chain for chain in chains if "hook input" in chain]
    return any(re.search(r"policy drop|\b(drop|reject)\b", chain) for chain in incoming)


def has_module(name: str, modules_dep: str, modules_builtin: str) -> bool:
    """Tell from depmod's lists whether a kernel has the module."""
    pattern = rf"(^|/){name}\.ko(\.(xz|zst|gz))?(:|$)"
    return any(
        re.search(pattern, text, re.MULTILINE) is not None
        for text in (modules_dep, modules_builtin)
    )


def helper_of_module(would_do: str) -> str:
    """Return the helper of the kernel's handlers from what ``modprobe -n -v drbd`` would do.

    Empty when neither /etc/modprobe.d nor the kernel's command line names one.
    """
    found = re.findall(rf"\s{HELPER}=(\S+)", would_do)
    return found[-1].strip("\"'") if found else ""
