"""heartbeat's ha.cf and haresources to what hapair needs to know."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from hapair.config import kinds
from hapair.migrate import times
from hapair.migrate.draft_application import program_of_several
from hapair.migrate.drbd import DrbdResource, group_of
from hapair.migrate.lines import Line, Source, UnreadableError, lines_of, refuse_more, words_of
from hapair.migrate.notes import Notes
from hapair.migrate.words import (
    Found,
    FoundAddress,
    FoundApplication,
    FoundCluster,
    FoundGroup,
    FoundNetwork,
    named_apart,
    simple_name,
)
from hapair.migrate.xml_text import Tag, settled

WAYS: Final = {
    "keepalive": '<timing heartbeat="..."/>; a fifth of detection by itself',
    "warntime": "clstat shows late heartbeats",
    "initdead": 'timeout="..." of clstart.xml',
    "udpport": 'ports="..." of <cluster>',
    "baud": "serial lines are not used: a second network",
    "serial": "serial lines are not used: a second network",
    "stonith": '<arbitration by="fencing"> with an agent of fence-agents',
    "stonith_host": '<arbitration by="fencing"> with an agent of fence-agents',
    "respawn": "a unit of systemd",
    "apiauth": "hapair's socket is root's",
    "logfacility": "the journal",
    "logfile": "the journal",
    "debugfile": "the journal",
    "compression": "not needed",
    "crm": "give Pacemaker's configuration too: clnewapp --from pacemaker",
    "pacemaker": "give Pacemaker's configuration too: clnewapp --from pacemaker",
    "ping_group": "one reference address for each network",
    "use_logd": "the journal",
}
LINKS: Final = frozenset({"bcast", "ucast", "mcast"})


@dataclass(slots=True)
class _HaCf:
    nodes: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    detection_s: float = 0.0
    failback: bool = False
    watchdog: str = ""
    why: dict[str, str] = field(default_factory=dict)


def is_ha_cf(source: Source) -> bool:
    """Tell ha.cf from haresources, whose lines begin with the name of a node."""
    return source.name.rpartition("/")[2] == "ha.cf"


def found_in_heartbeat(
    sources: tuple[Source, ...], drbd: tuple[DrbdResource, ...], notes: Notes
) -> Found:
    """Return what ha.cf and haresources say; UnreadableError."""
    told = _HaCf()
    applications: list[FoundApplication] = []
    for source in sources:
        if is_ha_cf(source):
            _read_ha_cf(source, told, notes)
    for source in sources:
        if not is_ha_cf(source):
            for line in lines_of(source, continued="\\"):
                words = [each.text for each in words_of(line, comments="#")]
                refuse_more(len(applications), "applications", line.place)
                if words:
                    applications.append(_application(line, words, told, drbd, notes))
    nodes = tuple(dict.fromkeys([*told.nodes, *(each.preferred for each in applications)]))
    networks = tuple(
        FoundNetwork(
            simple_name(f"net-{card}"),
            cards=tuple((node, card) for node in nodes[:2]),
            why="A card that heartbeats went over, by ha.cf; the addresses were not told there.",
        )
        for card in dict.fromkeys(told.cards)
    )
    cluster = FoundCluster(
        nodes=nodes[:2],
        networks=_with_addresses(networks, drbd),
        detection_s=told.detection_s,
        watchdog=told.watchdog,
        references=tuple(told.references),
        why=told.why,
    )
    return Found(cluster, named_apart(applications))


def _with_addresses(
    networks: tuple[FoundNetwork, ...], drbd: tuple[DrbdResource, ...]
) -> tuple[FoundNetwork, ...]:
    pairs = tuple(dict.fromkeys(pair for each in drbd for pair in each.addresses))
    if not pairs:
        return networks
    why = f"DRBD used it: {drbd[0].place}."
    return (*networks, FoundNetwork("replication", pairs, replication=True, why=why))


def _read_ha_cf(source: Source, told: _HaCf, notes: Notes) -> None:
    for line in lines_of(source):
        words = [each.text for each in words_of(line, comments="#")]
        if not words:
            continue
        name, values = words[0], words[1:]
        if not values:
            what = f"{name[:40]} has no value"
            raise UnreadableError(line.place, what, "is it heartbeat's ha.cf?")
        # Behind the name of a fence device stands its password.
        said = name if name.startswith("stonith") else " ".join(words[:6])
        if name == "node":
            told.nodes += values
            notes.took(line.place, said, f'<node name="{values[0]}"/>')
            told.why.setdefault("nodes", f"From {line.place}.")
        elif name in LINKS:
            told.cards += values if name == "bcast" else values[:1]
            notes.took(line.place, said, "a <network> with this card")
        elif name == "deadtime":
            told.detection_s = times.seconds_of(values[0])
            told.why["timing"] = f"deadtime of {line.place}. The default, 2s, suits most networks."
            notes.took(line.place, said, "<timing detection>")
        elif name == "auto_failback":
            told.failback = values[0] in {"on", "yes", "true"}
            notes.took(line.place, said, f'failback="{"yes" if told.failback else "no"}"')
        elif name == "ping":
            told.references += values
            notes.took(line.place, said, f'reference="{values[0]}"')
        elif name == "watchdog":
            told.watchdog = values[0]
            told.why["watchdog"] = f"From {line.place}."
            notes.took(line.place, said, "<watchdog>")
        else:
            notes.left(line.place, said, WAYS.get(name, "hapair has nothing of the kind"))


def _application(
    line: Line, words: list[str], told: _HaCf, drbd: tuple[DrbdResource, ...], notes: Notes
) -> FoundApplication:
    """Return the application of one line of haresources."""
    node, resources = words[0], words[1:]
    if not resources:
        what = f"a line with the one word {node[:40]}"
        raise UnreadableError(line.place, what, "haresources: a node, then its resources")
    groups: dict[str, FoundGroup] = {}
    found: list[FoundAddress] = []
    programs: list[tuple[str, tuple[str, ...]]] = []
    before: list[str] = []
    for each in resources:
        name, *arguments = each.split("::")
        match name:
            case "IPaddr" | "IPaddr2" | "IPv6addr":
                found.append(_address("::".join(arguments), line, notes))
            case "drbddisk" | "drbdupper":
                _drbd(arguments[0] if arguments else "", drbd, groups, before)
                notes.took(line.place, each, "hapair's own DRBD resource")
            case "Filesystem":
                _file_system(arguments, drbd, groups, before)
                notes.took(line.place, each, "a file system of its volume group")
            case "LVM":
                group = arguments[0] if arguments else ""
                groups.setdefault(group, FoundGroup(group, f"{each} of {line.place}."))
                notes.took(line.place, each, f'<volumegroup name="{group}"/>')
            case "MailTo":
                notes.left(line.place, each, "<notify> in clconf.xml")
            case _ if _is_address(name):
                found.append(_address(each, line, notes))
            case _:
                programs.append((name, tuple(arguments)))
    program, why = _program(programs, line, notes)
    title = programs[-1][0] if programs else f"service-{node}"
    units = [f"{name}.service" for name, arguments in programs if not arguments]
    before += [f"On both nodes: systemctl disable {unit}." for unit in units]
    return FoundApplication(
        simple_name(title),
        preferred=node,
        failback=told.failback,
        groups=tuple(groups.values()),
        addresses=tuple(found),
        program=program,
        why={"application": f"The line {line.place}.", "run": why},
        before=tuple(before),
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("/")[0])
    except ValueError:
        return False
    return True


def _address(text: str, line: Line, notes: Notes) -> FoundAddress:
    """Read ``address/prefix/card/broadcast``."""
    address, prefix, card, *_ = (*text.split("/"), "", "", "")
    notes.took(line.place, text, f"<address>{address}</address>")
    plain = prefix if prefix.isdigit() and len(prefix) <= 3 else ""  # noqa: PLR2004 - digits
    return FoundAddress(address, plain, card.partition(":")[0], f"{line.place}.")


def _drbd(
    name: str, drbd: tuple[DrbdResource, ...], groups: dict[str, FoundGroup], before: list[str]
) -> None:
    resource = next((each for each in drbd if each.name == name), None)
    if resource is None:
        why = f"The volumes of the DRBD resource {name}: give its .res file too."
        groups.setdefault("", FoundGroup("", why))
        return
    for volume in resource.volumes:
        why = f"{volume.disk} of {volume.place}."
        groups.setdefault(volume.volume_group, FoundGroup(volume.volume_group, why))
        before.append(
            f"With heartbeat stopped: drbdadm down {name}, then mount {volume.disk} itself on the"
            " preferred node. clbuildapp puts it under hapair's own DRBD; the volume of the same"
            " name on the other node has to be removed or emptied first."
        )


def _file_system(
    arguments: list[str],
    drbd: tuple[DrbdResource, ...],
    groups: dict[str, FoundGroup],
    before: list[str],
) -> None:
    device, folder, kind, options, *_ = (*arguments, "", "", "", "")
    under = [v.volume_group for each in drbd for v in each.volumes if v.device == device]
    name = group_of(device) or next(iter(under), "")
    if name or not device.startswith("/dev/drbd") or not groups:
        groups.setdefault(name, FoundGroup(name, f"{device} on {folder}, {kind or 'its kind'}."))
    before.append(
        f"Mount it natively at {folder}{f' with the options {options}' if options else ''}."
    )


def _program(
    programs: list[tuple[str, tuple[str, ...]]], line: Line, notes: Notes
) -> tuple[Tag | None, str]:
    if not programs:
        return None, ""
    names = tuple("::".join((name, *arguments)) for name, arguments in programs)
    if len(programs) > 1:
        for each in names:
            notes.left(line.place, each, "one target, or script, that starts them all")
        return program_of_several(names), (
            f"hapair starts one program; these were started in this order: {', '.join(names)}."
            " Write a target that wants all of them, or a script."
        )
    ((name, arguments),) = programs
    if arguments:
        way = f"a script that calls {name} with {' '.join(arguments)} and start or stop"
        notes.left(line.place, names[0], way)
        path = settled(kinds.absolute_path(), "", f"a script that calls {name}"[:50])
        return Tag("script", (("path", path),)), f"{names[0]} of {line.place} has arguments."
    notes.took(line.place, name, f'<run><unit name="{name}.service"/>')
    unit = settled(kinds.UNIT_NAME, f"{name}.service", f"the unit of {name}"[:50])
    return Tag("unit", (("name", unit),)), f"{name} of {line.place}, by its unit."
