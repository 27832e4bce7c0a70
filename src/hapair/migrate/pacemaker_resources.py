"""The primitives of one application: its data, addresses and program."""

from dataclasses import dataclass, field, replace
from typing import Final

from hapair.config import kinds
from hapair.migrate import times
from hapair.migrate.draft_application import program_of_several
from hapair.migrate.drbd import group_of
from hapair.migrate.notes import Notes
from hapair.migrate.pacemaker_parts import Parts, kind_of
from hapair.migrate.pacemaker_words import Primitive
from hapair.migrate.words import FoundAddress, FoundApplication, FoundGroup, simple_name
from hapair.migrate.xml_text import Tag, left_open, settled
from hapair.model.secret import named_like_a_secret

UNITS: Final = frozenset({"systemd", "service", "lsb", "upstart"})
MONITOR_LEAST_S: Final = 0.1
MONITOR_MOST_S: Final = 3600.0
JOURNALED: Final = ("ext4", "xfs")


@dataclass(slots=True)
class _Gathered:
    groups: dict[str, FoundGroup] = field(default_factory=dict)
    addresses: list[FoundAddress] = field(default_factory=list)
    programs: list[Primitive] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    mount_s: float = 0.0


def application_of(parts: Parts, members: tuple[Primitive, ...], notes: Notes) -> FoundApplication:
    """Return one application; says of each primitive what became of it."""
    gathered = _Gathered()
    resolved = tuple(_with_template(each, parts) for each in members)
    for each in resolved:
        match kind_of(each):
            case "drbd":
                _drbd(each, parts, gathered, notes)
            case "file system":
                _file_system(each, parts, gathered, notes)
            case "volume group":
                name = each.parameters.get("vgname") or each.parameters.get("volgrpname", "")
                _group(gathered, name, f"{each.name} of {each.place} activated it.")
                notes.took(each.place, f"{each.name} {each.agent}", _volume_group(name))
            case "address":
                _address(each, gathered, notes)
            case "needless":
                way = "nothing to do: hapair announces addresses itself"
                notes.left(each.place, f"{each.name} {each.agent}", way)
            case "mail":
                way = "hapair tells both nodes' people by itself: <notify> in clconf.xml"
                notes.left(each.place, f"{each.name} {each.agent}", way)
            case _:
                gathered.programs.append(each)
    name = parts.group_name(members) or (gathered.programs or list(members))[0].name
    made = FoundApplication(
        simple_name(name),
        groups=tuple(gathered.groups.values()),
        addresses=tuple(gathered.addresses),
        mount_s=gathered.mount_s,
        before=tuple(gathered.before),
        why={
            "application": f"From {', '.join(f'{e.name} ({e.place})' for e in members[:12])}.",
            "network": "Prefix length and card follow from the network of clconf.xml.",
        },
    )
    return _with_programs(made, gathered.programs, notes)


def _with_template(each: Primitive, parts: Parts) -> Primitive:
    base = parts.config.primitives.get(each.template)
    if base is None:
        return each
    return replace(
        each,
        agent=each.agent or base.agent,
        parameters={**base.parameters, **each.parameters},
        meta={**base.meta, **each.meta},
        operations=each.operations or base.operations,
    )


def _volume_group(name: str) -> str:
    return f'<volumegroup name="{name}"/>'


def _group(gathered: _Gathered, name: str, why: str) -> None:
    gathered.groups.setdefault(name, FoundGroup(name, why))


def _drbd(each: Primitive, parts: Parts, gathered: _Gathered, notes: Notes) -> None:
    resource = parts.drbd.get(each.parameters.get("drbd_resource", ""))
    named = each.parameters.get("drbd_resource", "?")
    if resource is None:
        way = f"give its file too: drbd.d/{named}.res; without it the volume group is left open"
        notes.left(each.place, f"{each.name} {each.agent} {named}", way)
        _group(gathered, "", f"The volumes of the DRBD resource {named}: {each.place}.")
        return
    for volume in resource.volumes:
        if not volume.volume_group:
            way = f"move it onto a volume group of its own: pvcreate, vgcreate over {volume.disk}"
            notes.left(volume.place, f"the disk {volume.disk}", way)
        _group(gathered, volume.volume_group, f"{volume.disk} of {volume.place}.")
        gathered.before.append(
            f"With the former cluster stopped: drbdadm down {named}. Then mount {volume.disk}"
            " itself on the preferred node, where the data is newest; clbuildapp puts it under"
            " hapair's own DRBD in place and copies it to the other node, where a volume of that"
            " name has to be removed or emptied first."
        )
    notes.took(each.place, f"{each.name} {each.agent} {named}", "hapair's own DRBD resource")


