"""appconf.xml: text to Application, or problems."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from hapair.config import format_appconf as fmt
from hapair.config import monitors
from hapair.config.addresses import RANGE, RANGE_MAX, Range
from hapair.config.complaints import Complaints
from hapair.config.document import Node, shown
from hapair.config.grammar import must, value_of
from hapair.config.kinds import Wrong
from hapair.config.reading import Format, Reading, examine
from hapair.model.application import (
    Application,
    OcfAgent,
    Program,
    Script,
    ServiceAddress,
    TimeLimits,
    Unit,
)
from hapair.model.problem import Problem

# Folders of /etc/cluster that belong to the cluster itself.
RESERVED_NAMES: Final = ("built", "keys", "secrets")
# Stopping one of them stops the machine, or the cluster itself.
OWN_UNITS: Final = frozenset(
    {
        "hapaird.service",
        "hapair-alerts.service",
        "hapair-apps.service",
        "hapair-lems.service",
        "hapair-node.service",
        "hapair-witness.service",
    }
)
SPECIAL_TARGETS: Final = frozenset(
    {"basic", "ctrl-alt-del", "default", "emergency", "exit", "final", "getty", "graphical", "halt",
     "kexec", "local-fs", "multi-user", "network", "poweroff", "reboot", "remote-fs", "rescue",
     "shutdown", "sleep", "soft-reboot", "suspend", "sysinit", "umount"}
)  # fmt: skip
DEMANDS: Final = ("after", "with", "apart-from")
PREFERRED: Final = "preferred"  # A key of Reading.places, as are the ones that functions make.


def read_appconf(text: bytes, *, file: str) -> Application | tuple[Problem, ...]:
    """Return the application, or everything that is wrong with the file.

    The addresses carry no subnet yet (/32, /128): config.together.in_subnets() gives them theirs.
    """
    return examine_appconf(text, file=file).value_or_problems()


def examine_appconf(text: bytes, *, file: str) -> Reading[Application]:
    """Return the application, if there is no error, and its warnings; else the errors."""
    return examine(text, _FORMAT, file=file)


def volume_group_key(name: str) -> str:
    return f"volumegroup {name}"


def network_key(name: str) -> str:
    return f"network {name}"


def demand_key(demand: str, name: str) -> str:
    return f"{demand} {name}"


def address_key(service: ServiceAddress) -> str:
    return f"address {service.address.ip}"


def _range(node: Node) -> Range | None:
    value = RANGE.take(node.text)
    return None if isinstance(value, Wrong) else value


def _check(root: Node, complaints: Complaints) -> None:
    _check_name(root, complaints)
    _check_addresses(root, complaints)
    _check_unit(root, complaints)
    _check_others(root, complaints)
    monitors.check(root, complaints)
    if not root.named("run") and not root.named("volumegroup") and not root.named("network"):
        complaints.warning(
            root.line,
            "<application>",
            "it has no data, no address and no program",
            f"add {fmt.VOLUME_GROUP.example}, a <network> or a <run>",
        )


def _check_name(root: Node, complaints: Complaints) -> None:
    name = value_of(root, fmt.APPLICATION_NAME)
    if name is None:
        return
    line, field = root.line_of("name"), "<application> name"
    if name.lower() in RESERVED_NAMES:
        what = f"{shown(name)} is a folder of the cluster itself"
        complaints.error(line, field, what, "choose another name")
    if complaints.folder not in {"", name}:
        what = f"{shown(name)} lies in the folder {shown(complaints.folder)}"
        mend = "the folder has the application's name: rename one of the two"
        complaints.error(line, field, what, mend)


def _check_others(root: Node, complaints: Complaints) -> None:
    name = value_of(root, fmt.APPLICATION_NAME)
    for demand in ("after", "with", "apart-from"):
        for node in root.named(demand):
            if name is not None and value_of(node, fmt.OTHER) == name:
                what = f"{shown(name)} is this application itself"
                field = f"<{demand}> application"
                complaints.error(node.line, field, what, "write another one, or leave it out")


def _check_unit(root: Node, complaints: Complaints) -> None:
    for unit in (unit for run in root.named("run") for unit in run.named("unit")):
        name = value_of(unit, fmt.UNIT_NAME)
        if name is None:
            continue
        stem, _, kind = name.rpartition(".")
        if name in OWN_UNITS or (kind == "target" and stem in SPECIAL_TARGETS):
            what = f"{shown(name)}: to stop it would be to stop the machine, or the cluster itself"
            mend = "write the application's own unit; of several, a target of your own"
            complaints.error(unit.line_of("name"), "<unit> name", what, mend)


def _check_addresses(root: Node, complaints: Complaints) -> None:
    ranges: list[tuple[Node, Range]] = []
    for node in (node for network in root.named("network") for node in network.named("address")):
        written = _range(node)
        if written is not None:
            ranges.append((node, written))
    in_order = sorted(ranges, key=lambda one: (one[1].first.version, int(one[1].first)))
    for (before, earlier), (after, later) in pairwise(in_order):
        if earlier.overlaps(later):
            here, there = sorted((before, after), key=lambda node: node.line, reverse=True)
            twice = f"{shown(there.text)} of line {there.line}"
            what = f"{shown(here.text)} repeats {twice}, or a part of it"
            complaints.error(here.line, "<address>", what, "write each address once")
    count = sum(len(one) for _, one in ranges)
    if count > RANGE_MAX:
        complaints.error(
            root.line,
            "<address>",
            f"the application has {count:,} addresses",
            f"write at most {RANGE_MAX:,}",
        )


def _build(root: Node) -> Application:
    return Application(
        name=must(root, fmt.APPLICATION_NAME),
        preferred=must(root, fmt.APPLICATION_PREFERRED),
        program=_program(root),
        autostart=must(root, fmt.APPLICATION_AUTOSTART),
        failback=must(root, fmt.APPLICATION_FAILBACK),
        volume_groups=tuple(
            must(node, fmt.VOLUME_GROUP_NAME) for node in root.named("volumegroup")
        ),
        addresses=tuple(service for service, _ in _addresses(root)),
        limits=_limits(root),
        resets_node=any(value_of(when, fmt.STOP_HANGS) == "reset" for when in root.named("when")),
        monitors=monitors.build(root),
        after=_others(root, "after"),
        with_=_others(root, "with"),
        apart_from=_others(root, "apart-from"),
        priority=must(root, fmt.APPLICATION_PRIORITY),
    )


def _others(root: Node, demand: str) -> tuple[str, ...]:
    return tuple(must(node, fmt.OTHER) for node in root.named(demand))


def _program(root: Node) -> Program | None:
    for run in root.named("run"):
        for script in run.named("script"):
            return Script(must(script, fmt.SCRIPT_PATH))
        for unit in run.named("unit"):
            return Unit(must(unit, fmt.UNIT_NAME))
        (agent,) = run.named("ocf")
        _, provider, kind = must(agent, fmt.OCF_AGENT).split(":")
        parameters = tuple(
            (must(node, fmt.PARAMETER_NAME), must(node, fmt.PARAMETER_VALUE))
            for node in agent.named("parameter")
        )
        return OcfAgent(provider, kind, parameters)
    return None


def _limits(root: Node) -> TimeLimits:
    for node in root.named("limits"):
        limits = (fmt.LIMITS_START, fmt.LIMITS_STOP, fmt.LIMITS_MOUNT)
        return TimeLimits(*(must(node, limit) for limit in limits))
    return TimeLimits()


def _addresses(root: Node) -> list[tuple[ServiceAddress, int]]:
    """Return every address with its line, in the written order."""
    found: list[tuple[ServiceAddress, int]] = []
    for network in root.named("network"):
        name = must(network, fmt.NETWORK_NAME)
        for node in network.named("address"):
            found += [(ServiceAddress(name, one), node.line) for one in _range(node) or ()]
    return found


def _places(root: Node) -> Mapping[str, int]:
    places = {"": root.line_of("name"), PREFERRED: root.line_of("preferred")}
    for node in root.named("volumegroup"):
        places[volume_group_key(must(node, fmt.VOLUME_GROUP_NAME))] = node.line
    for node in root.named("network"):
        places[network_key(must(node, fmt.NETWORK_NAME))] = node.line
    for demand in DEMANDS:
        for node in root.named(demand):
            places[demand_key(demand, must(node, fmt.OTHER))] = node.line
    return places | {address_key(service): line for service, line in _addresses(root)}


_FORMAT: Final = Format(
    fmt.APPLICATION, "/usr/share/hapair/samples/appconf.xml", _check, _build, _places
)