def _file_system(each: Primitive, parts: Parts, gathered: _Gathered, notes: Notes) -> None:
    device, folder = each.parameters.get("device", ""), each.parameters.get("directory", "")
    kind = each.parameters.get("fstype", "")
    what = f"{each.name}: {device} on {folder}"
    name = group_of(device) or _under_drbd(device, parts)
    for operation in each.operation("start"):
        gathered.mount_s = max(
            gathered.mount_s, times.seconds_of(operation.values.get("timeout", ""))
        )
    if kind and kind not in JOURNALED:
        way = "hapair takes ext4 and XFS over; of another machine's storage: mount it beside hapair"
        notes.left(each.place, f"{what}, {kind}", way)
        return
    if name:
        _group(gathered, name, f"{what}: {each.place}.")
        notes.took(each.place, what, f"{_volume_group(name)}: all that is mounted from it")
    elif not device.startswith("/dev/drbd"):
        _group(gathered, "", f"{what}: {each.place}. It names no volume group.")
        notes.left(each.place, what, "move the data onto a logical volume of a group of its own")
    else:
        _group(gathered, "", f"{what}: {each.place}.")
        notes.left(each.place, what, "give DRBD's file too: drbd.d/RESOURCE.res")
    options = each.parameters.get("options", "")
    gathered.before.append(
        f"Mount it natively at {folder}{f' with the options {options}' if options else ''}, on the"
        " preferred node: clbuildapp keeps the options that are in force."
    )


def _under_drbd(device: str, parts: Parts) -> str:
    words = device.removeprefix("/dev/drbd/by-res/").split("/")
    for resource in parts.drbd.values():
        for volume in resource.volumes:
            if device == volume.device or words[0] == resource.name:
                return volume.volume_group
    return ""


def _address(each: Primitive, gathered: _Gathered, notes: Notes) -> None:
    address = each.parameters.get("ip") or each.parameters.get("ipv6addr", "")
    address, _, prefix = address.partition("/")
    prefix = prefix or each.parameters.get("cidr_netmask", "")
    why = f"{each.name} of {each.place}."
    card = each.parameters.get("nic", "")
    gathered.addresses.append(FoundAddress(address, _prefix(prefix), card, why))
    notes.took(each.place, f"{each.name} {address}", f"<address>{address}</address>")
    for name in ("clusterip_hash", "iflabel", "lvs_support", "unique_clone_address"):
        if name in each.parameters:
            notes.left(each.place, f"{each.name} {name}", "an address is on one node at a time")


def _prefix(text: str) -> str:
    """Return a prefix length; a net mask as four numbers is turned into one."""
    if text.count(".") == 3:  # noqa: PLR2004 - dots of a mask
        parts = text.split(".")
        if all(each.isdigit() and len(each) <= 3 for each in parts):  # noqa: PLR2004
            return str(sum(int(each).bit_count() for each in parts))
    return text if text.isdigit() and len(text) <= 3 else ""  # noqa: PLR2004


def _with_programs(
    made: FoundApplication, programs: list[Primitive], notes: Notes
) -> FoundApplication:
    if not programs:
        return made
    why = dict(made.why)
    tags = [_program(each) for each in programs]
    if len(programs) == 1:
        program = tags[0]
        why["run"] = f"{programs[0].name} of {programs[0].place}."
        notes.took(programs[0].place, _called(programs[0]), f"<run><{program.name}>")
    else:
        names = tuple(each.name for each in programs)
        program = program_of_several(names)
        why["run"] = (
            "hapair starts one program. These were started in this order: "
            + ", ".join(_called(each) for each in programs)
            + ". Write a target that wants all of them, each with PartOf= it and After= the one"
            " before; or a script that starts and stops them."
        )
        for each in programs:
            notes.left(each.place, _called(each), "one target, or script, that starts them all")
    monitors = tuple(monitor for each, tag in zip(programs, tags, strict=True)
                     for monitor in _monitors(each, tag, several=len(programs) > 1))  # fmt: skip
    if monitors:
        why["monitors"] = "From the operations monitor. File systems are always watched."
    restarts, period_s = _policy(programs)
    for each in programs:
        for operation in each.operation("start", "stop"):
            seconds = operation.values.get("timeout", "")
            notes.took(operation.place, f"op {operation.name} timeout={seconds}", "<limits>")
    before = list(made.before)
    for tag in tags:
        if tag.name == "unit":
            unit = dict(tag.attributes)["name"]
            before.append(f"On both nodes: systemctl disable {unit}: the cluster starts it.")
    return replace(
        made,
        program=program,
        start_s=_timeout_s(programs, "start"),
        stop_s=_timeout_s(programs, "stop"),
        monitors=monitors,
        restarts=restarts,
        period_s=period_s,
        why={**why, "limits": "The longest timeouts of the operations start and stop."},
        before=tuple(before),
    )


def _called(each: Primitive) -> str:
    return f"{each.name} {each.agent}"


def _program(each: Primitive) -> Tag:
    if each.standard in UNITS:
        unit = each.kind if each.kind.endswith((".service", ".target")) else f"{each.kind}.service"
        name = settled(kinds.UNIT_NAME, unit, f"the unit of {each.name}")
        return Tag("unit", (("name", name),))
    agent = each.agent if each.standard == "ocf" else ""
    return Tag(
        "ocf",
        (("agent", settled(kinds.OCF_AGENT, agent, f"the OCF agent of {each.name}")),),
        tuple(_parameter(name, value) for name, value in each.parameters.items()),
    )


def _parameter(name: str, value: str) -> Tag:
    """Return a parameter; a secret is never copied into a draft."""
    if named_like_a_secret(name):
        value = left_open(f"the secret {name}")
    elif not value.isprintable():
        value = left_open(f"the value of {name}, which has several lines")
    title = settled(kinds.PARAMETER_NAME, name, "the parameter's name")
    return Tag("parameter", (("name", title), ("value", value)))


def _monitors(each: Primitive, tag: Tag, *, several: bool) -> list[Tag]:
    found = []
    for operation in each.operation("monitor"):
        if operation.values.get("role") in {"Slave", "Unpromoted", "Stopped"}:
            continue
        interval_s = times.seconds_of(operation.values.get("interval", ""))
        timeout_s = times.seconds_of(operation.values.get("timeout", ""))
        attributes = [
            (name, times.written(seconds, MONITOR_LEAST_S, MONITOR_MOST_S))
            for name, seconds in (("interval", interval_s), ("timeout", timeout_s))
            if seconds
        ]
        if tag.name == "unit":
            named = [("name", simple_name(each.name))] if several else []
            unit = ("unit", dict(tag.attributes)["name"])
            found.append(Tag("unit", (*named, unit, *attributes), why=(f"{operation.place}.",)))
        elif not several and not found:
            found.append(Tag("ocf", tuple(attributes), why=(f"{operation.place}.",)))
    return found


def _timeout_s(programs: list[Primitive], name: str) -> float:
    told = [
        times.seconds_of(operation.values.get("timeout", ""))
        for each in programs
        for operation in each.operation(name)
    ]
    return max(told, default=0.0)


def _policy(programs: list[Primitive]) -> tuple[int | None, float]:
    """Return restarts here, which are one less than failures there, and how long they count."""
    thresholds = [each.meta.get("migration-threshold", "") for each in programs]
    counts = [int(each) for each in thresholds if each.isdigit() and len(each) <= 6]  # noqa: PLR2004
    period_s = max(times.seconds_of(e.meta.get("failure-timeout", "")) for e in programs)
    return (max(min(counts) - 1, 0) if counts else None), period_s
